"""Training on pixels: images decoded once, in memory or in files, and augmented by seed and iteration."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hashnet.datasets import ImageSet, Reject
from hashnet.models import Preprocessing
from hashnet.progress import Progress
from hashnet.training.augmentation import Draws, augmented, augmented_on_device, normalized_on_device
from hashnet.training.config import Augment
from hashnet.training.inputs import (
    EVERYTHING,
    READ_AT_ONCE,
    check_error_rate,
    gather_kept,
    in_order,
    pixel_reader,
    share_of,
)
from hashnet.training.world import ALONE, Stop, World, never, together

_MEMORY_LIMIT = 4 << 30  # bytes of decoded pixels kept in memory; more lie in a file


@dataclass(frozen=True)
class PixelInputs:
    """Decoded images, augmented and normalised when asked for.

    ``pixels`` are arrays ``(n, size, size, 3)`` one after another, none of them empty. The augmentation of a
    batch depends on seed and iteration alone, so that a run resumes exactly, with any number of workers.
    """

    pixels: list[NDArray[np.uint8]]
    rows: NDArray[np.int64]
    rejects: list[Reject]
    preprocessing: Preprocessing
    augment: Augment
    seed: int
    device: torch.device

    def batch(self, places: NDArray[np.int64], *, iteration: int | None, part: slice = EVERYTHING) -> Tensor:
        """Return normalised images ``(n, 3, size, size)``."""
        pixels = self._at(places[part])
        draws: Draws | None = None
        if iteration is not None and self.augment != "none":
            rng = np.random.default_rng((self.seed, 1, iteration))
            mirror = self.augment == "flip"
            draws = Draws.of(rng, len(places), size=self.preprocessing.size, mirror=mirror).part(part)
        if self.device.type == "cuda":
            # A quarter of the bytes to send, and the GPU does in no time what takes the CPU 0.1 ms an image.
            sent = torch.from_numpy(pixels).pin_memory().to(self.device, non_blocking=True)
            sent = sent if draws is None else augmented_on_device(sent, draws)
            return normalized_on_device(sent, torch.from_numpy(self.preprocessing.table()).to(self.device))
        # With numpy: torch would start threads of its own in each of the threads that prepare batches.
        pixels = pixels if draws is None else augmented(pixels, draws)
        return torch.from_numpy(self.preprocessing.normalize(pixels))

    def _at(self, places: NDArray[np.int64]) -> NDArray[np.uint8]:
        if len(self.pixels) == 1:
            return self.pixels[0][places]
        ends = np.cumsum([len(array) for array in self.pixels])
        sources = np.searchsorted(ends, places, side="right")
        pixels = np.empty((len(places), *self.pixels[0].shape[1:]), dtype=np.uint8)
        for source in np.unique(sources):
            array, chosen = self.pixels[source], sources == source
            pixels[chosen] = array[places[chosen] - (ends[source] - len(array))]
        return pixels


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
    workers: int = 1,
    world: World = ALONE,
    stop: Stop = never,
) -> PixelInputs:
    """Decode all images once, each process its share; what exceeds 4 GiB lies in a file in ``scratch``.

    ``workers`` threads decode; what they read does not depend on their number. Several processes write files
    there in any case, and map each other's: a node holds the images in memory once, however many processes it
    runs.
    """
    mine = share_of(rows, world)

    def read() -> tuple[NDArray[np.uint8], list[int], list[Reject]]:
        shape = (len(mine), preprocessing.size, preprocessing.size, 3)
        pixels = _room(shape, _file(scratch, world.rank), shared=world.size > 1)
        kept: list[int] = []
        rejects: list[Reject] = []
        began = time.monotonic()
        reader = pixel_reader(images, mine, preprocessing)
        for batch in in_order(reader, range(0, len(mine), READ_AT_ONCE), workers=max(1, workers)):
            pixels[len(kept) : len(kept) + len(batch.rows)] = batch.pixels
            kept += batch.rows
            rejects += batch.rejects
            check_error_rate(rejects, len(rows), max_error_rate=max_error_rate)
            rate = (len(kept) + len(rejects)) / max(time.monotonic() - began, 1e-9)
            progress.advance(len(batch.rows) + len(batch.rejects), images_per_s=rate)
            if stop():
                raise KeyboardInterrupt
        if isinstance(pixels, np.memmap):
            pixels.flush()
        return pixels[: len(kept)], kept, rejects

    progress.start("read images", len(mine))
    pixels, own_rows, own_rejects = together(world, read)
    progress.finish()
    kept = gather_kept(world, own_rows, own_rejects)
    check_error_rate(kept.rejects, len(rows), max_error_rate=max_error_rate)
    if world.size == 1:
        parts = [pixels]
    else:
        files = [_file(scratch, rank) for rank, count in enumerate(kept.counts) if count]
        counts = [count for count in kept.counts if count]
        parts = [np.load(file, mmap_mode="r")[:count] for file, count in zip(files, counts, strict=True)]
    return PixelInputs(parts, kept.rows, kept.rejects, preprocessing, augment, seed, device)


def _file(scratch: Path, rank: int) -> Path:
    return scratch / f"pixels-{rank:05d}.npy"


def _room(shape: tuple[int, ...], path: Path, *, shared: bool) -> NDArray[np.uint8]:
    """Return where to put decoded images: memory, or a new file if they are too many or others need them."""
    n_bytes = int(np.prod(shape, dtype=np.int64))
    if n_bytes == 0 or not (shared or n_bytes > _MEMORY_LIMIT):
        return np.empty(shape, dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    # A process that is not quite dead yet may still map the file of an earlier attempt.
    path.unlink(missing_ok=True)
    return np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
