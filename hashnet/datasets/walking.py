"""Find the image files below a folder, of this machine or of storage, in memory that no folder can fill."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, NamedTuple

from hashnet.datasets.decode import SUFFIXES, is_of_the_machine
from hashnet.errors import HashnetError, SourceChangedError

if TYPE_CHECKING:
    from hashnet.datasets.storage import Storage, Stored

# Folders that are still to be looked into wait in a file once their names take more than this.
_WAITING_BYTES = 2**20
_BLOCK_BYTES = 2**16


class FoundFile(NamedTuple):
    """A file below a folder: its path from there, size and modification time; -1 and -1 if it has neither.

    The path is bytes, since file names are, with ``/`` between its pieces. Order is that of the paths as
    bytes: it needs no locale, and of UTF-8 it is the order of code points.
    """

    path: bytes
    size: int
    mtime_ns: int

    @property
    def key(self) -> str:
        """The path as text: UTF-8, with ``\\xff`` for a byte that is none."""
        return self.path.decode("utf-8", "backslashreplace")

    @property
    def name(self) -> str:
        """The path as Python names it."""
        return os.fsdecode(self.path)


def image_paths(folder: str | Path) -> Iterator[str]:
    """Yield the paths, relative to ``folder``, of the image files below it, in no order.

    An image file is one by its suffix; a dead link or a pipe counts, and turns out to be unreadable. Hidden
    files and folders are left out. Links to folders, which may form a circle, are not followed. Raises
    HashnetError for a folder that cannot be listed, for its images would be missing without a word, and
    SourceChangedError for one that vanishes meanwhile.
    """
    with closing(_Waiting()) as waiting:
        waiting.put("")
        while (prefix := waiting.get()) is not None:
            for entry in _entries(folder, prefix):
                if entry.name.startswith("."):
                    continue
                if _is_folder(entry):
                    if not entry.is_symlink():
                        waiting.put(f"{prefix}{entry.name}/")
                elif _is_image(entry.name):
                    yield prefix + entry.name


def stat_of(folder: str, path: str) -> tuple[int, int]:
    """Return size and modification time of what ``path`` leads to, (-1, -1) if it leads to nothing readable.

    Raises OSError for a failure of the machine or the storage.
    """
    try:
        found = os.stat(os.path.join(folder, path))  # noqa: PTH116, PTH118 - several times faster in bulk
    except (OSError, ValueError) as error:
        if is_of_the_machine(error):
            raise
        return -1, -1
    return found.st_size, found.st_mtime_ns


def image_files(storage: Storage, folder: str) -> Iterator[FoundFile]:
    """Yield what ``image_paths`` yields, with size and time, from any storage; in no order.

    On this machine memory is bounded whatever lies there. Of S3 each folder by itself is in memory while it
    is listed, for pyarrow gives it in one piece, and of Google Cloud Storage everything below ``folder`` is:
    pyarrow shows its folders only in a recursive listing. Raises as ``image_paths`` does, and ValueError for
    names in object storage that no path stands for.
    """
    if storage.is_local:
        for path in image_paths(folder):
            yield FoundFile(os.fsencode(path), *stat_of(folder, path))
        return
    from hashnet.datasets.storage import contents_of

    with closing(_Waiting()) as waiting:
        waiting.put("")
        while (prefix := waiting.get()) is not None:
            place = f"{folder}/{prefix}"
            for found in _listed(contents_of(storage, place.rstrip("/")), place, is_whole=not prefix):
                inside = found.path[len(place) :].split("/")
                # pyarrow shows such an object as a folder that holds itself.
                if "" in inside:
                    raise ValueError(
                        f"{place} holds objects whose names have an empty piece (//), which cannot be read "
                        "as paths; rename them"
                    )
                if any(piece.startswith(".") for piece in inside):
                    continue
                below = prefix + "/".join(inside)
                if found.is_folder:
                    waiting.put(f"{below}/")
                elif _is_image(below):
                    yield FoundFile(os.fsencode(below), found.size, found.mtime_ns)


def _listed(found: Iterator[Stored], place: str, *, is_whole: bool) -> Iterator[Stored]:
    try:
        yield from found
    except FileNotFoundError:
        if is_whole:
            raise
        raise _vanished(place) from None


def _entries(folder: str | Path, prefix: str) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(os.path.join(folder, prefix)) as entries:  # noqa: PTH118
            yield from entries
    except OSError as error:
        raise _not_listed(folder, prefix, error) from error


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # A link that leads in a circle or through a closed folder.
        return False


def _is_image(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in SUFFIXES  # noqa: PTH122 - several times faster in bulk


def _not_listed(folder: str | Path, prefix: str, error: OSError) -> HashnetError:
    place = os.path.join(folder, prefix).rstrip("/")  # noqa: PTH118
    shown = os.fsencode(place).decode("utf-8", "backslashreplace")
    if prefix and isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return _vanished(shown)
    return HashnetError(
        f"the folder {shown} cannot be listed ({error.strerror}), and its images would be missing; make it "
        "readable, or hide it by a name that begins with a dot"
    )


def _vanished(place: str) -> SourceChangedError:
    return SourceChangedError(
        f"the folder {place} vanished while its images were listed; leave the images alone and run again"
    )


class _Waiting:
    """Names in the order in which they came, in a file when they are many."""

    def __init__(self) -> None:
        self._file = SpooledTemporaryFile(max_size=_WAITING_BYTES)  # noqa: SIM115 - it is closed by close
        self._at = 0
        self._next: deque[str] = deque()

    def put(self, name: str) -> None:
        self._file.seek(0, os.SEEK_END)
        # No name has a NUL.
        self._file.write(os.fsencode(name) + b"\0")

    def get(self) -> str | None:
        if not self._next:
            self._file.seek(self._at)
            whole, end, _ = self._file.read(_BLOCK_BYTES).rpartition(b"\0")
            self._at += len(whole) + len(end)
            self._next.extend(os.fsdecode(name) for name in whole.split(b"\0") if end)
        return self._next.popleft() if self._next else None

    def close(self) -> None:
        self._file.close()
