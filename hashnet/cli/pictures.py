"""The pictures behind ids and keys, wherever the images of an index lie."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hashnet.errors import UnreadableImageError

if TYPE_CHECKING:
    from PIL.Image import Image

    from hashnet.datasets import ImageSet


class Pictures:
    """Finds images by key in one or several image sets, the first that has it first."""

    def __init__(self, sets: Sequence[ImageSet]) -> None:
        self._sets = sets
        self._rows: list[dict[str, int] | None] = [None] * len(sets)

    def find(self, row: int, key: str | None) -> Image | None:
        """Return the image with ``key``, most likely at ``row``; None if there is none that can be read."""
        for number, images in enumerate(self._sets):
            at = row if 0 <= row < len(images) and images.key(row) == key else self._row(number, key)
            if at is None:
                continue
            try:
                return images.load(at)
            except UnreadableImageError:
                continue
        return None

    def _row(self, number: int, key: str | None) -> int | None:
        if key is None:
            return None
        rows = self._rows[number]
        if rows is None:
            images = self._sets[number]
            rows = {images.key(i): i for i in range(len(images))}
            self._rows[number] = rows
        return rows.get(key)
