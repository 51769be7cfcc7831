"""Answers equal those of FAISS's exact binary indexes, under the tie rule."""

from __future__ import annotations

import os

import numpy as np
import pytest
from codesets import make_codes, make_queries

import hashnet
from hashnet.evaluation.reference import FaissFlat

faiss = pytest.importorskip("faiss", reason="FAISS is not installed; install the extra cpu or gpu")


@pytest.mark.parametrize("kind", ["uniform", "clustered", "repeated"])
@pytest.mark.parametrize("n_bits", [16, 32, 64, 128, 256])
def test_balls_and_neighbours_equal_faiss_flat(n_bits, kind):
    rng = np.random.default_rng(n_bits)
    codes = make_codes(kind, 20_000, n_bits, rng)
    queries = make_queries(codes, 20, rng)
    index = hashnet.Index.in_memory(n_bits=n_bits)
    index.add(codes)
    flat = faiss.IndexBinaryFlat(n_bits)
    flat.add(codes)
    radius = n_bits // 8
    # FAISS's radius is exclusive, its order arbitrary.
    limits, distances, ids = flat.range_search(queries, radius + 1)
    balls = index.search_radius(queries, radius)
    assert np.array_equal(balls.offsets, limits.astype(np.int64))
    order = np.lexsort((ids, distances, np.repeat(np.arange(len(queries)), np.diff(limits).astype(np.int64))))
    assert np.array_equal(balls.ids, ids[order])
    assert np.array_equal(balls.distances, distances[order].astype(np.int32))
    # Which of several codes at the last distance FAISS returns is arbitrary; the distances are not.
    neighbors = index.search(queries, 50)
    faiss_distances, _ = flat.search(queries, 50)
    assert np.array_equal(neighbors.distances, np.sort(faiss_distances, axis=1))


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", ["uniform", "clustered"])
def test_a_hundred_million_codes_are_answered_as_faiss_does(kind):
    if os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") < 12 << 30:
        pytest.skip("index, codes and FAISS's copy of them take about 8 GiB while they are built")
    n, n_queries = 10**8, 16
    codes, queries = draw(kind, n, n_queries, np.random.default_rng(1))
    index = hashnet.Index.in_memory(n_bits=64)
    index.add(codes)
    flat = FaissFlat(codes, np.arange(n, dtype=np.int64))
    for radius in (4, 8):
        ours, theirs = index.search_radius(queries, radius), flat.balls(queries, radius)
        assert np.array_equal(ours.offsets, theirs.offsets)
        assert np.array_equal(ours.distances, theirs.distances)
        assert np.array_equal(ours.ids, theirs.ids)
    for k in (10, 100):
        neighbors = index.search(queries, k)
        # FAISS's own answer: which of several codes at the last distance it keeps is arbitrary.
        distances, ids = flat._index.search(queries, k)
        assert np.array_equal(neighbors.distances, np.sort(distances, axis=1))
        for query in range(n_queries):
            nearer = neighbors.distances[query] < neighbors.distances[query, -1]
            kept = ids[query][distances[query] < neighbors.distances[query, -1]]
            assert sorted(neighbors.ids[query][nearer]) == sorted(kept)
        # And all that FAISS finds within that distance, ordered by (distance, id) and cut.
        expected, _ = flat.nearest(queries, k, np.empty(0, dtype=np.int32))
        assert np.array_equal(neighbors.ids, expected.ids)


def draw(kind, n, n_queries, rng):
    """Uniform codes of 64 bits, or such in clusters of 1,000 with every bit flipped with p = 3/32."""

    def words(size):
        return rng.integers(0, 2**64 - 1, size, dtype=np.uint64, endpoint=True)

    def codes(size):
        if kind == "uniform":
            return words(size)
        flips = words(size) & words(size) & words(size) & (words(size) | words(size))
        return centres[rng.integers(0, len(centres), size)] ^ flips

    centres = words(n // 1000)
    database = np.empty(n, dtype=np.uint64)
    for first in range(0, n, 10**6):
        database[first : first + 10**6] = codes(min(10**6, n - first))
    return database.view(np.uint8).reshape(n, 8), codes(n_queries).view(np.uint8).reshape(n_queries, 8)
