"""Decisions of a distributed encode job that need no Ray: how many CPUs an actor gets, what it is sent."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hashnet.encoding.settings import EncodeSettings

# An actor pool that holds every CPU leaves none to the tasks that feed it, and the job hangs silently.
_FREE_SHARE = 0.25
_LEAST_CPUS = 0.01


@dataclass(frozen=True)
class WorkerSpec:
    """What a worker needs to encode any unit of a job; paths must mean the same on every node."""

    model_dir: str
    data: str
    image_root: str | None
    output: str
    settings: EncodeSettings
    threads: int


def cpus_per_actor(workers: int, free_cpus: float) -> float:
    """Return the CPUs that each of ``workers`` actors reserves; a quarter of ``free_cpus`` stays free.

    At most 1, in steps of 0.01 rounded down. Raises ValueError if that leaves an actor nothing.
    """
    if workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}")
    share = math.floor(100 * min(1.0, free_cpus * (1 - _FREE_SHARE) / workers)) / 100
    if share < _LEAST_CPUS:
        raise ValueError(
            f"{workers} workers on {free_cpus:g} free CPUs would get less than {_LEAST_CPUS} CPU each; "
            "take fewer workers, or end what holds the CPUs of the cluster"
        )
    return share


def rows_of_units(
    settings: EncodeSettings, units: list[int], rows: NDArray[np.int64] | None
) -> list[NDArray[np.int64]]:
    """Return the row numbers of each unit: those of ``rows``, or of all images if None."""
    parts = [settings.unit(unit) for unit in units]
    if rows is None:
        return [np.arange(part.start, part.stop, dtype=np.int64) for part in parts]
    return [rows[part] for part in parts]


def check_same_files(fingerprint: str, identity: str, *, wanted: EncodeSettings) -> None:
    """Raise ValueError if a worker sees another model or other images than the driver."""
    for what, found, expected in (
        ("model", fingerprint, wanted.fingerprint),
        ("data", identity, wanted.identity),
    ):
        if found != expected:
            raise ValueError(
                f"a worker sees another {what} ({found}) than the driver ({expected}); model, data and "
                "output must lie on storage that all nodes share"
            )
