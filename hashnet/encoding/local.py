"""Encode an image set into a code store in this process."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hashnet.datasets import ImageSet
from hashnet.encoding.code_store import CodeStore
from hashnet.encoding.encoder import Encoder
from hashnet.encoding.job import Verdict, commit_unit, open_job
from hashnet.encoding.settings import settings_of
from hashnet.encoding.shards import CodeShard
from hashnet.progress import NO_PROGRESS, Progress

UNIT_SIZE = 1024
MAX_ERROR_RATE = 0.01


def encode_to_store(
    model_dir: str | Path,
    images: ImageSet,
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

    Ids are row numbers of the image set. A run that was killed is continued by the same call, and the store
    gets the same bytes as without the interruption, or as ``hashnet.distributed.encode_with_ray`` gives.
    Unreadable images are skipped and listed. Raises ErrorRateError if they are more than ``max_error_rate``
    of all, ResumeError if ``output`` was begun with another model, other images or settings, LockedError if
    another process is at it.
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
    output = Path(output)
    with open_job(output, settings, max_error_rate=max_error_rate) as job:
        progress.start("encode", settings.n_images)
        progress.advance(job.n_done)
        began, done = time.perf_counter(), 0
        for unit in job.remaining:
            part = settings.unit(unit)
            of_unit = np.arange(part.start, part.stop) if indices is None else indices[part]
            verdict = encode_unit(encoder, images, output, unit, of_unit, progress=progress)
            job.accept(verdict)
            done += verdict.n_images
            progress.advance(0, images_per_s=done / (time.perf_counter() - began))
        store = job.finish()
        progress.finish()
    return store


def encode_unit(
    encoder: Encoder,
    images: ImageSet,
    output: Path,
    unit: int,
    rows: NDArray[np.int64],
    *,
    progress: Progress = NO_PROGRESS,
) -> Verdict:
    """Encode one work unit and commit it to ``output``."""
    encoded = encoder.encode_image_set(images, rows, progress=progress)
    return commit_unit(output, unit, CodeShard(encoded.codes, encoded.ids, encoded.keys), encoded.rejects)
