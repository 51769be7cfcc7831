"""Read several images of a set and keep apart those that cannot be read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from PIL import Image

from hashnet.datasets.images import ImageSet
from hashnet.errors import UnreadableImageError


class Reject(NamedTuple):
    """An image that could not be read, and why."""

    row: int
    key: str
    reason: str


class Batch(NamedTuple):
    """The readable images among the rows asked for, in that order, and the rejects."""

    rows: list[int]
    images: list[Image.Image]
    rejects: list[Reject]


def read_batch(images: ImageSet, rows: Iterable[int]) -> Batch:
    """Return the images at ``rows``; those that cannot be read are listed as rejects instead of raising."""
    batch = Batch([], [], [])
    for row in rows:
        row = int(row)  # noqa: PLW2901 - numpy integers would end up in JSON
        try:
            image = images.load(row)
        except UnreadableImageError as error:
            batch.rejects.append(Reject(row, error.key, error.reason))
        else:
            batch.rows.append(row)
            batch.images.append(image)
    return batch
