"""Source keys of rows (the path of an image, say): a Parquet file beside each segment, read on demand."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hashnet import _core
from hashnet.codes import Ids
from hashnet.errors import DamagedError
from hashnet.index.manifest import FileEntry


class KeyTable(NamedTuple):
    """Keys of one segment: ``keys[i]`` belongs to ``ids[i]``; ids ascend."""

    ids: Ids
    keys: Sequence[str]

    @classmethod
    def of(cls, ids: Ids, keys: Sequence[str]) -> KeyTable:
        """Sort ids and keys together by id."""
        order = np.argsort(ids, kind="stable")
        return cls(ids[order], [keys[i] for i in order])

    def look_up(self, ids: Ids) -> list[str | None]:
        """Return the key of each id, None where this table has none."""
        if not len(self.ids):
            return [None] * len(ids)
        at = np.minimum(np.searchsorted(self.ids, ids), len(self.ids) - 1)
        found = self.ids[at] == ids
        return [str(self.keys[i]) if hit else None for i, hit in zip(at, found, strict=True)]


def check_keys(keys: Sequence[str], n: int) -> Sequence[str]:
    """Return ``keys`` if they are ``n`` strings, else raise TypeError or ValueError."""
    if isinstance(keys, str) or not isinstance(keys, Sequence):
        raise TypeError(f"keys must be a sequence of str, got {type(keys).__name__}")
    if len(keys) != n:
        raise ValueError(f"keys must have one string for each of the {n} codes, got {len(keys)}")
    for key in keys:
        if not isinstance(key, str):
            raise TypeError(f"keys must be str, got {type(key).__name__}: {key!r}")
    return keys


def to_parquet(table: KeyTable) -> bytes:
    """Return the table as a Parquet file of the columns ``id`` and ``key``."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = pa.table({"id": pa.array(table.ids), "key": pa.array(table.keys, type=pa.string())})
    sink = io.BytesIO()
    pq.write_table(columns, sink, compression="zstd")
    return sink.getvalue()


def read_keys(path: Path, entry: FileEntry) -> KeyTable:
    """Read a key file and compare it with its entry in the manifest; raises DamagedError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    data = checked_bytes(path, entry)
    try:
        # On this thread alone: one of Arrow's that lets go of our bytes while Python ends aborts the process.
        with pq.ParquetFile(pa.BufferReader(data), pre_buffer=False) as file:
            columns = file.read(columns=["id", "key"], use_threads=False)
        ids = columns["id"].to_numpy().astype(np.int64, copy=False)
        return KeyTable(ids, columns["key"].to_pylist())
    except (pa.ArrowException, KeyError, ValueError) as error:
        raise DamagedError(path, str(error)) from error


def checked_bytes(path: Path, entry: FileEntry) -> bytes:
    """Return the content of a file if it is what its entry says, else raise DamagedError."""
    try:
        size = path.stat().st_size
        if size != entry.size:
            raise DamagedError(path, f"size is {size} bytes, the manifest says {entry.size}")
        data = path.read_bytes()
    except FileNotFoundError:
        raise DamagedError(path, "the file is missing") from None
    if _core.crc32c(data) != entry.checksum:
        raise DamagedError(path, "checksum differs from the manifest")
    return data
