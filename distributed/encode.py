"""Encode an image set with a pool of Ray actors into the same code store as a local run."""

from __future__ import annotations

import logging
import time
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import ray
import ray.data
from numpy.typing import NDArray

from hashnet.datasets import ImageSet, open_images
from hashnet.encoding import CodeStore, Encoder
from hashnet.encoding.encoder import batch_size_on
from hashnet.encoding.job import Verdict, open_job
from hashnet.encoding.local import MAX_ERROR_RATE, UNIT_SIZE, encode_unit
from hashnet.encoding.settings import settings_of
from hashnet.errors import HashnetError
from hashnet.models import load_model
from hashnet.progress import NO_PROGRESS, Progress

from .cluster import ray_cluster
from .encode_units import WorkerSpec, check_same_files, cpus_per_actor, rows_of_units

STALL_TIMEOUT_S = 600.0


def encode_with_ray(
    model_dir: str | Path,
    data: str | Path,
    output: str | Path,
    *,
    indices: NDArray[np.int64] | None = None,
    image_root: str | Path | None = None,
    workers: int = 2,
    threads: int = 1,
    max_error_rate: float = MAX_ERROR_RATE,
    unit_size: int = UNIT_SIZE,
    device: str = "cpu",
    address: str | None = None,
    stall_timeout_s: float = STALL_TIMEOUT_S,
    progress: Progress = NO_PROGRESS,
) -> CodeStore:
    """Encode as ``hashnet.encoding.encode_to_store`` does, with ``workers`` actors of ``threads`` threads.

    ``data`` and ``image_root`` are those of ``open_images``; model, data and output must lie on storage that
    all nodes share. The store is byte-identical to a local one, and each can continue what the other began;
    nodes with other instruction sets or another torch may differ in the last bit of a relaxed code.
    A running Ray is used, else one is joined (``address``) or started for this call. Raises what
    ``encode_to_store`` raises, HashnetError for what a worker raised, and
    ray.data.exceptions.ExecutionTimeoutError if no unit ends within ``stall_timeout_s``.
    """
    images = open_images(data, image_root=image_root)
    model = load_model(model_dir)
    settings = settings_of(
        images,
        indices,
        fingerprint=model.fingerprint,
        n_bits=model.n_bits,
        unit_size=unit_size,
        batch_size=batch_size_on(device),
        device=device,
    )
    # Workers start in folders of their own.
    spec = WorkerSpec(
        model_dir=str(Path(model_dir).absolute()),
        data=str(data) if data == "digits" else str(Path(data).absolute()),
        image_root=None if image_root is None else str(Path(image_root).absolute()),
        output=str(Path(output).absolute()),
        settings=settings,
        threads=threads,
    )
    with open_job(Path(output), settings, max_error_rate=max_error_rate) as job:
        progress.start("encode", settings.n_images)
        progress.advance(job.n_done)
        remaining = job.remaining
        if remaining:
            began, done = time.perf_counter(), 0
            with ray_cluster(address):
                rows = rows_of_units(settings, remaining, indices)
                dataset = _verdicts(spec, remaining, rows, workers=workers, stall_timeout_s=stall_timeout_s)
                # Closing ends the actors as well when the job is given up.
                with closing(_run(dataset)) as verdicts:
                    for verdict in verdicts:
                        job.accept(verdict)
                        done += verdict.n_images
                        rate = done / (time.perf_counter() - began)
                        progress.advance(verdict.n_images, images_per_s=rate)
        store = job.finish()
        progress.finish()
    return store


class UnitEncoder:
    """An actor that encodes and commits work units and answers with their verdicts."""

    def __init__(self, spec: WorkerSpec) -> None:
        self._spec = spec
        self._opened: tuple[Encoder, ImageSet] | None = None

    def __call__(self, units: Any) -> Any:
        """Encode the units of a table (unit, rows); return a table of verdicts and of what went wrong."""
        answers = [
            self._encode(unit, np.array(rows, dtype=np.int64))
            for unit, rows in zip(units["unit"].to_pylist(), units["rows"].to_pylist(), strict=True)
        ]
        return pa.table({"verdict": [a for a, _ in answers], "error": [e for _, e in answers]})

    def _encode(self, unit: int, rows: NDArray[np.int64]) -> tuple[str, str]:
        # An exception would reach the driver only as a text of Ray, with the stack of the worker.
        try:
            if self._opened is None:
                self._opened = _open(self._spec)
            encoder, images = self._opened
            return encode_unit(encoder, images, Path(self._spec.output), unit, rows).to_json(), ""
        except (HashnetError, ValueError, OSError, RuntimeError) as error:
            return "", f"work unit {unit}: {type(error).__name__}: {error}"


def _open(spec: WorkerSpec) -> tuple[Encoder, ImageSet]:
    encoder = Encoder.load(spec.model_dir, device=spec.settings.device, threads=spec.threads)
    images = open_images(spec.data, image_root=spec.image_root)
    check_same_files(encoder.fingerprint, images.identity(), wanted=spec.settings)
    return encoder, images


def _verdicts(
    spec: WorkerSpec,
    units: list[int],
    rows: list[NDArray[np.int64]],
    *,
    workers: int,
    stall_timeout_s: float,
) -> Any:
    """Return the lazy data set of verdicts: one block, and so one task, for each work unit."""
    # Errors are raised; here they would be printed a second time, with the stack of the worker.
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    workers = min(workers, len(units))
    free = ray.available_resources()
    on_gpu = not spec.settings.device.startswith("cpu")
    tables = [
        pa.table({"unit": [unit], "rows": pa.array([of_unit.tolist()], pa.list_(pa.int64()))})
        for unit, of_unit in zip(units, rows, strict=True)
    ]
    dataset = ray.data.from_arrow(tables).map_batches(
        UnitEncoder,
        fn_constructor_args=(spec,),
        batch_size=None,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=workers),
        num_cpus=cpus_per_actor(workers, free.get("CPU", 0.0)),
        num_gpus=free.get("GPU", 0.0) / workers if on_gpu else None,
    )
    dataset.context.execution_no_progress_timeout_s = stall_timeout_s
    dataset.context.enable_progress_bars = False
    return dataset


def _run(dataset: Any) -> Generator[Verdict, None, None]:
    """Yield the verdicts as they arrive; raise HashnetError for a unit that could not be encoded."""
    for batch in dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
        for verdict, error in zip(batch["verdict"].to_pylist(), batch["error"].to_pylist(), strict=True):
            if error:
                raise HashnetError(
                    f"a worker failed in {error}; the finished units are kept, run again to continue"
                )
            yield Verdict.from_json(verdict)
