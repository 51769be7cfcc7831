"""Where units of work are done: by the sizes of nodes, and again where a worker was lost."""

import pytest
from hashnet.distributed.worker_placement import MAX_LOSSES, NodeSize, UnitQueue, WorkerSlot, place_workers

GIB = 1 << 30


def slots(*threads):
    return [WorkerSlot(f"node{i}", float(n), n, GIB) for i, n in enumerate(threads)]


def test_workers_go_where_the_cpus_are():
    nodes = [NodeSize("small", 4), NodeSize("large", 12)]
    placed = place_workers(nodes, 4, memory=12 * GIB)
    assert [slot.node for slot in placed] == ["large", "large", "large", "small"]
    assert {slot.threads for slot in placed} == {4}


def test_the_order_of_the_nodes_does_not_matter():
    nodes = [NodeSize(name, 4) for name in "cab"]
    assert place_workers(nodes, 2, memory=GIB) == place_workers(nodes[::-1], 2, memory=GIB)
    assert [slot.node for slot in place_workers(nodes, 2, memory=GIB)] == ["a", "b"]


def test_the_workers_of_a_node_share_its_memory_and_cpus():
    placed = place_workers([NodeSize("a", 7)], 3, memory=4 * GIB)
    assert placed == [WorkerSlot("a", 2.0, 2, 4 * GIB // 3)] * 3


def test_more_workers_than_cpus_take_parts_of_one():
    placed = place_workers([NodeSize("a", 2)], 3, memory=4 * GIB)
    assert placed == [WorkerSlot("a", 0.66, 1, 4 * GIB // 3)] * 3
    assert sum(slot.cpus for slot in placed) <= 2


def test_a_node_without_cpus_builds_nothing():
    placed = place_workers([NodeSize("head", 0), NodeSize("work", 2)], 2, memory=GIB)
    assert {slot.node for slot in placed} == {"work"}


@pytest.mark.parametrize(
    ("nodes", "workers", "memory", "message"),
    [
        ([NodeSize("a", 2)], 0, GIB, "workers must be at least 1, got 0"),
        ([NodeSize("a", 0)], 1, GIB, "no node of the cluster has a CPU"),
        ([NodeSize("a", 8)], 8, GIB // 4, "at least 64 MiB for each worker, got 256 MiB for the 8 workers"),
    ],
)
def test_what_cannot_be_placed_is_refused(nodes, workers, memory, message):
    with pytest.raises(ValueError, match=message):
        place_workers(nodes, workers, memory=memory, least_memory=64 << 20)


def drain(queue, slot):
    parts = []
    while (part := queue.next(slot)) is not None:
        parts.append(part)
        queue.done(slot)
    return parts


def test_parts_are_shared_by_threads():
    queue = UnitQueue(dict.fromkeys(range(6), 10), slots(2, 1))
    taken = [queue.next(0) for _ in range(4)]
    assert taken == [0, 1, 3, 4]
    assert [queue.next(1), queue.next(1)] == [2, 5]


def test_a_worker_that_is_ahead_takes_what_waits_for_another():
    queue = UnitQueue(dict.fromkeys(range(4), 10), slots(1, 1))
    assert drain(queue, 0) == [0, 2, 1, 3]
    assert queue.next(1) is None
    assert not queue.has_units()


def test_a_lost_part_waits_again_for_the_worker_that_replaces_it():
    queue = UnitQueue({0: 10, 1: 10}, slots(1))
    assert queue.lost(0, queue.next(0))
    assert drain(queue, 0) == [0, 1]


def test_a_place_that_loses_worker_after_worker_is_given_up_and_others_take_its_parts():
    queue = UnitQueue(dict.fromkeys(range(4), 10), slots(1, 1))
    assert queue.lost(0, queue.next(0))
    assert not queue.lost(0, queue.next(0))
    assert not queue.is_open(0)
    assert queue.next(0) is None
    assert sorted(drain(queue, 1)) == [0, 1, 2, 3]


def test_losses_with_success_between_are_forgiven_to_the_place():
    queue = UnitQueue(dict.fromkeys(range(5), 10), slots(1))
    for _ in range(4):
        part = queue.next(0)
        assert queue.lost(0, part)
        assert queue.next(0) == part
        queue.done(0)


def test_a_part_that_ends_every_worker_is_given_up():
    queue = UnitQueue({7: 10}, slots(1, 1, 1))
    for slot in range(MAX_LOSSES - 1):
        queue.lost(slot, queue.next(slot))
    with pytest.raises(RuntimeError, match="unit 7 ended 3 workers"):
        queue.lost(2, queue.next(2))


def test_without_any_place_left_the_build_ends():
    queue = UnitQueue({0: 10, 1: 10}, slots(1))
    first = queue.next(0)
    assert queue.lost(0, first)
    queue.next(0)
    second = queue.next(0)
    with pytest.raises(RuntimeError, match="no worker is left"):
        queue.lost(0, second)
