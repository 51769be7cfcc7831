"""Decisions of a distributed encode job that need no Ray: who gets how many CPUs, what a unit consists of."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hashnet.datasets.entries import ImageSource, ImageStream
from hashnet.encoding.settings import EncodeSettings
from hashnet.encoding.units import SetPart, WorkUnit
from hashnet.errors import SourceChangedError

# Decoders that find no CPU free would wait for workers that wait for them.
_DECODERS_SHARE = 0.25
_LEAST_CPUS = 0.01
# An accelerator takes what some ten cores decode; more per worker only fill its memory.
_MAX_DECODERS = 16


@dataclass(frozen=True)
class WorkerSpec:
    """What a worker needs to encode any unit of a job; paths must mean the same on every node.

    ``decoders`` tasks decode for a worker, a unit each, with ``decoder_cpus`` reserved; 0: its threads do.
    """

    model_dir: str
    output: str
    settings: EncodeSettings
    threads: int
    decoders: int
    decoder_cpus: float


@dataclass(frozen=True)
class DataSpec:
    """The data of a job as every process can open it, and the rows that are encoded (all, if None)."""

    data: str
    image_root: str | None
    source: ImageSource
    rows: NDArray[np.int64] | None


class Shares(NamedTuple):
    """CPUs reserved for each worker and each of its decoders, and GPUs for each worker."""

    worker_cpus: float
    decoder_cpus: float
    worker_gpus: float


def default_threads(*, on_gpu: bool) -> int:
    """Return one thread a worker, or some for a GPU: while it computes for one, others fill their batches."""
    return 4 if on_gpu else 1


def default_workers(*, on_gpu: bool, threads: int, cpus: float, gpus: float) -> int:
    """Return a worker for each GPU, or for each ``threads`` CPUs; at least one."""
    return max(1, int(gpus) if on_gpu else int(cpus) // threads)


def default_decoders(*, on_gpu: bool, workers: int, cpus: float) -> int:
    """Return how many decoding tasks a worker has: the free CPUs for a GPU, none where CPUs do both.

    On a CPU a worker's threads decode between two batches. Tasks would compete with them for the same cores
    and move the pixels from process to process.
    """
    return min(_MAX_DECODERS, max(1, int(cpus / workers) - 1)) if on_gpu else 0


def shares(
    *, workers: int, threads: int, decoders: int, on_gpu: bool, free_cpus: float, free_gpus: float
) -> Shares:
    """Return what is reserved so that all workers run at once, and their decoders beside them.

    A worker gets at most a CPU for each of its threads, a decoder at most one. As Ray has it, shares below 1
    have two decimals and others none. Raises ValueError if a share would be nothing.
    """
    if workers < 1 or decoders < 0:
        raise ValueError(f"workers must be at least 1 and decoders at least 0, got {workers} and {decoders}")
    if on_gpu and free_gpus <= 0:
        raise ValueError("no GPU of the cluster is free; encode with device cpu, or end what holds the GPUs")
    for_decoders = free_cpus * _DECODERS_SHARE if decoders else 0.0
    if on_gpu and decoders:
        # The network needs hardly any CPU.
        for_decoders = free_cpus * (1 - _DECODERS_SHARE)
    worker_cpus = _rounded((free_cpus - for_decoders) / workers, most=1 if on_gpu else threads)
    decoder_cpus = _rounded(for_decoders / (workers * decoders), most=1) if decoders else 0.0
    if worker_cpus < _LEAST_CPUS or (decoders and decoder_cpus < _LEAST_CPUS):
        raise ValueError(
            f"{workers} workers with {decoders} decoders each on {free_cpus:g} free CPUs would get less than "
            f"{_LEAST_CPUS} CPU each; take fewer, or end what holds the CPUs of the cluster"
        )
    return Shares(worker_cpus, decoder_cpus, min(1.0, free_gpus / workers) if on_gpu else 0.0)


def units_at_a_worker(decoders: int) -> int:
    """Return how many units a worker has at a time: one for each decoder, and one that waits.

    Without decoders the second is read and begun while the first waits for its last batches and the disk.
    """
    return max(1, decoders) + 1


def work_unit(spec: DataSpec, settings: EncodeSettings, unit: int) -> WorkUnit:
    """Return a unit and where its rows are read."""
    part = settings.unit(unit)
    if isinstance(spec.source, ImageStream):
        return WorkUnit(unit, spec.source.part(part.start, part.stop))
    rows = range(part.start, part.stop) if spec.rows is None else spec.rows[part].tolist()
    return WorkUnit(unit, SetPart(spec.data, spec.image_root, settings.identity, tuple(rows)))


def check_same_model(fingerprint: str, *, wanted: EncodeSettings) -> None:
    """Raise SourceChangedError if a worker sees another model than the driver."""
    if fingerprint != wanted.fingerprint:
        raise SourceChangedError(
            f"a worker sees another model ({fingerprint}) than the driver ({wanted.fingerprint}); model, "
            "data and output must lie on storage that all nodes share"
        )


def _rounded(cpus: float, *, most: int) -> float:
    share = min(float(most), cpus)
    return math.floor(share) if share >= 1 else math.floor(100 * share + 1e-9) / 100
