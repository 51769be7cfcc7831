"""Folders of image files as a stream: listed on disk instead of in memory, here or in object storage."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

from PIL import Image

from hashnet.datasets.decode import load_image
from hashnet.datasets.entries import MAX_IMAGE_BYTES, Entry, bytes_entry, too_large
from hashnet.datasets.fetching import fetched
from hashnet.datasets.listing import changes, saved_files, sorted_listing
from hashnet.datasets.storage import Storage, StoredFile, changed_file, retrying
from hashnet.datasets.walking import FoundFile, stat_of


@dataclass(frozen=True)
class FolderPart:
    """Rows of a folder: the files themselves, as they were listed."""

    storage: Storage
    folder: str
    files: tuple[FoundFile, ...]
    start: int

    def entries(self) -> Iterator[Entry]:
        """Yield the rows in order; what lies in object storage is fetched some rows ahead."""
        yield from fetched(self._entry(row, found) for row, found in enumerate(self.files, start=self.start))

    def _entry(self, row: int, found: FoundFile) -> Entry | Callable[[], Entry]:
        if self.storage.is_local:
            return Entry(row, found.key, partial(_load, self.folder, found))
        if found.size > MAX_IMAGE_BYTES:
            return too_large(row, found.key, found.size)
        path = f"{self.folder}/{found.name}"
        stored = StoredFile(self.storage, path, found.name, found.size, found.mtime_ns)
        return partial(_fetch, stored, row, found.key)


class FolderStream:
    """The images below a folder in the order of their paths as bytes: rows and keys of ``open_folder``.

    Opening lists the folder once, with sizes and times, into a temporary file (in ``TMPDIR``). A file that is
    another, or gone, when its row is read ends the job, for the row would depend on when it was read.
    """

    def __init__(
        self, storage: Storage, folder: str, files: Iterable[FoundFile], *, name: str, source: str
    ) -> None:
        self.name = name
        self.source = source
        self._storage = storage
        self._folder = folder
        self._listing = sorted_listing(files)

    def __len__(self) -> int:
        return len(self._listing)

    def version(self) -> str:
        """Return a digest of all paths, file sizes and modification times."""
        return self._listing.version()

    def part(self, start: int, stop: int) -> FolderPart:
        """Return rows ``[start, stop)``."""
        if not 0 <= start <= stop <= len(self):
            raise ValueError(f"rows {start} to {stop} are outside the {len(self)} there are")
        files = tuple(islice(self._listing.files(start), stop - start))
        return FolderPart(self._storage, self._folder, files, start)

    def save_listing(self, path: Path) -> None:
        """Write to ``path`` which files there are, for ``changes_since`` of a later run."""
        self._listing.save(path)

    def changes_since(self, path: Path, version: str) -> str | None:
        """Return in words what changed since the listing at ``path`` of ``version``; None without that."""
        try:
            return str(changes(saved_files(path, version), self._listing.files()))
        except (OSError, ValueError):
            return None


def _load(folder: str, found: FoundFile) -> Image.Image:
    if stat_of(folder, found.name) != (found.size, found.mtime_ns):
        raise changed_file(os.path.join(folder, found.key))  # noqa: PTH118
    return load_image(os.path.join(folder, found.name), key=found.key)  # noqa: PTH118


def _fetch(stored: StoredFile, row: int, key: str) -> Entry:
    """Return the entry of an object, read whole."""

    def read() -> bytes:
        with stored.open() as file:
            data: bytes = file.read()
        if len(data) != stored.size:
            raise changed_file(stored.location)
        return data

    return bytes_entry(row, key, retrying(read))
