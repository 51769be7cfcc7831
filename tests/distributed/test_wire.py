"""Questions and answers survive the way through bytes, and ranks order as (distance, id) do."""

import numpy as np
import pytest
from hashnet.distributed.ranks import from_ranks, sort_rows, to_ranks
from hashnet.distributed.wire import (
    METHODS,
    Question,
    pack_answer,
    pack_question,
    unpack_answer,
    unpack_question,
)
from hypothesis import given
from hypothesis import strategies as st

from hashnet.results import PAD_DISTANCE, PAD_ID, Balls, Neighbors

small_ids = st.integers(0, 2**48 - 1)
any_ids = st.integers(0, 2**63 - 1)
distances = st.integers(0, 1024)
padding = st.just((PAD_DISTANCE, PAD_ID))


def rows_of(ids):
    return st.lists(st.tuples(distances, ids) | padding, max_size=30)


def arrays(rows):
    return (
        np.array([row[0] for row in rows], dtype=np.int32),
        np.array([row[1] for row in rows], dtype=np.int64),
    )


def assert_same(got, wanted):
    for mine, other in zip(got, wanted, strict=True):
        assert (mine.dtype, mine.shape) == (other.dtype, other.shape)
        np.testing.assert_array_equal(mine, other)


@given(rows_of(small_ids))
def test_ranks_give_back_distances_and_ids(rows):
    assert_same(from_ranks(to_ranks(*arrays(rows))), arrays(rows))


@given(rows_of(small_ids))
def test_ranks_sort_as_distance_and_id_with_padding_last(rows):
    ranks = np.sort(to_ranks(*arrays(rows)))
    assert_same(from_ranks(ranks), arrays(sorted(rows, key=lambda row: (row[0], row[1]))))


def test_ids_of_more_than_48_bits_have_no_rank():
    assert to_ranks(np.zeros(1, dtype=np.int32), np.array([2**48])) is None


owned = st.lists(st.tuples(st.integers(0, 8191), distances, st.integers(0, 2**40 - 1)), max_size=40)


@given(owned)
def test_rows_are_sorted_within_their_owner(rows):
    owners = np.array([row[0] for row in rows], dtype=np.int64)
    got = sort_rows(owners, *arrays([row[1:] for row in rows]))
    assert_same(got, arrays([row[1:] for row in sorted(rows)]))


def test_rows_that_exceed_64_bits_are_left_to_others():
    owners = np.array([8191, 0])
    assert sort_rows(owners, np.array([1024, 0], dtype=np.int32), np.array([2**41, 0])) is None


@given(st.sampled_from(METHODS), st.integers(0, 5), st.integers(1, 128), st.integers(0, 2**31 - 1))
def test_a_question_survives(method, n, n_bytes, argument):
    queries = np.random.default_rng(n).integers(0, 256, (n, n_bytes), dtype=np.uint8)
    got = unpack_question(pack_question(Question(method, queries, argument)))
    assert (got.method, got.argument) == (method, argument)
    assert_same([got.queries], [queries])


def test_queries_that_are_a_slice_survive():
    queries = np.arange(64, dtype=np.uint8).reshape(8, 8)
    assert_same([unpack_question(pack_question(Question("search", queries[2:5], 1))).queries], [queries[2:5]])


@pytest.mark.parametrize("ids", [small_ids, any_ids], ids=["ranked", "plain"])
@given(data=st.data())
def test_neighbors_survive(ids, data):
    rows = data.draw(rows_of(ids))
    answer = Neighbors(*(array.reshape(1, -1) for array in arrays(rows)))
    assert_same(unpack_answer(pack_answer(answer)), answer)


@pytest.mark.parametrize("ids", [small_ids, any_ids], ids=["ranked", "plain"])
@given(data=st.data())
def test_balls_survive(ids, data):
    rows = data.draw(st.lists(st.tuples(distances, ids), max_size=30))
    cut = data.draw(st.integers(0, len(rows)))
    answer = Balls(np.array([0, cut, cut, len(rows)]), *arrays(rows))
    assert_same(unpack_answer(pack_answer(answer)), answer)


@given(st.lists(st.integers(0, 2**40), max_size=10))
def test_counts_survive(counts):
    counts = np.array(counts, dtype=np.int64)
    assert_same([unpack_answer(pack_answer(counts))], [counts])
