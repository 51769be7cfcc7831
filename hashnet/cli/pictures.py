"""The pictures behind ids and keys, wherever the images of an index lie."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hashnet.errors import DamagedError, SourceChangedError, UnreadableImageError

if TYPE_CHECKING:
    from PIL.Image import Image

    from hashnet.datasets import ImageSet
    from hashnet.datasets.entries import ImageSource, ImageStream


class Pictures:
    """Finds images by key in one or several sources, the first that has it first.

    A stream keeps no list of its keys: there an image is found if it still lies at its row.
    """

    def __init__(self, sets: Sequence[ImageSource]) -> None:
        self._sets = sets
        self._rows: list[dict[str, int] | None] = [None] * len(sets)

    def find(self, row: int, key: str | None) -> Image | None:
        """Return the image with ``key``, most likely at ``row``; None if there is none that can be read."""
        from hashnet.datasets import ImageSet

        for number, images in enumerate(self._sets):
            if isinstance(images, ImageSet):
                found = self._in_set(number, images, row, key)
            else:
                found = _in_stream(images, row, key)
            if found is not None:
                return found
        return None

    def _in_set(self, number: int, images: ImageSet, row: int, key: str | None) -> Image | None:
        at = row if 0 <= row < len(images) and images.key(row) == key else self._row(number, images, key)
        if at is None:
            return None
        try:
            return images.load(at)
        except UnreadableImageError:
            return None

    def _row(self, number: int, images: ImageSet, key: str | None) -> int | None:
        if key is None:
            return None
        rows = self._rows[number]
        if rows is None:
            rows = {images.key(i): i for i in range(len(images))}
            self._rows[number] = rows
        return rows.get(key)


def _in_stream(images: ImageStream, row: int, key: str | None) -> Image | None:
    if not 0 <= row < len(images):
        return None
    try:
        entry = next(iter(images.part(row, row + 1).entries()))
        return entry.load() if entry.key == key else None
    except (UnreadableImageError, DamagedError, SourceChangedError, OSError):
        return None
