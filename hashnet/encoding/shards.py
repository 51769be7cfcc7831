"""One shard of a code store: the three files it consists of, how they are written, read and checked."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from hashnet.codes import Codes, Ids
from hashnet.encoding.durable import FileMark, write_durably
from hashnet.errors import DamagedError

CODES, IDS, KEYS = "codes.npy", "ids.npy", "keys.parquet"
PARTS = (CODES, IDS, KEYS)

_KEY_SCHEMA = pa.schema([("key", pa.string())])
_REJECT_SCHEMA = pa.schema(
    [("unit", pa.int64()), ("row", pa.int64()), ("key", pa.string()), ("reason", pa.string())]
)


class CodeShard(NamedTuple):
    """Codes, their ids (row numbers in the image set, ascending) and their source keys."""

    codes: Codes
    ids: Ids
    keys: list[str]


class RejectedRow(NamedTuple):
    """An image that was skipped: its work unit, its row in the image set, its key, and why."""

    unit: int
    row: int
    key: str
    reason: str


@dataclass(frozen=True)
class ShardEntry:
    """What a manifest says of a shard."""

    number: int
    n_codes: int
    marks: tuple[FileMark, FileMark, FileMark]

    def to_json(self) -> dict[str, Any]:
        """Return the entry as JSON values."""
        marks = {part: mark.to_json() for part, mark in zip(PARTS, self.marks, strict=True)}
        return {"number": self.number, "n_codes": self.n_codes, "files": marks}

    @classmethod
    def from_json(cls, values: Any) -> Self:
        """Return what ``to_json`` wrote; raise ValueError, TypeError or KeyError for anything else."""
        number, n_codes = values["number"], values["n_codes"]
        if type(number) is not int or type(n_codes) is not int or min(number, n_codes) < 0:
            raise ValueError(f"shard {number!r} with {n_codes!r} codes is none")
        codes, ids, keys = (FileMark.from_json(values["files"][part]) for part in PARTS)
        return cls(number, n_codes, (codes, ids, keys))

    def paths(self, folder: Path) -> tuple[Path, Path, Path]:
        """Return where codes, ids and keys lie."""
        codes, ids, keys = (folder / f"shard-{self.number:06d}.{part}" for part in PARTS)
        return codes, ids, keys

    def fits(self, folder: Path) -> bool:
        """Return whether all files are there as they were written."""
        return all(mark.fits(path) for mark, path in zip(self.marks, self.paths(folder), strict=True))

    def read(self, folder: Path, *, n_bits: int) -> CodeShard:
        """Return the shard, codes and ids mapped; raise DamagedError if a file is not what was written."""
        paths = self.paths(folder)
        for mark, path in zip(self.marks, paths, strict=True):
            wrong = mark.mismatch(path)
            if wrong is not None:
                raise DamagedError(path, f"it {wrong}; encode again into a new output")
        codes = _load_array(paths[0], np.dtype(np.uint8), (self.n_codes, n_bits // 8))
        ids = _load_array(paths[1], np.dtype("<i8"), (self.n_codes,))
        if self.n_codes and (int(ids[0]) < 0 or bool((np.diff(ids) <= 0).any())):
            raise DamagedError(paths[1], "ids are not ascending row numbers")
        keys = read_table(paths[2], _KEY_SCHEMA).column("key").to_pylist()
        if len(keys) != self.n_codes:
            raise DamagedError(paths[2], f"{len(keys)} keys for {self.n_codes} codes")
        return CodeShard(codes, ids, keys)


def write_shard(folder: Path, number: int, shard: CodeShard) -> ShardEntry:
    """Write the files of a shard, each whole or not at all; durable after ``sync_directory``."""
    contents = (
        _array_bytes(shard.codes),
        _array_bytes(shard.ids.astype("<i8")),
        table_bytes(pa.table({"key": shard.keys}, schema=_KEY_SCHEMA)),
    )
    first, second, third = (FileMark.of(content) for content in contents)
    entry = ShardEntry(number, len(shard.codes), (first, second, third))
    for path, content in zip(entry.paths(folder), contents, strict=True):
        write_durably(path, content)
    return entry


def rejects_bytes(rejects: list[RejectedRow]) -> bytes:
    """Return the Parquet file of the rejects."""
    columns = {name: [row[i] for row in rejects] for i, name in enumerate(_REJECT_SCHEMA.names)}
    return table_bytes(pa.table(columns, schema=_REJECT_SCHEMA))


def read_rejects(path: Path) -> list[RejectedRow]:
    """Return the rejects that ``rejects_bytes`` wrote; raise DamagedError for anything else."""
    columns = [column.to_pylist() for column in read_table(path, _REJECT_SCHEMA).columns]
    return [RejectedRow(*row) for row in zip(*columns, strict=True)]


def table_bytes(table: Any) -> bytes:
    """Return a table as a Parquet file."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    content: bytes = sink.getvalue().to_pybytes()
    return content


def read_table(path: Path, schema: Any) -> Any:
    """Return a Parquet file with exactly ``schema`` and no nulls; raise DamagedError for anything else."""
    try:
        table = pq.read_table(path, partitioning=None)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DamagedError(path, f"not a readable Parquet file ({error})") from error
    if not table.schema.equals(schema) or any(column.null_count for column in table.columns):
        raise DamagedError(path, f"columns are {table.schema.names}, wanted are {schema.names} without nulls")
    return table


def _array_bytes(array: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(array), allow_pickle=False)
    return buffer.getvalue()


def _load_array(path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    try:
        # An empty array cannot be mapped.
        array = np.load(path, mmap_mode="r" if shape[0] else None, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DamagedError(path, f"not a readable .npy file ({error})") from error
    if not isinstance(array, np.ndarray) or array.dtype != dtype or array.shape != shape:
        raise DamagedError(path, f"wanted is {dtype} {shape}, got {array.dtype} {array.shape}")
    if not array.flags.c_contiguous:
        raise DamagedError(path, "the array is not C-contiguous")
    return array
