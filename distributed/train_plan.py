"""Decisions of a distributed training that need no Ray: what a worker gets, and what its end means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashnet.training import TrainConfig

# The collectives of one step wait this long for the slowest worker. A worker that died is noticed at once, by
# its closed connections; reading images may take one much longer than another.
COLLECTIVE_TIMEOUT_S = 6 * 3600


@dataclass(frozen=True)
class TrainSpec:
    """What a worker needs; paths are absolute and must mean the same on every node.

    ``threads`` are those of a whole node, which its workers share; ``protocol`` is the name of the protocol
    whose images ``rows`` number, or None for the images of ``data`` as they are.
    """

    data: str
    image_root: str | None
    protocol: str | None
    rows: NDArray[np.int64]
    config: TrainConfig
    output: str
    identity: dict[str, Any]
    threads: int


@dataclass(frozen=True)
class Resources:
    """What each worker reserves."""

    cpus: float
    gpu: bool


def with_absolute_paths(config: TrainConfig) -> TrainConfig:
    """Return the settings with paths that mean the same in every working directory."""
    paths = {name: getattr(config, name) for name in ("weights", "init_from", "tensorboard")}
    absolute: dict[str, Any] = {
        name: str(Path(path).absolute()) for name, path in paths.items() if path not in (None, "torchvision")
    }
    return replace(config, **absolute)


def check_workers(workers: int | tuple[int, int]) -> tuple[int, int]:
    """Return the least and the largest number of workers; ValueError for what is none."""
    least, most = workers if isinstance(workers, tuple) else (workers, workers)
    if not 1 <= least <= most:
        raise ValueError(
            f"workers must be a number from 1, or (least, most) with least <= most, got {workers!r}"
        )
    return least, most


def resources_of(
    workers: tuple[int, int], *, device: str, cpus: Sequence[float], gpus: Sequence[float]
) -> Resources:
    """Return what each of ``workers`` (least, most) reserves of nodes with so many ``cpus`` and ``gpus``.

    A GPU for each where ``device`` is "cuda", or "auto" and there are enough for the least. One CPU, or the
    largest share of one, in steps of 0.01, of which the nodes have enough for the least: Ray would wait in
    silence for the rest. Nodes without any CPU are taken for a cluster that grows with what is asked for.

    Raises ValueError where a wanted GPU is not there, or the least are more than 100 a CPU.
    """
    least, _ = workers
    n_gpus = sum(gpus)
    gpu = device.startswith("cuda") or (device == "auto" and n_gpus >= least)
    if gpu and n_gpus < least:
        raise ValueError(
            f"{least} workers on device {device!r} need a GPU each, the cluster has {n_gpus:g}; take fewer "
            "workers, or device cpu"
        )
    if sum(cpus) == 0:
        return Resources(1.0, gpu)
    for percent in range(100, 0, -1):
        share = percent / 100
        # As Ray counts them, in floats: ten times 0.1 is more than 1.
        if sum(of_node // share for of_node in cpus) >= least:
            return Resources(share, gpu)
    there = ", ".join(f"{of_node:g}" for of_node in cpus)
    raise ValueError(f"{least} workers do not fit on nodes with {there} CPUs; take fewer workers")


def threads_of_worker(threads: int, workers_on_node: int) -> int:
    """Return how many threads a worker computes with."""
    return max(1, threads // max(1, workers_on_node))


def check_same_task(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raise ValueError if a worker sees another task than the driver."""
    differing = [name for name in sorted({*found, *wanted}) if found.get(name) != wanted.get(name)]
    if differing:
        raise ValueError(
            f"a worker sees another {' and '.join(differing)} than the driver; data, weights and output must "
            "lie on storage that all nodes share"
        )


def why_given_up(failures: Mapping[int, str], *, max_failures: int) -> str:
    """Return one sentence for workers that failed more than ``max_failures`` times, by rank.

    The worker that died is named first: what the others say is mostly that a connection closed.
    """
    closed = ("connection", "gloo", "nccl", "processgroup")
    ranked = sorted(failures, key=lambda rank: (any(c in failures[rank].lower() for c in closed), rank))
    told = "; ".join(f"worker {rank}: {_short(failures[rank])}" for rank in ranked[:2])
    times = "a worker failed" if max_failures == 0 else f"workers failed more than {max_failures} times"
    return f"{times}, training is given up ({told}); resume it, the last checkpoint is kept"


def _short(text: str) -> str:
    """Return the last line that says something: above it stands the stack of the worker."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "no reason given"
