"""Lists of addresses and paths, one a line, each of one image file on any storage that pyarrow reads."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from hashnet.datasets.decode import load_image
from hashnet.datasets.entries import MAX_IMAGE_BYTES, Entry, bad_entry, bytes_entry, too_large
from hashnet.datasets.fetching import fetched
from hashnet.datasets.storage import (
    BlockReader,
    Storage,
    StoredFile,
    locate,
    reader_of,
    relative_to,
    retrying,
    version_of,
)

INDEX_STEP = 256
MAX_LINE_BYTES = 16 * 2**10
_PIECE_BYTES = 2**20


@dataclass(frozen=True)
class LocationPart:
    """Rows of a list: the line to begin with, found from byte ``at`` by skipping ``skip`` lines."""

    file: StoredFile
    base: tuple[Storage, str]
    at: int
    skip: int
    start: int
    stop: int

    def entries(self) -> Iterator[Entry]:
        """Yield the rows in order; what lies in object storage is fetched some rows ahead."""
        lines = (text for _, text in _lines(reader_of(self.file), self.at))
        for _ in range(self.skip):
            next(lines)
        numbered = ((row, next(lines)) for row in range(self.start, self.stop))
        yield from fetched(_entry(row, line, self.base) for row, line in numbered)


class LocationList:
    """The images that the lines of a text file name: addresses (s3://, gs://, file://) or paths.

    Relative paths begin in ``root``, by default the folder of the list. Empty lines are no rows. What the
    lines name is not looked at until it is encoded: a missing file is a bad row then. Raises ValueError with
    the line for an address that cannot be read.
    """

    def __init__(self, file: StoredFile, *, name: str, source: str, base: tuple[Storage, str]) -> None:
        self.name = name
        self.source = source
        self._file = file
        self._base = base
        places: list[int] = []
        n = 0
        for number, (at, line) in enumerate(_lines(reader_of(file), 0), start=1):
            try:
                locate(line)
            except ValueError as error:
                raise ValueError(f"{file.location}, image {number}: {error}") from None
            if n % INDEX_STEP == 0:
                places.append(at)
            n += 1
        self._n = n
        self._places = np.array(places, dtype=np.int64)

    def __len__(self) -> int:
        return self._n

    def version(self) -> str:
        """Return a digest of name, size and time of the list; the files that it names are not looked at."""
        storage, folder = self._base
        return version_of("locations", [self._file], f"{storage.root}\0{folder}".encode())

    def part(self, start: int, stop: int) -> LocationPart:
        """Return rows ``[start, stop)``."""
        if not 0 <= start <= stop <= self._n:
            raise ValueError(f"rows {start} to {stop} are outside the {self._n} there are")
        step, skip = divmod(start, INDEX_STEP)
        at = int(self._places[step]) if start < stop else self._file.size
        return LocationPart(self._file, self._base, at, skip if start < stop else 0, start, stop)


def first_line(file: StoredFile) -> str:
    """Return the first line that is not empty, or an empty text."""
    return next((line for _, line in _lines(reader_of(file), 0)), "")


def _lines(reader: BlockReader, at: int) -> Iterator[tuple[int, str]]:
    """Yield the lines that are not empty, with the byte each begins at; raise ValueError for no text."""
    rest, begin = b"", at
    while True:
        piece = reader.read(at, _PIECE_BYTES)
        at += len(piece)
        *whole, rest = (rest + piece).split(b"\n") if piece else [rest, b""]
        for line in whole:
            if len(line) > MAX_LINE_BYTES:
                raise ValueError(
                    f"the line at byte {begin} is longer than {MAX_LINE_BYTES} bytes; is it a list?"
                )
            if text := _text(line, begin).strip():
                yield begin, text
            begin += len(line) + 1
        if not piece:
            return
        if len(rest) > MAX_LINE_BYTES:
            raise ValueError(f"the line at byte {begin} is longer than {MAX_LINE_BYTES} bytes; is it a list?")


def _text(line: bytes, at: int) -> str:
    try:
        text = line.decode("utf-8-sig" if at == 0 else "utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"the line at byte {at} is not UTF-8; save the list as UTF-8") from None
    if "\0" in text:
        raise ValueError(f"the line at byte {at} holds a NUL; it is no list of paths")
    return text


def _entry(row: int, line: str, base: tuple[Storage, str]) -> Entry | Callable[[], Entry]:
    storage, path = _place(line, base)
    if storage.is_local:
        return Entry(row, line, partial(load_image, path, key=line))
    return partial(fetch, storage, path, row, line)


def fetch(storage: Storage, path: str, row: int, key: str) -> Entry:
    """Return the entry of an object, read whole; a missing one is a bad row, other failures are raised."""
    try:
        data = retrying(partial(_read, storage, path))
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return bad_entry(row, key, "file is missing")
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return bad_entry(row, key, "the name is too long")
        raise
    return too_large(row, key, data) if isinstance(data, int) else bytes_entry(row, key, data)


def _read(storage: Storage, path: str) -> Any:
    """Return the bytes of a file, or their number if they are too many."""
    with storage.system.open_input_file(path) as file:
        size: int = file.size()
        return size if size > MAX_IMAGE_BYTES else file.read()


def _place(line: str, base: tuple[Storage, str]) -> tuple[Storage, str]:
    if "://" in line:
        return locate(line)
    storage, folder = base
    return storage, relative_to(storage, line, folder)
