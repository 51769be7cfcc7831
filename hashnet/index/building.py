"""Rows become segments: checked, built one after another, durable, but not committed yet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from hashnet import _core
from hashnet.codes import Codes, Ids, check_ids
from hashnet.files import write_atomically
from hashnet.index.arguments import ascends, check_new_ids
from hashnet.index.keys import KeyTable, check_keys, to_parquet
from hashnet.index.layout import LayoutOptions
from hashnet.index.manifest import FileEntry, SegmentEntry
from hashnet.index.store import Store
from hashnet.progress import Progress

MAX_ID = np.iinfo(np.int64).max


class NewRows(NamedTuple):
    """Rows to be added: codes ``(n, n_bits / 8)``, ids, and keys where they have some.

    ``ids`` is None where they count up from ``first_id``: so a billion of them take no memory.
    """

    codes: Codes
    ids: Ids | None
    first_id: int
    keys: Sequence[str] | None

    @classmethod
    def checked(
        cls,
        codes: Codes,
        ids: Ids | None,
        keys: Sequence[str] | None,
        *,
        held: Sequence[tuple[int, int, Callable[[], Ids]]],
    ) -> NewRows:
        """Check ids and keys against ``codes``, which are checked already, and against the ids ``held``.

        ``held`` as in ``check_new_ids``. Missing ids count on from the largest one held.
        """
        n = len(codes)
        if keys is not None:
            check_keys(keys, n)
        if ids is None:
            first_id = 1 + max((max_id for _, max_id, _ in held), default=-1)
            if first_id + n > MAX_ID:
                raise ValueError(
                    f"{n} ids counted on from {first_id} would reach 2**63 - 1, the largest; pass ids"
                )
            return cls(codes, None, first_id, keys)
        ids = check_ids(ids, n)
        check_new_ids(ids, held)
        first_id = int(ids[0]) if n else 0
        # Ids that count up take no memory, whoever counted them.
        if n and int(ids[-1]) - first_id == n - 1 and first_id + n <= MAX_ID and ascends(ids):
            return cls(codes, None, first_id, keys)
        return cls(codes, ids, first_id, keys)

    def part(self, rows: slice) -> NewRows:
        """Return the rows from ``rows.start`` to below ``rows.stop``."""
        return NewRows(
            self.codes[rows],
            None if self.ids is None else self.ids[rows],
            self.first_id + rows.start,
            None if self.keys is None else self.keys[rows],
        )

    def id_range(self) -> tuple[int, int]:
        """Return the smallest and the largest id."""
        if self.ids is None:
            return self.first_id, self.first_id + len(self.codes) - 1
        return int(self.ids.min()), int(self.ids.max())

    def key_table(self) -> KeyTable | None:
        """Return the keys by id, None where rows have none."""
        if self.keys is None:
            return None
        ids = self.ids
        if ids is None:
            ids = np.arange(self.first_id, self.first_id + len(self.codes), dtype=np.int64)
        return KeyTable.of(ids, self.keys)


class BuiltSegment(NamedTuple):
    """A segment as the manifest will list it, open for searching, and its keys."""

    entry: SegmentEntry
    segment: _core.Segment
    keys: KeyTable | None


class StageProgress:
    """Turns what the engine tells of a build, (stage, done, total), into phases of a Progress."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._stage: str | None = None
        self._done = 0
        self._total = 0

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Take a message of the engine; it comes from the thread that builds."""
        # A stage that begins anew, for the next table say, is a phase of its own.
        if stage != self._stage or done < self._done:
            self._complete()
            self._stage, self._done, self._total = stage, 0, total
            self._progress.start(f"build: {stage}", total)
        if done > self._done:
            self._progress.advance(done - self._done)
            self._done = done

    def finish(self, n: int) -> None:
        """Count ``n`` rows as built; what is quickly done the engine may not have told of at all."""
        if self._stage is None:
            self("rows", n, n)
        self._complete()

    def _complete(self) -> None:
        # The engine tells now and then only: the end of a stage need not be among what it told.
        if self._done < self._total:
            self._progress.advance(self._total - self._done)
            self._done = self._total


@dataclass(frozen=True)
class SegmentBuilder:
    """Builds segments in memory, or as files of a store; ``memory`` bounds the working memory in bytes."""

    store: Store | None
    layout: LayoutOptions
    threads: int
    memory: int
    progress: Progress

    def build(self, rows: NewRows, first_number: int) -> list[BuiltSegment]:
        """Build as many segments as the rows need, numbered from ``first_number``."""
        built: list[BuiltSegment] = []
        try:
            for begin in range(0, len(rows.codes), _core.MAX_SEGMENT_ROWS):
                end = min(begin + _core.MAX_SEGMENT_ROWS, len(rows.codes))
                built.append(self._build_one(rows.part(slice(begin, end)), first_number + len(built)))
        finally:
            self.progress.finish()
        return built

    def _build_one(self, rows: NewRows, number: int) -> BuiltSegment:
        name = f"{number:06d}.seg"
        path = ""
        if self.store is not None:
            file = self.store.segments / name
            # No file of this number is committed; one that exists is left over from a failed add.
            file.unlink(missing_ok=True)
            path = str(file)
        stages = StageProgress(self.progress)
        segment = _core.Segment.build(
            rows.codes,
            rows.ids,
            rows.first_id,
            path,
            self.threads,
            memory=self.memory,
            tables=self.layout.tables or 0,
            directory_bits=self.layout.directory_bits or 0,
            select_bits=self.layout.select_bits,
            progress=stages,
        )
        stages.finish(len(rows.codes))
        low, high = rows.id_range()
        keys = rows.key_table()
        entry = SegmentEntry(
            file=FileEntry(name, segment.size, segment.checksum),
            n_rows=segment.n_rows,
            n_distinct=segment.n_distinct,
            min_id=low,
            max_id=high,
            keys=None if keys is None else self._write_keys(keys, number),
        )
        return BuiltSegment(entry, segment, keys)

    def _write_keys(self, keys: KeyTable, number: int) -> FileEntry:
        name = f"{number:06d}.keys.parquet"
        if self.store is None:
            return FileEntry(name, 0, 0)
        data = to_parquet(keys)
        write_atomically(self.store.segments / name, data)
        return FileEntry(name, len(data), _core.crc32c(data))
