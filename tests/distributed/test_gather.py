"""What shards answered becomes one answer, never a partial one unmarked."""

import numpy as np
import pytest
from hashnet.distributed.gather import (
    Answer,
    check_complete,
    gather_balls,
    gather_counts,
    gather_neighbors,
    join_balls,
    join_neighbors,
)

from hashnet.errors import IncompleteError
from hashnet.results import Balls, Neighbors, merge_balls, merge_neighbors


def neighbors(distances, ids):
    return Neighbors(np.array(distances, dtype=np.int32), np.array(ids, dtype=np.int64))


def test_ties_across_shards_go_to_the_smaller_id():
    merged = gather_neighbors(
        [neighbors([[1, 2]], [[5, 8]]), neighbors([[1, 2]], [[3, 9]])], n_queries=1, k=3
    )
    assert merged.ids.tolist() == [[3, 5, 8]]


def test_no_shard_gives_padding_only():
    assert gather_neighbors([], n_queries=2, k=3).ids.tolist() == [[-1] * 3] * 2


def test_no_shard_gives_empty_balls():
    assert gather_balls([], n_queries=2).offsets.tolist() == [0, 0, 0]


def test_counts_of_shards_are_summed():
    parts = [np.array([1, 0], dtype=np.int64), np.array([4, 2], dtype=np.int64)]
    assert gather_counts(parts, n_queries=2).tolist() == [5, 2]


def test_no_shard_counts_nothing():
    counts = gather_counts([], n_queries=2)
    assert (counts.dtype, counts.tolist()) == (np.int64, [0, 0])


def test_balls_of_shards_are_sorted_within_each_query():
    parts = [
        Balls(np.array([0, 1, 2]), np.array([2, 0], dtype=np.int32), np.array([4, 7])),
        Balls(np.array([0, 2, 2]), np.array([1, 2], dtype=np.int32), np.array([9, 3])),
    ]
    merged = gather_balls(parts, n_queries=2)
    assert [merged.ball(q)[1].tolist() for q in range(2)] == [[9, 3, 4], [7]]


def test_a_missing_shard_is_an_error_unless_partial_was_asked_for():
    with pytest.raises(IncompleteError, match=r"shards \[1, 3\] did not answer \(died, too late\)") as caught:
        check_complete({3: "too late", 1: "died"}, partial=False)
    assert caught.value.missing == [1, 3]


def test_a_partial_answer_is_marked():
    answer = Answer(neighbors([[0]], [[0]]), missing=(1,))
    assert not answer.complete
    check_complete({1: "died"}, partial=True)


def test_an_answer_of_all_shards_is_complete():
    assert Answer(neighbors([[0]], [[0]])).complete


@pytest.mark.parametrize("offset", [0, 2**50], ids=["ranked", "ids of 51 bits"])
@pytest.mark.parametrize("n_parts", [1, 2, 3])
def test_merging_equals_that_of_results(offset, n_parts):
    rng = np.random.default_rng(n_parts)
    ids = rng.permutation(400)[: 30 * 4 * n_parts].astype(np.int64) + offset
    parts = []
    for part in np.split(ids, n_parts):
        distances = rng.integers(0, 5, (4, 30)).astype(np.int32)
        of = part.reshape(4, 30)
        order = np.lexsort((of, distances), axis=1)
        parts.append(Neighbors(np.take_along_axis(distances, order, 1), np.take_along_axis(of, order, 1)))
    got, wanted = gather_neighbors(parts, n_queries=4, k=30), merge_neighbors(parts, 30)
    for mine, other in zip(got, wanted, strict=True):
        assert mine.dtype == other.dtype
        np.testing.assert_array_equal(mine, other)
    offsets = np.arange(5) * 30
    balls = [Balls(offsets, part.distances.ravel(), part.ids.ravel()) for part in parts]
    for mine, other in zip(gather_balls(balls, n_queries=4), merge_balls(balls), strict=True):
        assert mine.dtype == other.dtype
        np.testing.assert_array_equal(mine, other)


def test_pieces_of_a_batch_are_joined_in_order():
    first = Balls(np.array([0, 1, 2]), np.array([2, 0], dtype=np.int32), np.array([4, 7]))
    second = Balls(np.array([0, 2]), np.array([1, 2], dtype=np.int32), np.array([9, 3]))
    joined = join_balls([first, second])
    assert joined.offsets.tolist() == [0, 1, 2, 4]
    assert joined.ball(2)[1].tolist() == [9, 3]
    assert join_neighbors([neighbors([[1]], [[5]]), neighbors([[2]], [[6]])]).ids.tolist() == [[5], [6]]
