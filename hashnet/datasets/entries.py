"""What an encode job reads: rows with their keys, from image sets and from streams too large to list."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple, NoReturn, Protocol, runtime_checkable

from PIL import Image

from hashnet.datasets.decode import decode_image
from hashnet.datasets.images import ImageSet
from hashnet.errors import UnreadableImageError

# An image file in a stream is read whole before it is decoded; this many bytes of it at most.
MAX_IMAGE_BYTES = 128 * 2**20


class Entry(NamedTuple):
    """One row of a source: its number, its key, and ``load``, which decodes it where it is called.

    ``load`` raises UnreadableImageError if the row itself is bad; any other error is one of the machine or
    the storage, and no verdict on the row.
    """

    row: int
    key: str
    load: Callable[[], Image.Image]


class Part(Protocol):
    """Consecutive rows of a stream, told by place or name, and readable wherever its files are seen."""

    def entries(self) -> Iterator[Entry]:
        """Yield the rows in order; raise SourceChangedError or DamagedError if they are not as indexed."""


@runtime_checkable
class ImageStream(Protocol):
    """Numbered images that are read in order; opening one passes over its index, not over its images."""

    @property
    def name(self) -> str:
        """Short name for titles."""

    @property
    def source(self) -> str:
        """What the user gave to open it."""

    def __len__(self) -> int: ...

    def version(self) -> str:
        """Return ``sha256:<hex>`` of what tells these images from others: a job resumes only on the same."""

    def part(self, start: int, stop: int) -> Part:
        """Return rows ``[start, stop)``."""


ImageSource = ImageSet | ImageStream


@runtime_checkable
class ListedStream(ImageStream, Protocol):
    """A stream that can tell what changed between two runs of a job."""

    def save_listing(self, path: Path) -> None:
        """Write to ``path`` what the stream is made of."""

    def changes_since(self, path: Path, version: str) -> str | None:
        """Return in words what changed since the listing at ``path`` of ``version``; None without that."""


def set_entries(images: ImageSet, rows: Iterable[int]) -> Iterator[Entry]:
    """Yield the given rows of an image set."""
    for row in rows:
        number = int(row)
        yield Entry(number, images.key(number), partial(images.load, number))


def bytes_entry(row: int, key: str, data: bytes | None) -> Entry:
    """Return the entry of an image file held in memory, or of a null."""
    if data is None:
        return bad_entry(row, key, "no image bytes (null)")
    if len(data) > MAX_IMAGE_BYTES:
        return too_large(row, key, len(data))
    return Entry(row, key, partial(decode_image, data, key=key))


def too_large(row: int, key: str, n_bytes: int) -> Entry:
    """Return the entry of an image file that is not worth reading."""
    return bad_entry(row, key, f"{n_bytes} bytes are more than the limit of {MAX_IMAGE_BYTES}")


def bad_entry(row: int, key: str, reason: str) -> Entry:
    """Return an entry that is known to be unreadable before it is decoded."""
    return Entry(row, key, partial(_unreadable, key, reason))


def _unreadable(key: str, reason: str) -> NoReturn:
    raise UnreadableImageError(key, reason)
