"""Batches of rows on their way to the network: decoded pixels beside rows, keys and what was unreadable."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hashnet.datasets import Reject
from hashnet.datasets.entries import Entry
from hashnet.errors import UnreadableImageError
from hashnet.models import Preprocessing


class DecodedBatch(NamedTuple):
    """Pixels uint8 ``(n, size, size, 3)`` of the readable rows, their rows and keys, and the rejects."""

    pixels: NDArray[np.uint8]
    rows: list[int]
    keys: list[str]
    rejects: list[Reject]


def batched(entries: Iterable[Entry], size: int) -> Iterator[list[Entry]]:
    """Yield ``size`` entries at a time, the last time fewer."""
    iterator = iter(entries)
    while batch := list(islice(iterator, size)):
        yield batch


def decode(entries: Iterable[Entry], preprocessing: Preprocessing) -> DecodedBatch:
    """Return the entries decoded, resized and cropped; those that are unreadable become rejects."""
    size = preprocessing.size
    pixels: list[NDArray[np.uint8]] = []
    rows: list[int] = []
    keys: list[str] = []
    rejects: list[Reject] = []
    for entry in entries:
        try:
            image = entry.load()
        except UnreadableImageError as error:
            rejects.append(Reject(entry.row, error.key, error.reason))
            continue
        pixels.append(preprocessing.pixels(image))
        rows.append(entry.row)
        keys.append(entry.key)
    stacked = np.stack(pixels) if pixels else np.empty((0, size, size, 3), dtype=np.uint8)
    return DecodedBatch(stacked, rows, keys, rejects)
