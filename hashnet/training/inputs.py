"""Training inputs: pixels decoded once, or features computed once, served by row as tensors."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hashnet.datasets import ImageSet, Reject, read_batch
from hashnet.errors import ErrorRateError
from hashnet.models import Preprocessing
from hashnet.progress import Progress
from hashnet.training.config import Augment

T = TypeVar("T")

READ_AT_ONCE = 64
_MEMORY_LIMIT = 4 << 30  # bytes of decoded pixels kept in memory; more lie in a file


class Inputs(Protocol):
    """What the network, or the head alone, is trained on."""

    @property
    def rows(self) -> NDArray[np.int64]:
        """The row in the image set of each place."""

    @property
    def rejects(self) -> list[Reject]:
        """The images that could not be read, and have no place."""

    def batch(self, places: NDArray[np.int64], *, iteration: int | None) -> Tensor:
        """Return the inputs at ``places``, augmented as ``iteration`` says, or plain for None."""


class PixelBatch(NamedTuple):
    """Decoded images ``(n, size, size, 3)`` with their rows in the image set."""

    rows: list[int]
    pixels: NDArray[np.uint8]
    rejects: list[Reject]


def pixel_reader(
    images: ImageSet, rows: NDArray[np.int64], preprocessing: Preprocessing
) -> Callable[[int], PixelBatch]:
    """Return what decodes the batch of ``rows`` that begins at a place."""

    def read(start: int) -> PixelBatch:
        batch = read_batch(images, rows[start : start + READ_AT_ONCE])
        pixels = np.empty((len(batch.rows), preprocessing.size, preprocessing.size, 3), dtype=np.uint8)
        for place, image in enumerate(batch.images):
            pixels[place] = preprocessing.pixels(image)
        return PixelBatch(batch.rows, pixels, batch.rejects)

    return read


def in_order(
    work: Callable[[int], T],
    starts: Iterable[int],
    *,
    workers: int,
    initializer: Callable[[], None] | None = None,
) -> Iterator[T]:
    """Yield ``work(start)`` in the order of ``starts``, done by threads that are at most one round ahead."""
    waiting: deque[Future[T]] = deque()
    with ThreadPoolExecutor(workers, initializer=initializer) as pool:
        try:
            for start in starts:
                waiting.append(pool.submit(work, start))
                if len(waiting) > 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def check_error_rate(rejects: list[Reject], n: int, *, max_error_rate: float) -> None:
    """Raise ErrorRateError if more than ``max_error_rate`` of ``n`` images were unreadable."""
    if len(rejects) > max_error_rate * n:
        first = "; ".join(f"{reject.key} ({reject.reason})" for reject in rejects[:3])
        raise ErrorRateError(
            f"{len(rejects)} of {n} images cannot be read, more than max_error_rate={max_error_rate} allows: "
            f"{first}; repair or remove them, or allow more"
        )


@dataclass(frozen=True)
class FeatureInputs:
    """Features ``(n, n_features)`` on the device of training."""

    features: Tensor
    rows: NDArray[np.int64]
    rejects: list[Reject]

    def batch(self, places: NDArray[np.int64], *, iteration: int | None) -> Tensor:
        """Return features; they are the same in every iteration."""
        return self.features[torch.from_numpy(places).to(self.features.device)]


@dataclass(frozen=True)
class PixelInputs:
    """Decoded images ``(n, size, size, 3)``, augmented and normalised when asked for.

    The augmentation of a batch depends on seed and iteration alone, so that a run resumes exactly.
    """

    pixels: NDArray[np.uint8]
    rows: NDArray[np.int64]
    rejects: list[Reject]
    preprocessing: Preprocessing
    augment: Augment
    seed: int
    device: torch.device

    def batch(self, places: NDArray[np.int64], *, iteration: int | None) -> Tensor:
        """Return normalised images ``(n, 3, size, size)``."""
        pixels = self.pixels[places]
        if iteration is not None and self.augment != "none":
            rng = np.random.default_rng((self.seed, 1, iteration))
            pixels = augmented(pixels, rng, mirror=self.augment == "flip")
        return torch.from_numpy(self.preprocessing.normalize(pixels)).to(self.device)


def augmented(pixels: NDArray[np.uint8], rng: np.random.Generator, *, mirror: bool) -> NDArray[np.uint8]:
    """Return images shifted by up to an eighth of their side, edges repeated, and half of them mirrored."""
    size = pixels.shape[1]
    reach = max(1, size // 8)
    padded = np.pad(pixels, ((0, 0), (reach, reach), (reach, reach), (0, 0)), mode="edge")
    shifts = rng.integers(0, 2 * reach + 1, (len(pixels), 2))
    mirrored = rng.random(len(pixels)) < 0.5 if mirror else np.zeros(len(pixels), dtype=bool)
    result = np.empty_like(pixels)
    for place, (top, left) in enumerate(shifts):
        shifted = padded[place, top : top + size, left : left + size]
        result[place] = shifted[:, ::-1] if mirrored[place] else shifted
    return result


def load_pixels(
    images: ImageSet,
    rows: NDArray[np.int64],
    preprocessing: Preprocessing,
    *,
    augment: Augment,
    seed: int,
    max_error_rate: float,
    device: torch.device,
    scratch: Path,
    progress: Progress,
) -> PixelInputs:
    """Decode all images once; what exceeds 4 GiB lies in a file in the directory ``scratch``."""
    shape = (len(rows), preprocessing.size, preprocessing.size, 3)
    pixels: NDArray[np.uint8]
    if np.prod(shape, dtype=np.int64) > _MEMORY_LIMIT:
        scratch.mkdir(parents=True, exist_ok=True)
        pixels = np.lib.format.open_memmap(scratch / "pixels.npy", mode="w+", dtype=np.uint8, shape=shape)
    else:
        pixels = np.empty(shape, dtype=np.uint8)
    kept: list[int] = []
    rejects: list[Reject] = []
    progress.start("read images", len(rows))
    began = time.monotonic()
    reader = pixel_reader(images, rows, preprocessing)
    for batch in in_order(reader, range(0, len(rows), READ_AT_ONCE), workers=1):
        pixels[len(kept) : len(kept) + len(batch.rows)] = batch.pixels
        kept += batch.rows
        rejects += batch.rejects
        check_error_rate(rejects, len(rows), max_error_rate=max_error_rate)
        rate = (len(kept) + len(rejects)) / max(time.monotonic() - began, 1e-9)
        progress.advance(len(batch.rows) + len(batch.rejects), images_per_s=rate)
    progress.finish()
    return PixelInputs(
        pixels[: len(kept)], np.asarray(kept, np.int64), rejects, preprocessing, augment, seed, device
    )
