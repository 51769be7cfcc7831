"""Arguments that are plainly valid go straight to the engine; all others are looked at in Python first."""

from __future__ import annotations

import numpy as np
import pytest
from codesets import make_codes

from hashnet import Index

N_BITS, N = 64, 50


@pytest.fixture(scope="module")
def index():
    with Index.in_memory(n_bits=N_BITS) as made:
        made.add(make_codes("uniform", N, N_BITS, np.random.default_rng(1)))
        yield made


QUERIES = make_codes("uniform", 3, N_BITS, np.random.default_rng(2))
UNPLAIN = {
    "no array": QUERIES.tolist(),
    "another dtype": QUERIES.astype(np.int8),
    "another shape": QUERIES[0],
    "another length": np.ascontiguousarray(QUERIES[:, :4]),
    "another memory order": np.asfortranarray(QUERIES),
}


@pytest.mark.parametrize("queries", UNPLAIN.values(), ids=UNPLAIN.keys())
def test_other_queries_are_not_plain(index, queries):
    assert index._searcher.search_if_plain(queries, 2, 1) is None
    assert index._searcher.search_radius_if_plain(queries, 2, 1) is None


@pytest.mark.parametrize("k", [0, -1, N + 1, 2**40, 2**70, True, 2.0, "2", None, np.int64(2)])
def test_another_k_is_not_plain(index, k):
    assert index._searcher.search_if_plain(QUERIES, k, 1) is None


@pytest.mark.parametrize("radius", [-1, N_BITS + 1, 2**70, True, 2.0, None, np.int64(2)])
def test_another_radius_is_not_plain(index, radius):
    assert index._searcher.search_radius_if_plain(QUERIES, radius, 1) is None


@pytest.mark.parametrize("threads", [0, -1, 2**20, True, 1.0, None])
def test_other_threads_are_not_plain_nor_are_all_cores_for_several_queries(index, threads):
    assert index._searcher.search_if_plain(QUERIES, 2, threads) is None
    assert index._searcher.search_radius_if_plain(QUERIES, 2, threads) is None


def test_an_index_without_codes_or_closed_has_nothing_plain():
    index = Index.in_memory(n_bits=N_BITS)
    assert index._searcher.search_radius_if_plain(QUERIES, 2, 1) is None
    index.add(QUERIES)
    assert index._searcher.search_radius_if_plain(QUERIES, 2, 1) is not None
    index.close()
    assert index._searcher.search_if_plain(QUERIES, 1, 1) is None
    with pytest.raises(ValueError, match="the index is closed"):
        index.search(QUERIES, 1, threads=1)


@pytest.mark.parametrize("k", [1, 7, N])
@pytest.mark.parametrize("queries", [QUERIES, QUERIES[:1], QUERIES[:0]])
def test_both_ways_give_one_answer(index, queries, k):
    plain = index._searcher.search_if_plain(queries, k, 1)
    assert plain is not None
    looked_at = index.search(queries, np.int64(k), threads=1)
    assert np.array_equal(plain[0], looked_at.distances)
    assert np.array_equal(plain[1], looked_at.ids)
    assert plain[0].shape == looked_at.distances.shape


@pytest.mark.parametrize("radius", [0, 20, N_BITS])
@pytest.mark.parametrize("queries", [QUERIES, QUERIES[:1], QUERIES[:0]])
def test_both_ways_give_one_ball(index, queries, radius):
    plain = index._searcher.search_radius_if_plain(queries, radius, 1)
    assert plain is not None
    looked_at = index.search_radius(queries, np.int64(radius), threads=1)
    for one, other in zip(plain, looked_at, strict=True):
        assert np.array_equal(one, other)
        assert one.dtype == other.dtype
