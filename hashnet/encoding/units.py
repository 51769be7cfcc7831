"""Work units of an encode job: which rows they hold and where these are read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hashnet.datasets import ImageSet, open_images
from hashnet.datasets.entries import Entry, ImageSource, ImageStream, Part, set_entries
from hashnet.encoding.settings import EncodeSettings
from hashnet.errors import SourceChangedError


class WorkUnit(NamedTuple):
    """A unit and where its rows are read."""

    number: int
    part: Part


@dataclass(frozen=True)
class SetPart:
    """Rows of an image set that is opened where they are read, once a process."""

    data: str
    image_root: str | None
    version: str
    rows: tuple[int, ...]

    def entries(self) -> Iterator[Entry]:
        """Yield the rows in order; raise SourceChangedError if other images are found here."""
        images, version = _opened(self.data, self.image_root)
        if version != self.version:
            raise SourceChangedError(
                f"{self.data} holds other images here ({version}) than where the job began ({self.version}); "
                "data and output must lie on storage that all nodes share, and stay as they are"
            )
        return set_entries(images, self.rows)


def unit_entries(
    source: ImageSource, settings: EncodeSettings, unit: int, rows: NDArray[np.int64] | None
) -> Iterator[Entry]:
    """Yield the rows of a work unit: those of ``rows``, or of all images if None."""
    part = settings.unit(unit)
    if isinstance(source, ImageStream):
        return source.part(part.start, part.stop).entries()
    return set_entries(source, range(part.start, part.stop) if rows is None else rows[part])


@lru_cache(maxsize=1)
def _opened(data: str, image_root: str | None) -> tuple[ImageSet, str]:
    images = open_images(data, image_root=image_root)
    return images, images.version()
