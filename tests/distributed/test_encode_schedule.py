"""Who encodes what next, without Ray."""

import pytest
from hashnet.distributed.encode_schedule import UnitSchedule, runs_of
from hypothesis import given
from hypothesis import strategies as st

from hashnet.errors import HashnetError

units = st.sets(st.integers(0, 60)).map(sorted)


@given(units)
def test_runs_hold_the_units_in_order(some):
    assert [unit for run in runs_of(some) for unit in run] == some


@given(units, st.lists(st.integers(0, 3), max_size=200), st.data())
def test_every_unit_is_handed_out_once_and_again_only_if_it_was_lost(some, turns, data):
    schedule = UnitSchedule(some, max_losses=1000)
    handed, lost = [], []
    for worker in turns:
        unit = schedule.next(worker)
        if unit is None:
            continue
        handed.append(unit)
        if data.draw(st.integers(0, 4)) == 0:
            schedule.lost([unit], "killed")
            lost.append(unit)
    while (unit := schedule.next(9)) is not None:
        handed.append(unit)
    assert sorted(handed) == sorted(some + lost)


def test_a_worker_gets_units_that_follow_one_another():
    schedule = UnitSchedule([3, 4, 5, 9, 10])
    assert [schedule.next(0) for _ in range(6)] == [3, 4, 5, 9, 10, None]


def test_another_worker_takes_the_further_half():
    schedule = UnitSchedule(range(10))
    assert schedule.next(0) == 0
    assert [schedule.next(1) for _ in range(5)] == [5, 6, 7, 8, 9]
    assert schedule.next(1) == 3
    assert [schedule.next(0) for _ in range(2)] == [1, 2]
    assert schedule.next(1) == 4
    assert schedule.next(0) is None


def test_lost_units_come_last():
    schedule = UnitSchedule(range(4))
    assert schedule.next(0) == 0
    schedule.lost([0], "killed")
    assert [schedule.next(0) for _ in range(5)] == [1, 2, 3, 0, None]


def test_a_unit_that_ends_every_worker_ends_the_job():
    schedule = UnitSchedule([7], max_losses=3)
    for _ in range(2):
        assert schedule.next(0) == 7
        schedule.lost([7], "killed")
    with pytest.raises(HashnetError, match=r"work units \[7\] took 3 workers .* by OutOfMemoryError"):
        schedule.lost([7], "OutOfMemoryError")


def test_a_node_that_goes_with_many_workers_does_not_end_a_job():
    schedule = UnitSchedule(range(100), max_losses=2)
    schedule.lost([schedule.next(worker) for worker in range(50)], "killed")
    assert sorted(iter(lambda: schedule.next(0), None)) == list(range(100))
