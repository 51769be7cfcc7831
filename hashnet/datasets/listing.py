"""A sorted listing of files on disk, made in memory that does not grow with their number (external sort)."""

from __future__ import annotations

import heapq
import os
import struct
from array import array
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, NamedTuple

from hashnet.datasets.images import files_digest
from hashnet.datasets.walking import FoundFile

# What is sorted in memory at a time: records, and the objects that stand for them.
RUN_BYTES = 8 * 2**20
_OBJECT_BYTES = 200
# Sorted runs that are merged at a time, each read in blocks.
FAN_IN = 64
_BLOCK_BYTES = 2**16
# The place of every 256th record is kept in memory.
INDEX_STEP = 256
# Size, time and bytes of the path, which follows.
_HEAD = struct.Struct("<qqI")


class Listing:
    """Files in the order of their paths, in a temporary file that goes with this object.

    A file takes 20 bytes and its path there, and 1/32 of a byte in memory. Several threads may read.
    """

    def __init__(self, file: IO[bytes], places: array[int], n: int, stop: int) -> None:
        self._file = file
        self._places = places
        self._n = n
        self._stop = stop

    def __del__(self) -> None:
        self._file.close()

    def __len__(self) -> int:
        return self._n

    def files(self, start: int = 0) -> Iterator[FoundFile]:
        """Yield the files from row ``start`` on."""
        step, skip = divmod(start, INDEX_STEP)
        at = self._places[step] if start < self._n else self._stop
        yield from islice(_records(self._file, at, self._stop), skip if start < self._n else 0, None)

    def version(self) -> str:
        """Return the digest of paths, sizes and times that ``FileImages.version`` returns for these files."""
        return _version(self.files(), self.files(), self._n)

    def save(self, path: Path) -> None:
        """Write the listing to ``path``, from where ``saved_files`` reads it."""
        with path.open("wb") as copy:
            for at in range(0, self._stop, _BLOCK_BYTES):
                copy.write(os.pread(self._file.fileno(), min(_BLOCK_BYTES, self._stop - at), at))


def sorted_listing(files: Iterable[FoundFile], *, run_bytes: int = RUN_BYTES) -> Listing:
    """Return ``files`` sorted by path. Temporary files (in ``TMPDIR``) take twice what the listing does.

    Sorted runs of ``run_bytes`` are merged, ``FAN_IN`` at a time, until one is left: less than
    24 MiB of memory for any number of files.
    """
    target = TemporaryFile()  # noqa: SIM115 - it lives as long as the listing
    runs = [_write(target, sorted(batch)) for batch in _batches(files, run_bytes)]
    while len(runs) != 1:
        with target as source:
            target = TemporaryFile()  # noqa: SIM115
            merged = []
            for first in range(0, max(1, len(runs)), FAN_IN):
                some = runs[first : first + FAN_IN]
                merged.append(
                    _write(target, heapq.merge(*(_records(source, run.start, run.stop) for run in some)))
                )
            runs = merged
    return Listing(target, runs[0].places, runs[0].n, runs[0].stop)


def saved_files(path: Path, version: str) -> Iterator[FoundFile]:
    """Yield the files of a saved listing; raise ValueError unless it is whole and has this version."""
    with path.open("rb") as file:
        stop = os.fstat(file.fileno()).st_size
        n = sum(1 for _ in _records(file, 0, stop))
        if _version(_records(file, 0, stop), _records(file, 0, stop), n) != version:
            raise ValueError(f"{path} is another listing than {version}")
        yield from _records(file, 0, stop)


class Changes(NamedTuple):
    """How many files came, went and became others between two listings, and a few of each by key."""

    added: int
    removed: int
    changed: int
    examples: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.added} added, {self.removed} removed, {self.changed} changed: " + ", ".join(
            self.examples
        )


def changes(before: Iterable[FoundFile], after: Iterable[FoundFile], *, shown: int = 5) -> Changes:
    """Return what differs between two sorted sequences of files, which are read once and side by side."""
    counts = {"added": 0, "removed": 0, "changed": 0}
    examples: list[str] = []
    older, newer = iter(before), iter(after)
    old, new = next(older, None), next(newer, None)
    while old is not None or new is not None:
        kind, found = None, old or new
        if old is None or (new is not None and new.path < old.path):
            kind, found, new = "added", new, next(newer, None)
        elif new is None or old.path < new.path:
            kind, old = "removed", next(older, None)
        else:
            kind = "changed" if old != new else None
            old, new = next(older, None), next(newer, None)
        if kind is not None:
            counts[kind] += 1
            if found is not None and len(examples) < shown:
                examples.append(f"{found.key} ({kind})")
    return Changes(**counts, examples=tuple(examples))


class _Run(NamedTuple):
    """A sorted stretch of a file: its bytes, how many records it has, and where every 256th of them is."""

    start: int
    stop: int
    n: int
    places: array[int]


def _batches(files: Iterable[FoundFile], n_bytes: int) -> Iterator[list[FoundFile]]:
    batch: list[FoundFile] = []
    held = 0
    for found in files:
        batch.append(found)
        held += len(found.path) + _OBJECT_BYTES
        if held >= n_bytes:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch


def _write(file: IO[bytes], files: Iterable[FoundFile]) -> _Run:
    start = at = file.tell()
    places: array[int] = array("q")
    n = 0
    for path, size, mtime_ns in files:
        if n % INDEX_STEP == 0:
            places.append(at)
        file.write(_HEAD.pack(size, mtime_ns, len(path)))
        file.write(path)
        at += _HEAD.size + len(path)
        n += 1
    file.flush()
    return _Run(start, at, n, places)


def _records(file: IO[bytes], at: int, stop: int) -> Iterator[FoundFile]:
    """Yield the records in bytes ``[at, stop)``; raise ValueError where they end within one."""
    block, place = b"", 0
    while at + place < stop:
        head = block[place : place + _HEAD.size]
        n = _HEAD.unpack(head)[2] if len(head) == _HEAD.size else 0
        if n > _BLOCK_BYTES:
            raise ValueError(f"the record at byte {at + place} has a path of {n} bytes")
        end = place + _HEAD.size + n
        if end > len(block):
            at, place = at + place, 0
            block = os.pread(file.fileno(), min(2 * _BLOCK_BYTES, stop - at), at)
            if len(block) < _HEAD.size + n:
                raise ValueError(f"the listing ends within the record at byte {at}")
            continue
        size, mtime_ns, _ = _HEAD.unpack(head)
        yield FoundFile(block[place + _HEAD.size : end], size, mtime_ns)
        place = end


def _version(files: Iterable[FoundFile], again: Iterable[FoundFile], n: int) -> str:
    return files_digest((file.path for file in files), ((file.size, file.mtime_ns) for file in again), n)
