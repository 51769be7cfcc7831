"""The parts of an index build: which rows each has, how one is read and built, how all become one manifest.

A part is built alike by whoever builds it, so an index has the same bytes whether its parts were built one
after another in one process or by many workers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from hashnet import _core
from hashnet.codes import MIN_BITS, Codes, check_codes, check_n_bits
from hashnet.encoding.code_store import MANIFEST, CodeStore
from hashnet.encoding.durable import FileMark
from hashnet.encoding.shards import CodeShard
from hashnet.errors import DamagedError
from hashnet.index.building import NewRows, SegmentBuilder
from hashnet.index.layout import LayoutOptions
from hashnet.index.manifest import Manifest, SegmentEntry
from hashnet.index.store import Store
from hashnet.progress import NO_PROGRESS, Progress

# The metadata entry that says where the images behind the ids are.
SOURCE = "source"


@dataclass(frozen=True)
class BuildPlan:
    """An index to be built: ``n_codes`` rows in ``n_parts`` parts of equal size, each one shard's worth."""

    n_bits: int
    n_codes: int
    n_parts: int
    layout: LayoutOptions
    fingerprint: str | None
    source: str | None

    @classmethod
    def of(cls, source: CodeStore | Codes, *, parts: int, layout: LayoutOptions) -> BuildPlan:
        """Plan the index of ``source``; raises ValueError for no codes, too many parts or a wrong layout."""
        if isinstance(source, CodeStore):
            n, n_bits = source.n_codes, source.n_bits
        else:
            # An array that is no matrix has no n_bits to tell; check_codes says what is wrong with it.
            codes = check_codes(source, source.shape[1] * 8 if np.ndim(source) == 2 else MIN_BITS)
            n, n_bits = len(codes), check_n_bits(codes.shape[1] * 8)
        if n == 0:
            raise ValueError("the source holds no codes; there is nothing to build an index of")
        if not 1 <= parts <= n:
            raise ValueError(
                f"shards must be at most the number of codes and at least 1, got {parts} shards for {n} codes"
            )
        store = source if isinstance(source, CodeStore) else None
        return cls(
            n_bits,
            n,
            parts,
            layout.check(n_bits),
            fingerprint=None if store is None else store.fingerprint,
            source=None if store is None else absolute_source(store.source),
        )

    def rows(self, part: int) -> slice:
        """Return the rows of a part."""
        return slice(self.n_codes * part // self.n_parts, self.n_codes * (part + 1) // self.n_parts)

    def size(self, part: int) -> int:
        """Return how many rows a part has."""
        rows = self.rows(part)
        return int(rows.stop - rows.start)

    def first_segment(self, part: int) -> int:
        """Return the number of a part's first segment; a part beyond the largest segment has several."""
        return sum(-(-self.size(before) // _core.MAX_SEGMENT_ROWS) for before in range(part))

    def manifest(self, entries: Iterable[SegmentEntry]) -> Manifest:
        """Return the manifest of the whole index, given the segments of all parts in their order.

        Raises ValueError where ids of two segments overlap or rows are missing.
        """
        segments = tuple(entries)
        if sum(entry.n_rows for entry in segments) != self.n_codes:
            raise ValueError(
                f"the parts hold {sum(entry.n_rows for entry in segments)} rows of {self.n_codes}"
            )
        for before, after in pairwise(segments):
            if after.min_id <= before.max_id:
                raise ValueError(f"ids of {after.file.name} overlap those of {before.file.name}")
        return Manifest(
            n_bits=self.n_bits,
            fingerprint=self.fingerprint,
            metadata={} if self.source is None else {SOURCE: self.source},
            next_segment=len(segments),
            segments=segments,
            layout=self.layout,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON values, to compare it with another."""
        return asdict(self)


def build_part(
    source: CodeStore | Codes,
    plan: BuildPlan,
    part: int,
    store: Store,
    *,
    threads: int,
    memory: int,
    progress: Progress = NO_PROGRESS,
) -> list[SegmentEntry]:
    """Build the segments of a part as files of ``store``, durable but not committed; return their entries.

    Only the part's own rows are read: those of a store into memory, those of a code file stay mapped.
    """
    rows = plan.rows(part)
    if isinstance(source, CodeStore):
        codes, ids, keys = read_rows(source, rows, progress=progress)
        new = NewRows.checked(codes, ids, keys, held=[])
    else:
        new = NewRows.checked(source, None, None, held=[]).part(rows)
    builder = SegmentBuilder(
        store=store, layout=plan.layout, threads=threads, memory=memory, progress=progress
    )
    return [one.entry for one in builder.build(new, plan.first_segment(part))]


def read_rows(store: CodeStore, rows: slice, *, progress: Progress = NO_PROGRESS) -> CodeShard:
    """Return the rows from ``rows.start`` to below ``rows.stop`` of a store, counted over its shards.

    Each shard that has some of them is read and checked once. Raises DamagedError for one that is not what
    was written.
    """
    n = int(rows.stop - rows.start)
    codes = np.empty((n, store.n_bits // 8), dtype=np.uint8)
    ids = np.empty(n, dtype=np.int64)
    keys: list[str] = []
    progress.start("read codes", n)
    try:
        begin = 0
        for entry in store.manifest.shards:
            end = begin + entry.n_codes
            inside = slice(max(rows.start, begin) - begin, min(rows.stop, end) - begin)
            begin = end
            if inside.stop <= inside.start:
                continue
            shard = entry.read(store.path, n_bits=store.n_bits)
            taken = inside.stop - inside.start
            at = slice(len(keys), len(keys) + taken)
            codes[at], ids[at] = shard.codes[inside], shard.ids[inside]
            keys.extend(shard.keys[inside])
            if at.start and ids[at.start] <= ids[at.start - 1]:
                raise DamagedError(entry.paths(store.path)[1], "ids overlap those of the shard before")
            progress.advance(taken)
    finally:
        progress.finish()
    return CodeShard(codes, ids, keys)


def source_mark(source: CodeStore | Codes, path: Path) -> str:
    """Return what tells the source at ``path`` from another, or from what it was before it was changed."""
    if isinstance(source, CodeStore):
        return FileMark.of((source.path / MANIFEST).read_bytes()).sha256
    facts = path.stat()
    return f"{facts.st_size} bytes of {facts.st_mtime_ns}"


def absolute_source(source: str) -> str:
    """Return a source that holds in every working folder: a path that exists becomes absolute."""
    return str(Path(source).absolute()) if source != "digits" and Path(source).exists() else source
