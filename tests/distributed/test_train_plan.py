"""Decisions of a distributed training: resources, threads, and what a failure is called."""

from __future__ import annotations

import pytest
from hashnet.distributed.train_plan import (
    Resources,
    check_same_task,
    check_workers,
    resources_of,
    threads_of_worker,
    why_given_up,
    with_absolute_paths,
)

from hashnet.training import TrainConfig


@pytest.mark.parametrize(("workers", "range_"), [(3, (3, 3)), (1, (1, 1)), ((2, 5), (2, 5))])
def test_workers_are_a_number_or_a_range(workers, range_):
    assert check_workers(workers) == range_


@pytest.mark.parametrize("workers", [0, -1, (0, 2), (3, 2)])
def test_no_workers_are_refused(workers):
    with pytest.raises(ValueError, match="workers must be a number from 1"):
        check_workers(workers)


@pytest.mark.parametrize(
    ("workers", "device", "cpus", "gpus", "expected"),
    [
        ((2, 2), "cpu", [2], [0], Resources(1.0, False)),
        ((2, 2), "cpu", [32, 32], [4, 4], Resources(1.0, False)),
        ((3, 3), "auto", [2], [0], Resources(0.66, False)),
        # Each node has room for two halves; of 0.66 there would be room for one each.
        ((3, 3), "auto", [1, 1], [0, 0], Resources(0.5, False)),
        # In floats ten times 0.1 do not fit into 1.
        ((10, 10), "cpu", [1], [0], Resources(0.09, False)),
        ((4, 4), "auto", [64], [3], Resources(1.0, False)),
        ((4, 4), "auto", [32, 32], [2, 2], Resources(1.0, True)),
        ((1, 4), "cuda", [64], [1], Resources(1.0, True)),
        ((1, 8), "cpu", [2], [0], Resources(1.0, False)),
        ((2, 8), "cpu", [2], [0], Resources(1.0, False)),
        # Ray would wait for a third CPU without a word.
        ((3, 8), "cpu", [2], [0], Resources(0.66, False)),
        ((4, 4), "cpu", [0.0], [0], Resources(1.0, False)),
        ((4, 4), "cpu", [], [], Resources(1.0, False)),
    ],
)
def test_each_worker_reserves_at_most_a_cpu_and_a_gpu_where_there_are_enough_for_the_least(
    workers, device, cpus, gpus, expected
):
    assert resources_of(workers, device=device, cpus=cpus, gpus=gpus) == expected


def test_a_wanted_gpu_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match=r"2 workers on device 'cuda' need a GPU each, the cluster has 1"):
        resources_of((2, 2), device="cuda", cpus=[8], gpus=[1.0])


def test_more_workers_than_ray_can_place_are_refused():
    with pytest.raises(ValueError, match=r"999 workers do not fit on nodes with 2, 4 CPUs; take fewer"):
        resources_of((999, 999), device="cpu", cpus=[2.0, 4.0], gpus=[])


@pytest.mark.parametrize(("threads", "on_node", "expected"), [(8, 2, 4), (2, 3, 1), (2, 1, 2), (2, 0, 2)])
def test_workers_of_a_node_share_its_threads(threads, on_node, expected):
    assert threads_of_worker(threads, on_node) == expected


def test_a_worker_with_other_data_or_settings_is_told_which():
    check_same_task({"data": 1, "lr": 2}, {"lr": 2, "data": 1})
    with pytest.raises(ValueError, match="another data and lr than the driver"):
        check_same_task({"data": 1, "lr": 2, "seed": 0}, {"data": 2, "lr": 3, "seed": 0})


def test_the_worker_that_died_is_named_before_those_whose_connection_closed():
    told = why_given_up(
        {0: "stack\nRuntimeError: [gloo] Connection closed by peer", 1: "stack\nThe actor died: SIGKILL\n"},
        max_failures=2,
    )
    assert told == (
        "workers failed more than 2 times, training is given up (worker 1: The actor died: SIGKILL; "
        "worker 0: RuntimeError: [gloo] Connection closed by peer); resume it, the last checkpoint is kept"
    )


def test_one_failure_is_enough_where_none_is_allowed():
    told = why_given_up({3: ""}, max_failures=0)
    assert told.startswith("a worker failed, training is given up (worker 3: no reason given)")


def test_paths_among_the_settings_mean_the_same_in_every_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    begun = with_absolute_paths(TrainConfig(init_from="a/model", tensorboard="runs"))
    assert (begun.init_from, begun.tensorboard) == (str(tmp_path / "a/model"), str(tmp_path / "runs"))
    assert with_absolute_paths(TrainConfig(weights="w.pth")).weights == str(tmp_path / "w.pth")
    assert with_absolute_paths(TrainConfig(weights="torchvision")).weights == "torchvision"
    assert with_absolute_paths(TrainConfig()) == TrainConfig()
