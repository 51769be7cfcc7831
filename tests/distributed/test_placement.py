"""Placement gives every segment and every row to exactly one shard, evenly."""

import pytest
from hashnet.distributed.placement import Node, place_replica, place_replicas, place_rows, place_segments
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


nodes = st.integers(1, 5).map(lambda n: [Node(f"node{i}") for i in range(n)])
shard_sizes = st.lists(st.integers(0, 10**9), min_size=1, max_size=12)


@given(shard_sizes, nodes, st.integers(1, 4))
def test_replicas_of_a_shard_are_as_far_apart_as_nodes_allow(sizes, nodes, replicas):
    for where in place_replicas(sizes, nodes, replicas):
        counts = [where.count(node.name) for node in nodes]
        assert sum(counts) == replicas
        assert max(counts) - min(counts) <= 1


@given(shard_sizes, st.lists(st.integers(0, 2 * 10**9), min_size=1, max_size=4), st.integers(1, 3))
def test_no_node_gets_more_than_its_room(sizes, rooms, replicas):
    nodes = [Node(f"node{i}", room) for i, room in enumerate(rooms)]
    try:
        placed = place_replicas(sizes, nodes, replicas)
    except ValueError as error:
        assert "fits on no node" in str(error)  # noqa: PT017
        return
    for node in nodes:
        held = sum(size * where.count(node.name) for size, where in zip(sizes, placed, strict=True))
        assert held <= node.room


@given(st.integers(1, 10**6), st.integers(1, 5), st.integers(1, 20), st.integers(1, 3))
def test_equal_shards_spread_evenly(size, n_nodes, shards, replicas):
    nodes = [Node(f"node{i}") for i in range(n_nodes)]
    placed = place_replicas([size] * shards, nodes, replicas)
    counts = [sum(where.count(node.name) for where in placed) for node in nodes]
    assert max(counts) - min(counts) <= 1


def test_a_new_replica_avoids_nodes_that_have_one():
    nodes = [Node("a"), Node("b"), Node("c")]
    assert place_replica(5, nodes, used={"a": 0, "b": 9, "c": 99}, holders=["a"]) == "b"


def test_a_replica_that_fits_nowhere_tells_what_is_free():
    with pytest.raises(ValueError, match=r"10 bytes fits on no node \(free bytes: a 3\); add a node"):
        place_replica(10, [Node("a", 8)], used={"a": 5}, holders=[])


@pytest.mark.parametrize(("replicas", "error"), [(0, ValueError), (True, TypeError), (1.0, TypeError)])
def test_a_wrong_number_of_replicas_is_refused(replicas, error):
    with pytest.raises(error, match="replicas must be"):
        place_replicas([1], [Node("a")], replicas)
