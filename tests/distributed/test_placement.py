"""Placement gives every segment and every row to exactly one shard, evenly."""

import pytest
from hashnet.distributed.placement import place_rows, place_segments
from hypothesis import given
from hypothesis import strategies as st

sizes_and_shards = st.lists(st.integers(0, 10**9), min_size=1, max_size=30).flatmap(
    lambda sizes: st.tuples(st.just(sizes), st.integers(1, len(sizes)))
)


@given(sizes_and_shards)
def test_every_segment_is_placed_once(case):
    sizes, shards = case
    placed = place_segments(sizes, shards)
    assert sorted(segment for segments in placed for segment in segments) == list(range(len(sizes)))


@given(sizes_and_shards)
def test_no_shard_is_empty(case):
    sizes, shards = case
    assert all(place_segments(sizes, shards))


@given(sizes_and_shards)
def test_the_fullest_shard_exceeds_the_emptiest_by_at_most_one_segment(case):
    sizes, shards = case
    loads = [sum(sizes[s] for s in segments) for segments in place_segments(sizes, shards)]
    assert max(loads) - min(loads) <= max(sizes)


def test_more_shards_than_segments_names_the_remedy():
    with pytest.raises(ValueError, match=r"3 shards for 2 segments; .*--shards 3"):
        place_segments([5, 5], 3)


@given(st.integers(1, 10**6).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, min(n, 50)))))
def test_rows_are_covered_in_order_and_evenly(case):
    n, shards = case
    slices = place_rows(n, shards)
    assert [part.start for part in slices] == [0, *(part.stop for part in slices[:-1])]
    assert slices[-1].stop == n
    lengths = [part.stop - part.start for part in slices]
    assert max(lengths) - min(lengths) <= 1


def test_more_shards_than_codes_are_refused():
    with pytest.raises(ValueError, match="3 shards for 2 codes"):
        place_rows(2, 3)


@pytest.mark.parametrize(
    ("shards", "error"), [(0, ValueError), (-1, ValueError), (True, TypeError), (2.0, TypeError)]
)
def test_a_wrong_number_of_shards_is_refused(shards, error):
    with pytest.raises(error, match="shards must be"):
        place_segments([1, 2], shards)
