"""Answers equal those of FAISS's exact binary indexes, under the tie rule."""

from __future__ import annotations

import numpy as np
import pytest
from codesets import make_codes, make_queries

import hashnet

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
