"""Encode images into a code store in this process."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hashnet.datasets.entries import ImageSource
from hashnet.encoding.code_store import CodeStore
from hashnet.encoding.encoder import EncodedRows, Encoder
from hashnet.encoding.job import EncodeJob, Verdict, commit_unit, open_job
from hashnet.encoding.rate import RateMeter
from hashnet.encoding.settings import settings_of
from hashnet.encoding.units import unit_entries
from hashnet.progress import NO_PROGRESS, Progress

UNIT_SIZE = 1024
MAX_ERROR_RATE = 0.01


def encode_to_store(
    model_dir: str | Path,
    images: ImageSource,
    indices: NDArray[np.int64] | None,
    output: str | Path,
    *,
    max_error_rate: float = MAX_ERROR_RATE,
    unit_size: int = UNIT_SIZE,
    threads: int | None = None,
    device: str = "cpu",
    progress: Progress = NO_PROGRESS,
) -> CodeStore:
    """Encode ``indices`` of ``images`` (all, if None) into the directory ``output`` and return its store.

    ``images`` is an image set, or a stream, which is encoded whole. Ids are row numbers. A run that was
    killed is continued by the same call, and the store gets the same bytes as without the interruption, or
    as ``hashnet.distributed.encode_with_ray`` gives. Unreadable images are skipped and listed. Raises
    ErrorRateError if they are more than ``max_error_rate`` of all, ResumeError if ``output`` was begun with
    another model, other images or settings, LockedError if another process is at it.
    """
    encoder = Encoder.load(model_dir, device=device, threads=threads)
    settings = settings_of(
        images,
        indices,
        fingerprint=encoder.fingerprint,
        n_bits=encoder.n_bits,
        unit_size=unit_size,
        batch_size=encoder.batch_size,
        device=device,
    )
    with open_job(Path(output), settings, max_error_rate=max_error_rate, source=images) as job:
        meter = RateMeter(progress, settings.n_images, done=job.n_done, rejected=job.n_rejects)
        encode_units(encoder, images, indices, job, meter)
        store = job.finish()
        meter.finish()
    return store


def encode_units(
    encoder: Encoder,
    images: ImageSource,
    indices: NDArray[np.int64] | None,
    job: EncodeJob,
    meter: RateMeter,
) -> None:
    """Encode the units that remain, one after another; one is committed while the next is computed."""
    waiting: deque[Future[Verdict]] = deque()
    # Inside out: what is computed ends first, and then what waits for it.
    with ThreadPoolExecutor(1, thread_name_prefix="commit") as commits, encoder.session() as session:
        for unit in job.remaining:
            batches = session.read(unit_entries(images, job.settings, unit, indices))
            codes = session.start(batches, meter=meter)
            waiting.append(commits.submit(_commit, job.output, unit, codes))
            while waiting and (waiting[0].done() or len(waiting) > 2):
                job.accept(waiting.popleft().result())
        while waiting:
            job.accept(waiting.popleft().result())


def _commit(output: Path, unit: int, codes: Callable[[], EncodedRows]) -> Verdict:
    return commit_unit(output, unit, codes())
