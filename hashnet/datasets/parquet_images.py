"""Parquet files with image files in a column, as Hugging Face data sets and data lakes hold them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hashnet.datasets.entries import Entry, bytes_entry
from hashnet.datasets.images import digest
from hashnet.datasets.parquet_columns import ColumnError, Columns, find_columns
from hashnet.datasets.spans import Span, spans_of
from hashnet.datasets.storage import LOCAL_BLOCK_BYTES, REMOTE_BLOCK_BYTES, StoredFile, version_of
from hashnet.errors import DamagedError

# Rows that are in memory at a time; a page of them is decompressed as a whole.
BATCH_ROWS = 8
# Images hardly compress: a file of this size that shrank a hundredfold was made to fill memory.
BOMB_BYTES = 256 * 2**20
BOMB_RATIO = 100
MAX_THRIFT_BYTES = 64 * 2**20
MAX_THRIFT_ITEMS = 2**20


class RowGroup(NamedTuple):
    """A row group: the number of its file, its own in there, and how many rows of the file lie before it."""

    file: int
    number: int
    first: int


@dataclass(frozen=True)
class ParquetPart:
    """Rows of Parquet files: for each row group, how many rows to skip and to take."""

    columns: Columns
    pieces: tuple[tuple[StoredFile, RowGroup, Span], ...]

    def entries(self) -> Iterator[Entry]:
        """Yield the rows in order."""
        for file, group, span in self.pieces:
            yield from _entries(file, group, span, self.columns)


class ParquetImages:
    """The rows of Parquet files, in the order of file names.

    ``image_column`` is a column of binary, or of structs with a field ``bytes``; ``key_column`` one of text
    or whole numbers. Without them they are found, if there is no doubt. Opening reads the footers only.
    Raises DamagedError for a file that is no Parquet, ValueError for columns that do not fit.
    """

    def __init__(
        self,
        files: Sequence[StoredFile],
        *,
        name: str,
        source: str,
        image_column: str | None = None,
        key_column: str | None = None,
    ) -> None:
        self.name = name
        self.source = source
        self._files = files
        self._groups: list[RowGroup] = []
        rows: list[int] = []
        found: Columns | None = None
        self._footers = []
        for number, file in enumerate(files):
            with _open(file) as parquet:
                columns = find_columns(_schema(file, parquet), file.location, image_column, key_column)
                if found is not None and columns != found:
                    raise ColumnError(
                        f"{file.location} has its images in {columns.image} and keys in {columns.key}, "
                        f"{files[0].location} in {found.image} and {found.key}; name the columns"
                    )
                found = columns
                counts = _row_counts(file, parquet.metadata)
            rows += counts
            firsts = np.cumsum([0, *counts]).tolist()
            self._groups += [RowGroup(number, group, firsts[group]) for group in range(len(counts))]
            self._footers.append(np.array(counts, dtype="<i8").tobytes())
        if found is None:
            raise ValueError(f"{source} holds no Parquet files")
        self.columns = found
        self._ends = np.cumsum(rows, dtype=np.int64)

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def version(self) -> str:
        """Return a digest of names, sizes and times of the files, of their row groups and of the columns."""
        columns = digest("columns", [repr(tuple(self.columns)).encode()]).encode()
        return version_of("parquet", self._files, columns, *self._footers)

    def part(self, start: int, stop: int) -> ParquetPart:
        """Return rows ``[start, stop)``."""
        pieces = []
        for at, span in spans_of(self._ends, start, stop):
            group = self._groups[at]
            pieces.append((self._files[group.file], group, span))
        return ParquetPart(self.columns, tuple(pieces))


def _open(file: StoredFile) -> Any:
    try:
        return pq.ParquetFile(
            file.open(),
            # Pages are read as they are needed instead of a row group at once.
            buffer_size=LOCAL_BLOCK_BYTES * 8 if file.storage.is_local else REMOTE_BLOCK_BYTES,
            pre_buffer=False,
            # Where the writer made checksums, which few do.
            page_checksum_verification=True,
            thrift_string_size_limit=MAX_THRIFT_BYTES,
            thrift_container_size_limit=MAX_THRIFT_ITEMS,
        )
    except (pa.ArrowException, ValueError) as error:
        raise DamagedError(file.location, f"not a readable Parquet file ({_short(error)})") from error
    except OSError as error:
        if error.errno is not None:
            raise
        # Arrow tells damage of the footer as an OSError without a number.
        raise DamagedError(file.location, f"not a readable Parquet file ({_short(error)})") from error


def _schema(file: StoredFile, parquet: Any) -> Any:
    try:
        schema = parquet.schema_arrow
        # Names are decoded when they are asked for.
        repr(schema.names)
    except (pa.ArrowException, ValueError, OSError) as error:
        raise DamagedError(file.location, f"its schema cannot be read ({_short(error)})") from error
    return schema


def _row_counts(file: StoredFile, metadata: Any) -> list[int]:
    """Return the rows of each row group; raise DamagedError for footers that cannot be true."""
    # The metadata of a column is not asked: pyarrow ends the process if that is damaged.
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    counts = [group.num_rows for group in groups]
    if min(counts, default=0) < 0 or sum(counts) != metadata.num_rows:
        raise DamagedError(
            file.location, f"its row groups have {sum(counts)} rows, its footer {metadata.num_rows}"
        )
    inflated = sum(max(0, group.total_byte_size) for group in groups)
    if inflated > max(BOMB_BYTES, BOMB_RATIO * file.size):
        raise DamagedError(
            file.location, f"it inflates {file.size} bytes to {inflated}: images do not, it is a bomb"
        )
    return counts


def _entries(file: StoredFile, group: RowGroup, span: Span, columns: Columns) -> Iterator[Entry]:
    reader = _idle.take(file, group, columns, span.skip) or GroupReader(file, group, columns)
    try:
        reader.skip_to(span.skip)
        for at in range(span.skip, span.skip + span.n):
            image, key = reader.next_row()
            named = f"{file.name}#{group.first + at}" if key is None else key
            yield bytes_entry(span.row + at - span.skip, named, image)
    except BaseException:
        reader.close()
        raise
    _idle.keep(reader)


class GroupReader:
    """Reads a row group from its first row on; Parquet knows no other way, so that skipping is reading."""

    def __init__(self, file: StoredFile, group: RowGroup, columns: Columns) -> None:
        self.file = file
        self.group = group
        self.columns = columns
        self.at = 0
        self._parquet = _open(file)
        self._batches = self._parquet.iter_batches(
            batch_size=BATCH_ROWS, row_groups=[group.number], columns=columns.leaves, use_threads=False
        )
        self._batch: Any = None
        self._used = 0

    def skip_to(self, row: int) -> None:
        """Go on to a row that is not behind."""
        while self.at < row:
            self._fill()
            step = min(row - self.at, self._batch.num_rows - self._used)
            self.at += step
            self._used += step

    def next_row(self) -> tuple[bytes | None, str | None]:
        """Return image bytes and key of the next row; raise DamagedError if it cannot be read."""
        self._fill()
        with self._damage():
            values = self.columns.values(self._batch, self._used)
        self.at += 1
        self._used += 1
        return values

    def close(self) -> None:
        """Close the file."""
        self._parquet.close()

    def _fill(self) -> None:
        while self._batch is None or self._used == self._batch.num_rows:
            with self._damage():
                self._batch, self._used = next(self._batches, None), 0
            if self._batch is None:
                raise DamagedError(
                    self.file.location, f"row group {self.group.number} has {self.at} rows, its footer more"
                )

    @contextmanager
    def _damage(self) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, ValueError, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise DamagedError(
                self.file.location,
                f"row group {self.group.number} cannot be read from row {self.at} on ({_short(error)}); "
                "repair the file",
            ) from error


class _Idle:
    """A few readers that stand where the next work unit may go on."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = Lock()
        self._readers: list[GroupReader] = []

    def take(self, file: StoredFile, group: RowGroup, columns: Columns, at: int) -> GroupReader | None:
        wanted = (file, group, columns, at)
        with self._lock:
            for reader in self._readers:
                if (reader.file, reader.group, reader.columns, reader.at) == wanted:
                    self._readers.remove(reader)
                    return reader
        return None

    def keep(self, reader: GroupReader) -> None:
        with self._lock:
            self._readers.append(reader)
            while len(self._readers) > self._most:
                self._readers.pop(0).close()


_idle = _Idle(2)


def _short(error: Exception) -> str:
    return str(error).split("\n", 1)[0][:200]
