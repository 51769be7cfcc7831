"""Encode images with a pool of Ray actors into the same code store as a local run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import ray
from numpy.typing import NDArray
from ray.exceptions import RayActorError, RayError, RayTaskError

from hashnet.allocator import KEEP_FREED_MEMORY
from hashnet.datasets.opening_streams import absolute_data, open_source
from hashnet.encoding import CodeStore
from hashnet.encoding.encoder import batch_size_on
from hashnet.encoding.job import EncodeJob, Verdict, open_job
from hashnet.encoding.local import MAX_ERROR_RATE, UNIT_SIZE
from hashnet.encoding.rate import RateMeter
from hashnet.encoding.settings import EncodeSettings, settings_of
from hashnet.errors import DamagedError, HashnetError, SourceChangedError
from hashnet.models import load_model
from hashnet.progress import NO_PROGRESS, Progress

from .cluster import ray_cluster
from .encode_schedule import UnitSchedule
from .encode_units import (
    DataSpec,
    WorkerSpec,
    default_decoders,
    default_threads,
    default_workers,
    shares,
    units_at_a_worker,
    work_unit,
)
from .encode_worker import UnitWorker

STALL_TIMEOUT_S = 600.0
# Ray tells late that the resources of an actor are free again.
RELEASE_S = 3.0


def encode_with_ray(
    model_dir: str | Path,
    data: str | Path,
    output: str | Path,
    *,
    indices: NDArray[np.int64] | None = None,
    image_root: str | Path | None = None,
    image_column: str | None = None,
    key_column: str | None = None,
    workers: int | None = None,
    threads: int | None = None,
    decoders: int | None = None,
    max_error_rate: float = MAX_ERROR_RATE,
    unit_size: int = UNIT_SIZE,
    device: str = "cpu",
    address: str | None = None,
    stall_timeout_s: float = STALL_TIMEOUT_S,
    progress: Progress = NO_PROGRESS,
) -> CodeStore:
    """Encode as ``hashnet.encoding.encode_to_store`` does, with ``workers`` actors of ``threads`` threads.

    ``data``, ``image_root`` and the columns are those of ``open_source``; model, data and output must lie on
    storage that all nodes share. By default there is a worker for each GPU, or for each CPU.
    ``decoders`` tasks decode for each worker; by default as many as there are CPUs for a GPU, and none where
    the network runs on CPUs, whose threads then decode themselves.

    The store is byte-identical to a local one, and each can continue what the other began; nodes with other
    instruction sets or another torch may differ in the last bit of a relaxed code. A worker or decoder that
    dies is replaced and its units are encoded again. A running Ray is used, else one is joined (``address``)
    or started for this call. Raises what ``encode_to_store`` raises, DamagedError and SourceChangedError of
    a worker as they are, and HashnetError for what else a worker raised, for units that lose every worker,
    and if no unit ends within ``stall_timeout_s``.
    """
    source = open_source(
        data,
        image_root=image_root,
        image_column=image_column,
        key_column=key_column,
        in_memory=indices is not None,
    )
    model = load_model(model_dir)
    settings = settings_of(
        source,
        indices,
        fingerprint=model.fingerprint,
        n_bits=model.n_bits,
        unit_size=unit_size,
        batch_size=batch_size_on(device),
        device=device,
    )
    # Workers start in folders of their own.
    data_spec = DataSpec(
        data=absolute_data(data),
        image_root=None if image_root is None else str(Path(image_root).absolute()),
        source=source,
        rows=indices,
    )
    with open_job(Path(output), settings, max_error_rate=max_error_rate, source=source) as job:
        meter = RateMeter(progress, settings.n_images, done=job.n_done, rejected=job.n_rejects)
        if job.remaining:
            with ray_cluster(address):
                spec, n_workers, options = _resources(
                    model_dir, output, settings, workers=workers, threads=threads, decoders=decoders
                )
                pool = _Pool(spec, min(n_workers, len(job.remaining)), options)
                _encode(pool, data_spec, job, meter, stall_timeout_s=stall_timeout_s)
        store = job.finish()
        meter.finish()
    return store


def _resources(
    model_dir: str | Path,
    output: str | Path,
    settings: EncodeSettings,
    *,
    workers: int | None,
    threads: int | None,
    decoders: int | None,
) -> tuple[WorkerSpec, int, dict[str, Any]]:
    """Return what workers are told, how many they are, and what Ray reserves for each."""
    cpus, gpus = _free_resources()
    on_gpu = not settings.device.startswith("cpu")
    threads = threads or default_threads(on_gpu=on_gpu)
    if workers is None:
        workers = default_workers(on_gpu=on_gpu, threads=threads, cpus=cpus, gpus=gpus)
    if decoders is None:
        decoders = default_decoders(on_gpu=on_gpu, workers=workers, cpus=cpus)
    share = shares(
        workers=workers,
        threads=threads,
        decoders=decoders,
        on_gpu=on_gpu,
        free_cpus=cpus,
        free_gpus=gpus,
    )
    spec = WorkerSpec(
        model_dir=str(Path(model_dir).absolute()),
        output=str(Path(output).absolute()),
        settings=settings,
        threads=threads,
        decoders=decoders,
        decoder_cpus=share.decoder_cpus,
    )
    return spec, workers, {"num_cpus": share.worker_cpus, "num_gpus": share.worker_gpus or None}


def _free_resources() -> tuple[float, float]:
    """Return the free CPUs and GPUs, after a moment for those of actors that just ended to be given back."""
    end = time.monotonic() + RELEASE_S
    while True:
        free, total = ray.available_resources(), ray.cluster_resources()
        if time.monotonic() > end or free.get("CPU", 0.0) >= total.get("CPU", 0.0):
            return float(free.get("CPU", 0.0)), float(free.get("GPU", 0.0))
        time.sleep(0.1)


class _Pool:
    """The workers and the units they have; a worker that died is replaced."""

    def __init__(self, spec: WorkerSpec, n: int, options: dict[str, Any]) -> None:
        self.spec = spec
        self._units = units_at_a_worker(spec.decoders)
        # Freed memory is kept by the environment, because Ray's threads are there before the worker is: 10 %.
        self._actor = ray.remote(UnitWorker).options(
            max_concurrency=self._units, runtime_env={"env_vars": KEEP_FREED_MEMORY}, **options
        )
        self._workers = [self._actor.remote(spec) for _ in range(n)]
        self._pending: dict[Any, tuple[int, int]] = {}

    def vacancies(self) -> Iterator[int]:
        """Yield each worker once for every unit that it may have in addition."""
        has = [worker for worker, _ in self._pending.values()]
        for worker in range(len(self._workers)):
            for _ in range(self._units - has.count(worker)):
                yield worker

    def start(self, worker: int, unit: Any) -> None:
        """Have a worker encode a unit."""
        self._pending[self._workers[worker].encode.remote(unit)] = (worker, unit.number)

    def __bool__(self) -> bool:
        return bool(self._pending)

    def wait(self, timeout_s: float) -> tuple[Verdict | RayError, list[int]]:
        """Return what became of one unit, a verdict or a loss, and the units that go with it.

        Raises the error of a unit that cannot be encoded, and HashnetError after ``timeout_s``.
        """
        ready, _ = ray.wait(list(self._pending), num_returns=1, timeout=timeout_s)
        if not ready:
            raise HashnetError(
                f"no work unit ended within {timeout_s:g} s; are there free CPUs and GPUs, is the storage "
                "alive? The finished units are kept, run again to continue"
            )
        worker, unit = self._pending.pop(ready[0])
        try:
            return Verdict.from_json(ray.get(ready[0])), [unit]
        except RayActorError as error:
            gone = [reference for reference, (owner, _) in self._pending.items() if owner == worker]
            units = [unit, *(self._pending.pop(reference)[1] for reference in gone)]
            # It may only be out of reach.
            ray.kill(self._workers[worker])
            self._workers[worker] = self._actor.remote(self.spec)
            return error, units
        except RayTaskError as error:
            # A decoder died, or was ended for lack of memory.
            if isinstance(error.cause, RayError):
                return error.cause, [unit]
            _raise(error.cause, unit)
        except RayError as error:
            return error, [unit]

    def close(self) -> None:
        """End all workers."""
        for worker in self._workers:
            ray.kill(worker)


@contextmanager
def _closing(pool: _Pool) -> Iterator[_Pool]:
    try:
        yield pool
    finally:
        pool.close()


def _encode(pool: _Pool, data: DataSpec, job: EncodeJob, meter: RateMeter, *, stall_timeout_s: float) -> None:
    """Have all units encoded that remain: a worker has some units, and gets another for each verdict."""
    schedule = UnitSchedule(job.remaining)
    with _closing(pool):
        while True:
            for worker in list(pool.vacancies()):
                unit = schedule.next(worker)
                if unit is not None:
                    pool.start(worker, work_unit(data, job.settings, unit))
            if not pool:
                return
            outcome, units = pool.wait(stall_timeout_s)
            if isinstance(outcome, Verdict):
                job.accept(outcome)
                meter.advance(outcome.n_images, n_rejected=len(outcome.rejects))
            else:
                schedule.lost(units, type(outcome).__name__)


def _raise(error: BaseException, unit: int) -> NoReturn:
    if isinstance(error, DamagedError | SourceChangedError):
        raise error
    raise HashnetError(
        f"a worker failed in work unit {unit}: {type(error).__name__}: {error}; the finished units are kept, "
        "run again to continue"
    ) from None
