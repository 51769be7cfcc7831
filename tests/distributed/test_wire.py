"""Questions and answers survive the way through bytes, and ranks order as (distance, id) do."""

import numpy as np
import pytest
from hashnet.distributed.ranks import from_ranks, to_ranks
from hashnet.distributed.wire import (
    INLINE_BYTES,
    METHODS,
    Question,
    Reply,
    pack_question,
    pack_reply,
    unpack_question,
    unpack_reply,
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


@given(
    st.sampled_from(METHODS), st.integers(0, 5), st.integers(1, 128), st.integers(0, 2**31 - 1), st.booleans()
)
def test_a_question_survives(method, n, n_bytes, argument, bounded):
    rng = np.random.default_rng(n)
    queries = rng.integers(0, 256, (n, n_bytes), dtype=np.uint8)
    within = rng.integers(0, 1024, n, dtype=np.int32) if bounded else None
    got = unpack_question(pack_question(Question(method, queries, argument, within)))
    assert (got.method, got.argument) == (method, argument)
    assert_same([got.queries], [queries])
    if bounded:
        assert_same([got.within], [within])
    else:
        assert got.within is None


def test_queries_that_are_a_slice_survive():
    queries = np.arange(64, dtype=np.uint8).reshape(8, 8)
    assert_same([unpack_question(pack_question(Question("search", queries[2:5], 1))).queries], [queries[2:5]])


def through_the_wire(part):
    seconds, got = unpack_reply(pack_reply(Reply(0.25, part)))
    assert seconds == 0.25
    return got


@pytest.mark.parametrize("ids", [small_ids, any_ids], ids=["ranked", "plain"])
@given(data=st.data())
def test_neighbors_survive(ids, data):
    rows = data.draw(rows_of(ids))
    answer = Neighbors(*(array.reshape(1, -1) for array in arrays(rows)))
    assert_same(through_the_wire(answer), answer)


@pytest.mark.parametrize("ids", [small_ids, any_ids], ids=["ranked", "plain"])
@given(data=st.data())
def test_balls_survive(ids, data):
    rows = data.draw(st.lists(st.tuples(distances, ids), max_size=30))
    cut = data.draw(st.integers(0, len(rows)))
    answer = Balls(np.array([0, cut, cut, len(rows)]), *arrays(rows))
    assert_same(through_the_wire(answer), answer)


@given(st.lists(st.integers(0, 2**40), max_size=10))
def test_counts_survive(counts):
    counts = np.array(counts, dtype=np.int64)
    assert_same([through_the_wire(counts)], [counts])


@pytest.mark.parametrize("n", [INLINE_BYTES // 8, INLINE_BYTES // 8 + 1])
def test_what_fits_beside_a_call_is_bytes_and_what_does_not_stays_arrays(n):
    rows = np.zeros((1, n), dtype=np.int32), np.zeros((1, n), dtype=np.int64)
    ball = Balls(np.array([0, n - 2]), np.zeros(n - 2, dtype=np.int32), np.zeros(n - 2, dtype=np.int64))
    for part in (Neighbors(*rows), ball):
        packed = pack_reply(Reply(0.0, part))
        assert isinstance(packed, bytes) == (n == INLINE_BYTES // 8)
        assert_same(unpack_reply(packed).part, part)
