"""Tar shards as webdataset writes them: every image file in them is a row."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hashnet.datasets.decode import SUFFIXES
from hashnet.datasets.entries import MAX_IMAGE_BYTES, Entry, bad_entry, bytes_entry, too_large
from hashnet.datasets.spans import Span, spans_of
from hashnet.datasets.storage import StoredFile, reader_of, version_of
from hashnet.datasets.tar_headers import Bytes, Member, members
from hashnet.errors import DamagedError

# The index keeps the place of every 256th image: 8 bytes for some megabytes of images.
INDEX_STEP = 256


@dataclass(frozen=True)
class TarPart:
    """Rows of tar shards: for each file, where to begin and how many images to take."""

    pieces: tuple[tuple[StoredFile, int, Span], ...]

    def entries(self) -> Iterator[Entry]:
        """Yield the rows in order."""
        for file, header_at, span in self.pieces:
            yield from _entries(file, header_at, span)


class TarShards:
    """The images of tar files, in the order of file names and of members; other members are no rows.

    Opening reads every header once and no image. Raises DamagedError for a tar file that is not whole.
    """

    def __init__(self, files: Sequence[StoredFile], *, name: str, source: str) -> None:
        self.name = name
        self.source = source
        self._files = files
        indexed = [_index(file) for file in files]
        self._places = [places for places, _ in indexed]
        self._ends = np.cumsum([n for _, n in indexed], dtype=np.int64)

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def version(self) -> str:
        """Return a digest of names, sizes and times of the files and of where their images lie."""
        return version_of("tar", self._files, self._ends.tobytes(), *(p.tobytes() for p in self._places))

    def part(self, start: int, stop: int) -> TarPart:
        """Return rows ``[start, stop)``."""
        pieces = []
        for number, span in spans_of(self._ends, start, stop):
            at, skip = divmod(span.skip, INDEX_STEP)
            pieces.append((self._files[number], int(self._places[number][at]), span._replace(skip=skip)))
        return TarPart(tuple(pieces))


def is_image(member: Member) -> bool:
    """Return whether a member is a row: named like an image, and not hidden. A link counts, as a bad row."""
    name = posixpath.basename(member.name)
    suffix = posixpath.splitext(name)[1].lower()
    return (member.is_file or member.is_link) and suffix in SUFFIXES and not name.startswith(".")


def _index(file: StoredFile) -> tuple[NDArray[np.int64], int]:
    """Return where the headers of every INDEX_STEP-th image begin, and how many images there are."""
    places: list[int] = []
    n = 0
    try:
        for member in members(reader_of(file)):
            if is_image(member):
                if n % INDEX_STEP == 0:
                    places.append(member.header_at)
                n += 1
    except ValueError as error:
        raise DamagedError(file.location, f"{error}; repair or remove this tar file") from None
    return np.array(places, dtype=np.int64), n


def _entries(file: StoredFile, header_at: int, span: Span) -> Iterator[Entry]:
    tar = reader_of(file)
    stop = span.skip + span.n
    try:
        found = (member for member in members(tar, header_at) if is_image(member))
        for number, member in enumerate(found):
            if number >= span.skip:
                yield _entry(tar, span.row + number - span.skip, f"{file.name}/{member.name}", member)
            if number + 1 == stop:
                return
    except ValueError as error:
        raise DamagedError(file.location, str(error)) from None
    raise DamagedError(file.location, f"fewer images behind byte {header_at} than were indexed")


def _entry(tar: Bytes, row: int, key: str, member: Member) -> Entry:
    if member.is_link:
        return bad_entry(row, key, "a link to another member, not an image file")
    if member.size > MAX_IMAGE_BYTES:
        return too_large(row, key, member.size)
    return bytes_entry(row, key, tar.read(member.data_at, member.size))
