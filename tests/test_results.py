"""Merging the answers of disjoint parts gives the answer of the whole."""

from __future__ import annotations

import numpy as np
import oracle
import pytest
from codesets import make_codes, make_queries
from hypothesis import given, settings
from hypothesis import strategies as st

from hashnet import Balls, Neighbors, merge_balls, merge_neighbors


@settings(deadline=None)
@given(st.integers(1, 200), st.integers(1, 5), st.integers(1, 250), st.integers(0, 16), st.integers(0, 2**32))
def test_parts_merge_into_the_whole(n, n_parts, k, radius, seed):
    rng = np.random.default_rng(seed)
    codes = make_codes("clustered", n, 16, rng)
    ids = rng.permutation(n).astype(np.int64)
    queries = make_queries(codes, 3, rng)
    near, balls = [], []
    for rows in np.array_split(np.arange(n), n_parts):
        distances, found = oracle.search(queries, codes[rows], ids[rows], k)
        missing = ((0, 0), (0, k - distances.shape[1]))
        near.append(
            Neighbors(
                np.pad(distances, missing, constant_values=2**31 - 1),
                np.pad(found, missing, constant_values=-1),
            )
        )
        parts = oracle.search_radius(queries, codes[rows], ids[rows], radius)
        offsets = np.cumsum([0] + [len(part[0]) for part in parts])
        balls.append(
            Balls(offsets, np.concatenate([part[0] for part in parts]), np.concatenate([p[1] for p in parts]))
        )
    merged = merge_neighbors(near, k)
    distances, found = oracle.search(queries, codes, ids, k)
    real = distances.shape[1]
    assert np.array_equal(merged.distances[:, :real], distances)
    assert np.array_equal(merged.ids[:, :real], found)
    assert (merged.ids[:, real:] == -1).all()
    whole = merge_balls(balls)
    for query, expected in enumerate(oracle.search_radius(queries, codes, ids, radius)):
        assert all(np.array_equal(a, b) for a, b in zip(whole.ball(query), expected, strict=True))


def test_merging_keeps_the_dtypes():
    part = Neighbors(np.zeros((1, 1), dtype=np.int32), np.zeros((1, 1), dtype=np.int64))
    merged = merge_neighbors([part], 2)
    assert (merged.distances.dtype, merged.ids.dtype) == (np.int32, np.int64)


def test_nothing_cannot_be_merged():
    with pytest.raises(ValueError, match="at least one part"):
        merge_neighbors([], 1)
    with pytest.raises(ValueError, match="at least one part"):
        merge_balls([])


@pytest.mark.parametrize(
    ("offsets", "n"),
    [([0, 3], 2), ([1, 2], 2), ([0, 2, 1, 2], 2), ([], 0)],
    ids=["end", "begin", "order", "none"],
)
def test_offsets_that_do_not_fit_are_refused(offsets, n):
    wrong = Balls(np.array(offsets, dtype=np.int64), np.zeros(n, dtype=np.int32), np.zeros(n, dtype=np.int64))
    with pytest.raises(ValueError, match="offsets must"):
        merge_balls([wrong])


def test_parts_of_other_queries_are_refused():
    one, two = (Neighbors(np.zeros((n, 1), dtype=np.int32), np.zeros((n, 1), dtype=np.int64)) for n in (1, 2))
    with pytest.raises(ValueError, match="same queries"):
        merge_neighbors([one, two], 1)
