"""The index a user opens: exact Hamming search over segments, in memory or in a directory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import numpy as np

from hashnet import _core
from hashnet.codes import Codes, Ids, check_codes, check_ids, check_n_bits
from hashnet.errors import DamagedError, FingerprintError, ReadOnlyError
from hashnet.files import write_atomically
from hashnet.index.arguments import check_k, check_new_ids, check_radius, check_threads
from hashnet.index.keys import KeyTable, check_keys, checked_bytes, read_keys, to_parquet
from hashnet.index.manifest import FileEntry, Manifest, SegmentEntry
from hashnet.index.report import IndexStats, Plan, describe_segment_plan
from hashnet.index.store import Store
from hashnet.results import Balls, Neighbors

Mode = Literal["r", "w"]
Memory = Literal["map", "copy"]


class Index:
    """Packed codes with ids, searched exactly.

    Make one with ``Index.create`` (a directory), ``Index.in_memory`` or ``hashnet.open_index``. Every
    answer equals that of a linear scan in ids, distances and order: ascending (distance, id). Searches may
    run in several threads at once; ``add`` is for one thread at a time.
    """

    def __init__(
        self,
        manifest: Manifest,
        *,
        store: Store | None,
        memory: Memory = "map",
        part: Sequence[int] | slice | None = None,
    ) -> None:
        """Not for users: see ``create``, ``in_memory`` and ``open_index``."""
        self._store = store
        self._memory = memory
        self._part = part
        self._manifest = manifest
        self._entries: tuple[SegmentEntry, ...] = ()
        self._segments: dict[str, _core.Segment] = {}
        self._keys: dict[str, KeyTable] = {}
        self._searcher = _core.Searcher([])
        self._closed = False

    @classmethod
    def create(
        cls,
        path: str | Path,
        *,
        n_bits: int,
        fingerprint: str | None = None,
        metadata: dict[str, str] | None = None,
    ) -> Self:
        """Create an index directory and open it for writing.

        ``fingerprint`` names the code space (a model's ``fingerprint``); codes of another are refused.
        Raises FileExistsError where ``path`` is an index already or not empty.
        """
        store = Store(Path(path))
        manifest = Manifest(
            n_bits=check_n_bits(n_bits), fingerprint=fingerprint, metadata=dict(metadata or {})
        )
        return cls(store.create(manifest), store=store)

    @classmethod
    def in_memory(cls, *, n_bits: int, fingerprint: str | None = None) -> Self:
        """Return an empty index that lives in memory only."""
        return cls(Manifest(n_bits=check_n_bits(n_bits), fingerprint=fingerprint), store=None)

    @property
    def n_bits(self) -> int:
        """Bits of a code."""
        return self._manifest.n_bits

    @property
    def fingerprint(self) -> str | None:
        """Fingerprint of the code space, None where none was given."""
        return self._manifest.fingerprint

    @property
    def metadata(self) -> dict[str, str]:
        """What the creator noted, a copy."""
        return dict(self._manifest.metadata)

    @property
    def path(self) -> Path | None:
        """The directory, None for an index in memory."""
        return None if self._store is None else self._store.path

    def __len__(self) -> int:
        return self._searcher.n_rows

    def __repr__(self) -> str:
        return f"<hashnet.Index {self.path or 'in memory'}: {len(self)} codes of {self.n_bits} bits>"

    def add(
        self,
        codes: Codes,
        *,
        ids: Ids | None = None,
        keys: Sequence[str] | None = None,
        fingerprint: str | None = None,
        threads: int | None = None,
    ) -> None:
        """Add codes ``(n, n_bits / 8)`` as a new segment; all of them or, if it raises, none.

        ``ids`` are distinct int64 >= 0 that the index does not hold yet; by default row numbers, counted on
        from the largest id so far. ``keys`` are names of the rows, kept beside them. What a directory has
        taken is durable when the call returns. Needs about 60 bytes of working memory a code.
        """
        self._check_open()
        self._check_writable()
        check_codes(codes, self.n_bits)
        self._check_fingerprint(fingerprint, adopt=not len(self))
        n = len(codes)
        first = 1 + max((entry.max_id for entry in self._entries), default=-1)
        ids = np.arange(first, first + n, dtype=np.int64) if ids is None else check_ids(ids, n)
        if keys is not None:
            check_keys(keys, n)
        check_new_ids(ids, [(e.min_id, e.max_id, self._segments[e.file.name].row_ids) for e in self._entries])
        if n == 0:
            return
        entries = list(self._entries)
        built: dict[str, _core.Segment] = {}
        key_tables: dict[str, KeyTable] = {}
        try:
            for begin in range(0, n, _core.MAX_SEGMENT_ROWS):
                rows = slice(begin, begin + _core.MAX_SEGMENT_ROWS)
                part_keys = None if keys is None else keys[rows]
                number = self._manifest.next_segment + len(built)
                entry, segment, table = self._build(
                    number, codes[rows], ids[rows], part_keys, check_threads(threads)
                )
                entries.append(entry)
                built[entry.file.name] = segment
                if table is not None:
                    key_tables[entry.file.name] = table
            manifest = Manifest(
                n_bits=self.n_bits,
                fingerprint=self.fingerprint if fingerprint is None else fingerprint,
                metadata=self._manifest.metadata,
                generation=self._manifest.generation + 1,
                next_segment=self._manifest.next_segment + len(built),
                segments=tuple(entries),
            )
            if self._store is not None:
                self._store.commit(manifest)
        except BaseException:
            self._recover()
            raise
        self._segments.update(built)
        self._keys.update(key_tables)
        self._show(manifest)

    def search(
        self,
        queries: Codes,
        k: int,
        *,
        threads: int | None = None,
        pad: bool = False,
        fingerprint: str | None = None,
    ) -> Neighbors:
        """Return the ``k`` nearest codes of each query, ties by smaller id.

        Where the index holds fewer than ``k`` codes that is an error, unless ``pad`` is true: then the rest
        of each row is id -1. ``threads`` defaults to all cores. Queries that carry the ``fingerprint`` of
        another code space are refused.
        """
        self._check_open()
        check_codes(queries, self.n_bits, name="queries")
        self._check_fingerprint(fingerprint, what="queries")
        k = check_k(k, len(self), pad=pad)
        return Neighbors(*self._searcher.search(queries, k, check_threads(threads, len(queries))))

    def search_radius(
        self,
        queries: Codes,
        radius: int,
        *,
        threads: int | None = None,
        fingerprint: str | None = None,
    ) -> Balls:
        """Return all codes within ``radius`` (inclusive) of each query, each ascending (distance, id)."""
        self._check_open()
        check_codes(queries, self.n_bits, name="queries")
        self._check_fingerprint(fingerprint, what="queries")
        radius = check_radius(radius, self.n_bits)
        return Balls(*self._searcher.search_radius(queries, radius, check_threads(threads, len(queries))))

    def explain(self, query: Codes, *, radius: int | None = None, k: int | None = None) -> Plan:
        """Run one query, ``(n_bits / 8,)`` or ``(1, n_bits / 8)``, and tell its plan and what it cost."""
        self._check_open()
        if isinstance(query, np.ndarray) and query.ndim == 1:
            query = query[None, :]
        check_codes(query, self.n_bits, name="query")
        if len(query) != 1:
            raise ValueError(f"explain takes one query, got {len(query)}")
        if (radius is None) == (k is None):
            raise ValueError(f"explain needs either radius or k, got radius={radius} and k={k}")
        if radius is not None:
            reports = self._searcher.explain(query, 0, check_radius(radius, self.n_bits))
        else:
            reports = self._searcher.explain(query, check_k(k, len(self), pad=False), 0)
        plans = []
        for number, (entry, report) in enumerate(zip(self._entries, reports, strict=True)):
            tables = self._segments[entry.file.name].tables
            plans.append(describe_segment_plan(number, entry.n_rows, tables, report))
        return Plan(n_bits=self.n_bits, radius=radius, k=k, segments=tuple(plans))

    def keys_of(self, ids: Ids) -> list[str | None]:
        """Return the key of each id, None for ids without one (and for -1)."""
        self._check_open()
        ids = np.asarray(ids, dtype=np.int64).ravel()
        keys: list[str | None] = [None] * len(ids)
        for entry in self._entries:
            inside = np.flatnonzero((ids >= entry.min_id) & (ids <= entry.max_id))
            if entry.keys is None or not len(inside):
                continue
            for at, key in zip(inside, self._key_table(entry).look_up(ids[inside]), strict=True):
                if key is not None:
                    keys[at] = key
        return keys

    def export(self) -> tuple[Codes, Ids]:
        """Return all codes ``(n, n_bits / 8)`` and their ids, segment by segment, each in code order."""
        self._check_open()
        parts = [self._segments[entry.file.name].export_rows() for entry in self._entries]
        if not parts:
            return np.empty((0, self.n_bits // 8), dtype=np.uint8), np.empty(0, dtype=np.int64)
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])

    def ids(self) -> Ids:
        """Return all ids, segment by segment, in no useful order."""
        parts = [self._segments[entry.file.name].row_ids() for entry in self._entries]
        return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)

    def stats(self) -> IndexStats:
        """Return counts and sizes."""
        segments = [self._segments[entry.file.name] for entry in self._entries]
        size = sum(segment.size for segment in segments)
        return IndexStats(
            n_bits=self.n_bits,
            n_codes=len(self),
            n_distinct=sum(segment.n_distinct for segment in segments),
            generation=self._manifest.generation,
            segment_sizes=tuple(segment.n_rows for segment in segments),
            segment_bytes=size,
            bytes_per_code=size / len(self) if len(self) else 0.0,
            tables=tuple(len(segment.tables) for segment in segments),
            fingerprint=self.fingerprint,
            simd=_core.simd(),
        )

    def check(self) -> None:
        """Compare every byte of the segments and keys with its checksum; raises DamagedError."""
        self._check_open()
        for entry in self._entries:
            try:
                self._segments[entry.file.name].verify()
            except _core.DamagedSegmentError as error:
                raise DamagedError(self._where(entry), str(error)) from error
            if self._store is not None and entry.keys is not None:
                checked_bytes(self._store.segments / entry.keys.name, entry.keys)

    def refresh(self) -> bool:
        """See what a writer has committed since; returns whether there was anything."""
        self._check_open()
        if self._store is None or self._store.is_locked:
            return False
        if self._part is not None:
            raise ValueError("an index opened with segments= shows those segments only; open it again")
        manifest = self._store.read()
        if manifest.generation == self._manifest.generation:
            return False
        self._load(manifest, verify=True)
        return True

    def close(self) -> None:
        """Give up the write lock and the segments; the index answers no more. May be called again."""
        if self._store is not None:
            self._store.unlock()
        self._closed = True
        self._segments = {}
        self._keys = {}
        self._entries = ()
        self._searcher = _core.Searcher([])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _load(self, manifest: Manifest, *, verify: bool) -> None:
        """Open the segments of ``manifest``; nothing changes if one cannot be opened."""
        entries = manifest.part(self._part)
        opened = {
            entry.file.name: self._segments.get(entry.file.name) or self._open(entry, verify=verify)
            for entry in entries
        }
        self._segments = opened
        self._show(manifest)

    def _show(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._entries = manifest.part(self._part)
        self._searcher = _core.Searcher([self._segments[entry.file.name] for entry in self._entries])

    def _open(self, entry: SegmentEntry, *, verify: bool) -> _core.Segment:
        path = self._where(entry)
        try:
            segment = _core.Segment.open(str(path), copy=self._memory == "copy", verify=verify)
        except FileNotFoundError as error:
            raise DamagedError(path, "the file is missing") from error
        except _core.DamagedSegmentError as error:
            raise DamagedError(path, str(error)) from error
        got = (segment.n_bits, segment.size, segment.checksum, segment.n_rows, segment.n_distinct)
        wanted = (self.n_bits, entry.file.size, entry.file.checksum, entry.n_rows, entry.n_distinct)
        if got != wanted:
            raise DamagedError(path, "it is a segment, but not the one that the manifest lists")
        return segment

    def _build(
        self, number: int, codes: Codes, ids: Ids, keys: Sequence[str] | None, threads: int
    ) -> tuple[SegmentEntry, _core.Segment, KeyTable | None]:
        """Build one segment, durable but not committed where the index is a directory."""
        name = f"{number:06d}.seg"
        table = None if keys is None else KeyTable.of(ids, keys)
        key_entry = None
        if self._store is None:
            segment = _core.Segment.build(codes, ids, 0, "", threads)
            if table is not None:
                key_entry = FileEntry(f"{number:06d}.keys.parquet", 0, 0)
        else:
            path = self._store.segments / name
            # No file of this number is committed; one that exists is left over from a failed add.
            path.unlink(missing_ok=True)
            segment = _core.Segment.build(codes, ids, 0, str(path), threads)
            if table is not None:
                data = to_parquet(table)
                key_entry = FileEntry(f"{number:06d}.keys.parquet", len(data), _core.crc32c(data))
                write_atomically(self._store.segments / key_entry.name, data)
        entry = SegmentEntry(
            file=FileEntry(name, segment.size, segment.checksum),
            n_rows=segment.n_rows,
            n_distinct=segment.n_distinct,
            min_id=int(ids.min()),
            max_id=int(ids.max()),
            keys=key_entry,
        )
        return entry, segment, table

    def _recover(self) -> None:
        """After an add that failed: back to what is committed, which may be the add all the same."""
        if self._store is None:
            return
        manifest = self._store.read()
        self._store.remove_leftovers(manifest)
        if manifest.generation != self._manifest.generation:
            self._load(manifest, verify=False)

    def _key_table(self, entry: SegmentEntry) -> KeyTable:
        table = self._keys.get(entry.file.name)
        if table is None:
            if self._store is None or entry.keys is None:
                raise DamagedError(self._where(entry), "its keys are missing")
            table = self._keys[entry.file.name] = read_keys(
                self._store.segments / entry.keys.name, entry.keys
            )
        return table

    def _where(self, entry: SegmentEntry) -> Path:
        return Path(entry.file.name) if self._store is None else self._store.segments / entry.file.name

    def _check_open(self) -> None:
        if self._closed:
            raise ValueError("the index is closed; open it again with hashnet.open_index")

    def _check_writable(self) -> None:
        if self._store is not None and not self._store.is_locked:
            raise ReadOnlyError(f"{self.path} is open for reading; open it with open_index(path, mode='w')")

    def _check_fingerprint(
        self, fingerprint: str | None, *, adopt: bool = False, what: str = "codes"
    ) -> None:
        if fingerprint is None or fingerprint == self.fingerprint:
            return
        if self.fingerprint is None and adopt:
            return
        raise FingerprintError(fingerprint, self.fingerprint or "none", what=what)


def open_index(
    path: str | Path,
    mode: Mode = "r",
    *,
    memory: Memory = "map",
    verify: bool = True,
    segments: Sequence[int] | slice | None = None,
) -> Index:
    """Open an index directory.

    ``mode="r"`` gives a snapshot that later commits do not change (``refresh()`` sees them), ``"w"`` the one
    writer. ``memory="map"`` maps the segment files, ``"copy"`` reads them into memory on huge pages, which
    answers faster. ``verify=False`` skips comparing all bytes with their checksums, which reads every file
    once; headers are always checked, and ``check()`` can do the rest later. ``segments`` takes a part of
    the index, by position, for a shard. Raises FileNotFoundError, DamagedError or LockedError.
    """
    if mode not in ("r", "w"):
        raise ValueError(f"mode must be 'r' or 'w', got {mode!r}")
    if memory not in ("map", "copy"):
        raise ValueError(f"memory must be 'map' or 'copy', got {memory!r}")
    if segments is not None and mode == "w":
        raise ValueError("segments= opens a part of an index, for reading only; leave it out with mode='w'")
    store = Store(Path(path))
    if not store.path.is_dir():
        raise FileNotFoundError(
            f"{path} does not exist or is not a directory; create an index with Index.create "
            "or `hashnet build`"
        )
    # Read first: whoever asks to write to something that is no index should not leave a LOCK in it.
    manifest = store.read()
    try:
        if mode == "w":
            store.lock()
            manifest = store.read()
            store.remove_leftovers(manifest)
        index = Index(manifest, store=store, memory=memory, part=segments)
        index._load(manifest, verify=verify)
    except BaseException:
        store.unlock()
        raise
    return index
