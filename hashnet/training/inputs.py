"""Training inputs: what serves tensors by row, and how the processes of a training read images once."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hashnet.datasets import ImageSet, Reject, read_batch
from hashnet.errors import ErrorRateError
from hashnet.models import Preprocessing
from hashnet.training.world import World, share

S = TypeVar("S")
T = TypeVar("T")

READ_AT_ONCE = 64
EVERYTHING = slice(None)


class Inputs(Protocol):
    """What the network, or the head alone, is trained on."""

    @property
    def rows(self) -> NDArray[np.int64]:
        """The row in the image set of each place."""

    @property
    def rejects(self) -> list[Reject]:
        """The images that could not be read, and have no place."""

    def batch(self, places: NDArray[np.int64], *, iteration: int | None, part: slice = EVERYTHING) -> Tensor:
        """Return the inputs at ``places``, augmented as ``iteration`` says, or plain for None.

        With ``part`` those rows of it only, as they are in the whole batch.
        """


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
    work: Callable[[S], T],
    starts: Iterable[S],
    *,
    workers: int,
    ahead: int | None = None,
    initializer: Callable[[], None] | None = None,
) -> Generator[T, None, None]:
    """Yield ``work(start)`` in the order of ``starts``, done by threads that are ``ahead`` of the caller.

    By default they are one round ahead. Without workers each result is computed when it is asked for.
    ``starts`` is read in the thread of the caller.
    """
    if workers == 0:
        yield from map(work, starts)
        return
    ahead = 2 * workers if ahead is None else ahead
    waiting: deque[Future[T]] = deque()
    with ThreadPoolExecutor(workers, initializer=initializer) as pool:
        try:
            for start in starts:
                waiting.append(pool.submit(work, start))
                if len(waiting) > ahead:
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

    def batch(self, places: NDArray[np.int64], *, iteration: int | None, part: slice = EVERYTHING) -> Tensor:
        """Return features; they are the same in every iteration."""
        if self.features.device.type == "cpu":
            # With numpy: torch would start threads of its own in each of those that prepare batches.
            return torch.from_numpy(self.features.numpy()[places[part]])
        return self.features[torch.from_numpy(places[part]).to(self.features.device)]


def share_of(rows: NDArray[np.int64], world: World) -> NDArray[np.int64]:
    """Return the rows that this process reads; cut so that all batches are those of one process alone."""
    return rows[share(len(rows), rank=world.rank, size=world.size, unit=READ_AT_ONCE)]


class Kept(NamedTuple):
    """What all processes read: rows of the image set, how many of them each process has, and rejects."""

    rows: NDArray[np.int64]
    counts: list[int]
    rejects: list[Reject]


def gather_kept(world: World, rows: list[int], rejects: list[Reject]) -> Kept:
    """Return the rows and rejects of all processes, in order of rank."""
    told = [json.loads(text) for text in world.exchange(json.dumps([rows, rejects]))]
    return Kept(
        np.asarray([row for of_one, _ in told for row in of_one], np.int64),
        [len(of_one) for of_one, _ in told],
        [Reject(int(row), str(key), str(reason)) for _, of_one in told for row, key, reason in of_one],
    )
