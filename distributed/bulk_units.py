"""What a bulk query is, how its answers become rows, and what its files look like: no Ray.

hits.parquet has a row for each neighbour: ``query`` (row number of the query, from 0), ``rank`` (from 1, by
ascending distance, ties by id), ``id``, ``distance``, and ``key``, null where the index knows none. A count
has ``query`` and ``count`` alone. Rows ascend by (query, rank).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hashnet.codes import Codes, Ids
from hashnet.results import PAD_ID, Balls, Neighbors

# Large enough to compress and scan well, small enough that a few of them fit beside everything else.
ROW_GROUP_ROWS = 1 << 18
UNIT_QUERIES = 1 << 16
# Hits of one call of the engine, about; a single ball may be larger.
_CALL_HITS = 1 << 20
_CALL_QUERIES = 1 << 12
_FIRST_CALL = 16

_HITS = pa.schema(
    [
        pa.field("query", pa.int64(), nullable=False),
        pa.field("rank", pa.int32(), nullable=False),
        pa.field("id", pa.int64(), nullable=False),
        pa.field("distance", pa.int32(), nullable=False),
        pa.field("key", pa.string()),
    ]
)
_COUNTS = pa.schema(
    [pa.field("query", pa.int64(), nullable=False), pa.field("count", pa.int64(), nullable=False)]
)
SETTINGS_KEY = b"hashnet.bulk"


class Searchable(Protocol):
    """What is asked of an index."""

    def search(self, queries: Codes, k: int, *, threads: int | None = None) -> Neighbors:
        """Return the k nearest."""

    def search_radius(self, queries: Codes, radius: int, *, threads: int | None = None) -> Balls:
        """Return the balls."""

    def count_radius(self, queries: Codes, radius: int, *, threads: int | None = None) -> NDArray[np.int64]:
        """Return the sizes of the balls."""

    def keys_of(self, ids: Ids) -> list[str | None]:
        """Return the keys of ids."""


@dataclass(frozen=True)
class BulkSettings:
    """What decides the rows of the output: queries and index by digest, and the question.

    Exactly one of ``k`` and ``radius`` is given; ``count`` goes with a radius.
    """

    index: str
    fingerprint: str | None
    queries: str
    n_queries: int
    n_bits: int
    k: int | None
    radius: int | None
    count: bool
    unit_queries: int

    @property
    def n_units(self) -> int:
        """Number of work units."""
        return -(-self.n_queries // self.unit_queries)

    def unit(self, number: int) -> slice:
        """Return which queries a work unit holds."""
        return slice(number * self.unit_queries, min((number + 1) * self.unit_queries, self.n_queries))

    def size(self, number: int) -> int:
        """Return how many queries a work unit holds."""
        part = self.unit(number)
        return int(part.stop - part.start)

    @property
    def schema(self) -> Any:
        """The schema of the output, which carries these settings as metadata, but for the unit size."""
        facts = asdict(self)
        del facts["unit_queries"]
        text = json.dumps(facts, sort_keys=True)
        return (_COUNTS if self.count else _HITS).with_metadata({SETTINGS_KEY: text.encode()})

    def to_json(self) -> dict[str, Any]:
        """Return the settings as JSON values, to compare them with others."""
        return asdict(self)


def answer_unit(
    index: Searchable,
    queries: Codes,
    settings: BulkSettings,
    unit: int,
    *,
    threads: int,
    answered: Callable[[int], None] = lambda n: None,
) -> Iterator[Any]:
    """Yield the answers to a unit as tables in order, of about a million rows or a ball each.

    ``answered`` is told now and then how many of its queries are done.
    """
    part = settings.unit(unit)
    begin = part.start
    step = min(_FIRST_CALL, _CALL_QUERIES) if settings.k is None else _queries_for(float(settings.k))
    while begin < part.stop:
        end = min(begin + step, part.stop)
        asked = np.ascontiguousarray(queries[begin:end])
        if settings.count:
            table = _count_table(index, asked, begin, settings, threads=threads)
            step = _CALL_QUERIES
        else:
            table = _hit_table(index, asked, begin, settings, threads=threads)
            if settings.k is None:
                # As many queries as would give a full call if all balls were like these.
                step = min(4 * step, _queries_for(len(table) / len(asked)))
        yield table
        begin = end
        answered(begin - part.start)


def regrouped(tables: Iterable[Any], schema: Any, rows: int = ROW_GROUP_ROWS) -> Iterator[Any]:
    """Yield the same rows in tables of exactly ``rows`` rows, the last with the rest; none is empty."""
    held: list[Any] = []
    n_held = 0
    for table in tables:
        begin = 0
        while begin < len(table):
            piece = table.slice(begin, rows - n_held)
            held.append(piece)
            n_held += len(piece)
            begin += len(piece)
            if n_held == rows:
                yield pa.concat_tables(held).cast(schema).combine_chunks()
                held, n_held = [], 0
    if held:
        yield pa.concat_tables(held).cast(schema).combine_chunks()


def digest_of_queries(queries: Codes, *, piece_rows: int = 1 << 20) -> str:
    """Return a digest of the rows; works in bounded memory on mapped ones."""
    hasher = hashlib.sha256(repr(queries.shape[1:]).encode())
    for begin in range(0, len(queries), piece_rows):
        hasher.update(np.ascontiguousarray(queries[begin : begin + piece_rows]).data)
    return hasher.hexdigest()


def _queries_for(hits: float) -> int:
    return max(1, min(_CALL_QUERIES, int(_CALL_HITS / max(hits, 1.0))))


def _count_table(index: Searchable, asked: Codes, first: int, settings: BulkSettings, *, threads: int) -> Any:
    counts = index.count_radius(asked, int(settings.radius or 0), threads=threads)
    numbers = np.arange(first, first + len(asked), dtype=np.int64)
    return pa.table([pa.array(numbers), pa.array(counts)], schema=settings.schema)


def _hit_table(index: Searchable, asked: Codes, first: int, settings: BulkSettings, *, threads: int) -> Any:
    if settings.k is not None:
        nearest = index.search(asked, settings.k, threads=threads)
        kept = nearest.ids != PAD_ID
        sizes = kept.sum(axis=1)
        ids, distances = nearest.ids[kept], nearest.distances[kept]
    else:
        offsets, distances, ids = index.search_radius(asked, int(settings.radius or 0), threads=threads)
        sizes = np.diff(offsets)
    starts = np.cumsum(sizes) - sizes
    ranks = np.arange(len(ids)) - np.repeat(starts, sizes) + 1
    columns = [
        pa.array(np.repeat(np.arange(first, first + len(asked), dtype=np.int64), sizes)),
        pa.array(ranks.astype(np.int32)),
        pa.array(ids),
        pa.array(distances),
        pa.array(index.keys_of(ids), type=pa.string()),
    ]
    return pa.table(columns, schema=settings.schema)
