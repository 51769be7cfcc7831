"""Files of a stream on any storage that pyarrow.fs knows: found, told apart, opened and read in blocks."""

from __future__ import annotations

import errno
import posixpath
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import unquote, urlsplit

import pyarrow.fs as pafs

from hashnet.datasets.images import digest
from hashnet.errors import SourceChangedError

# Schemes that pyarrow.fs reads; http is none of them, and a list of web addresses is a crawl, not a data set.
SCHEMES = ("file", "s3", "gs", "gcs")
LOCAL_BLOCK_BYTES = 8 * 2**10
# A request to remote storage takes as long as reading some megabytes.
REMOTE_BLOCK_BYTES = 4 * 2**20
ATTEMPTS = 4

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Storage:
    """A file system: ``root`` is "" for this machine, else like ``s3://bucket/`` or ``s3://bucket/?region=x``."""

    root: str

    @property
    def is_local(self) -> bool:
        """Whether paths are those of this machine."""
        return not self.root

    @property
    def system(self) -> Any:
        """The pyarrow file system."""
        return _system(self.root)


@dataclass(frozen=True)
class StoredFile:
    """A file as it was when the stream was opened; ``name`` is relative to where the stream begins."""

    storage: Storage
    path: str
    name: str
    size: int
    mtime_ns: int

    @property
    def location(self) -> str:
        """Path or address, for messages."""
        return self.path if self.storage.is_local else f"{urlsplit(self.storage.root).scheme}://{self.path}"

    def open(self) -> Any:
        """Return the open file; raise SourceChangedError if it is no longer the one that was indexed."""
        info = retrying(lambda: self.storage.system.get_file_info(self.path))
        if info.type != pafs.FileType.File or (info.size, _mtime_ns(info)) != (self.size, self.mtime_ns):
            raise changed_file(self.location)
        return retrying(lambda: self.storage.system.open_input_file(self.path))


def changed_file(location: str) -> SourceChangedError:
    """Return the error of a file that is not the one that was indexed."""
    return SourceChangedError(
        f"{location} changed since the images were indexed (or this machine sees another file); "
        "leave the images alone while they are encoded, and run again with a new output"
    )


class BlockReader:
    """Reads a file at any offset through one block, so that small reads in order cost one request a block."""

    def __init__(self, file: Any, size: int, *, block_bytes: int) -> None:
        self._file = file
        self._size = size
        self._block_bytes = block_bytes
        self._block = b""
        self._at = 0

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self._size

    def read(self, offset: int, n: int) -> bytes:
        """Return up to ``n`` bytes from ``offset``; fewer only at the end of the file."""
        n = max(0, min(n, self._size - offset))
        begin = offset - self._at
        if begin >= 0 and begin + n <= len(self._block):
            return self._block[begin : begin + n]
        wanted = min(max(n, self._block_bytes), self._size - offset)
        if n == 0 or wanted <= 0:
            return b""
        block = retrying(lambda: self._file.read_at(wanted, offset))
        if len(block) < wanted:
            # Not the image is to blame, and so it must not become a bad row.
            raise SourceChangedError(f"the file shrank to {offset + len(block)} bytes while it was read")
        self._at, self._block = offset, block
        return block[:n]


def reader_of(stored: StoredFile) -> BlockReader:
    """Return a reader of the file, opened and checked."""
    block = LOCAL_BLOCK_BYTES if stored.storage.is_local else REMOTE_BLOCK_BYTES
    return BlockReader(stored.open(), stored.size, block_bytes=block)


def locate(location: str) -> tuple[Storage, str]:
    """Return storage and path of a path or an address; raise ValueError for a scheme that cannot be read.

    The query of an address is what pyarrow reads there (``region``, ``scheme``, ``endpoint_override``, ...);
    ``gs://anonymous@bucket`` is a public bucket of Google Cloud Storage.
    """
    if "://" not in location:
        return Storage(""), location
    split = urlsplit(location)
    scheme = split.scheme.lower()
    if scheme not in SCHEMES:
        hint = (
            "download the files first, or put them into object storage"
            if scheme in ("http", "https", "ftp")
            else f"known are {', '.join(SCHEMES)}"
        )
        raise ValueError(f"{location} has the scheme {scheme}://, which is not read; {hint}")
    path = unquote(split.path)
    if scheme == "file":
        if split.netloc not in ("", "localhost") or not path:
            raise ValueError(f"{location} names no file of this machine; write file:///folder/name")
        return Storage(""), path
    user, at, bucket = split.netloc.rpartition("@")
    if at and (scheme == "s3" or user != "anonymous"):
        # The source is written into the code store, and a password with it.
        raise ValueError(
            f"an address of {scheme}:// must not carry credentials; give them as the environment does"
        )
    if not bucket:
        raise ValueError(f"{location} names no bucket; write {scheme}://bucket/name")
    query = f"?{split.query}" if split.query else ""
    return Storage(f"{scheme}://{split.netloc}/{query}"), bucket + path.rstrip("/")


def stored_file(storage: Storage, path: str, name: str) -> StoredFile:
    """Return the file at ``path`` as it is now; raise FileNotFoundError."""
    info = retrying(lambda: storage.system.get_file_info(path))
    if info.type != pafs.FileType.File:
        raise FileNotFoundError(f"{path} does not exist or is not a file")
    return StoredFile(storage, path, name, info.size, _mtime_ns(info))


def files_below(storage: Storage, folder: str, suffixes: Sequence[str]) -> list[StoredFile]:
    """Return the files below ``folder`` that end in one of ``suffixes``, by name, without hidden ones."""
    selector = pafs.FileSelector(folder, recursive=True)
    found = []
    for info in retrying(lambda: storage.system.get_file_info(selector)):
        name = posixpath.relpath(info.path, folder)
        hidden = any(piece.startswith((".", "_")) for piece in name.split("/"))
        if info.type == pafs.FileType.File and not hidden and name.lower().endswith(tuple(suffixes)):
            found.append(StoredFile(storage, info.path, name, info.size, _mtime_ns(info)))
    return sorted(found, key=lambda file: file.name)


class Stored(NamedTuple):
    """What a listing of storage tells of a file or folder; ``mtime_ns`` is -1 where it tells none."""

    path: str
    is_folder: bool
    size: int
    mtime_ns: int


def contents_of(storage: Storage, folder: str) -> Iterator[Stored]:
    """Yield what lies in ``folder`` of object storage; of Google Cloud Storage also all that lies below.

    There pyarrow leaves out, unless it lists recursively, folders that are nothing but a prefix of names.
    Raises FileNotFoundError for a folder that is none.
    """
    selector = pafs.FileSelector(folder, recursive=storage.root.startswith(("gs:", "gcs:")))
    for info in retrying(lambda: storage.system.get_file_info(selector)):
        is_file = info.type == pafs.FileType.File
        if is_file or not selector.recursive:
            yield Stored(info.path, not is_file, info.size if is_file else -1, _mtime_ns(info))


def version_of(kind: str, files: Sequence[StoredFile], *more: bytes) -> str:
    """Return a digest of names, sizes and modification times: a replaced file is another one."""
    facts = [
        f"{file.name}\0{file.size}\0{file.mtime_ns}".encode("utf-8", "surrogateescape") for file in files
    ]
    return digest(kind, [*facts, *more])


def retrying(call: Callable[[], _Result], *, attempts: int = ATTEMPTS, pause_s: float = 0.5) -> _Result:
    """Return ``call()``, tried again after a pause if the storage fails; raise what the last attempt raised.

    What another attempt cannot change is raised at once: a missing file, a folder in its place, a refusal.
    """
    for attempt in range(attempts):
        try:
            return call()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError):
            raise
        except OSError as error:
            if attempt == attempts - 1 or error.errno in (errno.EINVAL, errno.ENAMETOOLONG):
                raise
            time.sleep(pause_s * 2**attempt)
    raise AssertionError("unreachable")


def relative_to(storage: Storage, path: str, base: str) -> str:
    """Return where ``path`` of a list that lies in ``base`` is; absolute paths stay as they are."""
    return str(Path(base) / path) if storage.is_local else posixpath.join(base, path)


@lru_cache(maxsize=64)
def _system(root: str) -> Any:
    if not root:
        return pafs.LocalFileSystem()
    system, _ = pafs.FileSystem.from_uri(root)
    return system


def _mtime_ns(info: Any) -> int:
    return -1 if info.mtime_ns is None else int(info.mtime_ns)
