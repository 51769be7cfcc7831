"""The index a user opens: exact Hamming search over segments, in memory or in a directory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from hashnet import _core
from hashnet.codes import Codes, Ids, check_codes, check_n_bits
from hashnet.errors import DamagedError, FingerprintError, ReadOnlyError
from hashnet.index.arguments import check_k, check_memory, check_radius, check_threads, check_within
from hashnet.index.building import NewRows, SegmentBuilder
from hashnet.index.keys import KeyTable, checked_bytes, read_keys
from hashnet.index.layout import DEFAULT_LAYOUT, LayoutOptions
from hashnet.index.manifest import Manifest, SegmentEntry
from hashnet.index.opening import Opening, open_segment
from hashnet.index.report import IndexStats, Plan, describe_segment_plan, describe_stats
from hashnet.index.store import Store
from hashnet.progress import NO_PROGRESS, Progress
from hashnet.results import Balls, Neighbors

Mode = Literal["r", "w"]

_MAPPED = Opening()


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
        opening: Opening = _MAPPED,
        part: Sequence[int] | slice | None = None,
    ) -> None:
        """Not for users: see ``create``, ``in_memory`` and ``open_index``."""
        self._store = store
        self._opening = opening
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
        layout: LayoutOptions = DEFAULT_LAYOUT,
    ) -> Self:
        """Create an index directory and open it for writing.

        ``fingerprint`` names the code space (a model's ``fingerprint``); codes of another are refused.
        ``layout`` is kept, for every later ``add``. Raises FileExistsError where ``path`` is an index already
        or not empty, and ValueError for a layout that codes of ``n_bits`` cannot have.
        """
        store = Store(Path(path))
        manifest = Manifest(
            n_bits=check_n_bits(n_bits),
            fingerprint=fingerprint,
            metadata=dict(metadata or {}),
            layout=layout.check(n_bits),
        )
        return cls(store.create(manifest), store=store)

    @classmethod
    def in_memory(
        cls, *, n_bits: int, fingerprint: str | None = None, layout: LayoutOptions = DEFAULT_LAYOUT
    ) -> Self:
        """Return an empty index that lives in memory only; ``layout`` as in ``create``."""
        n_bits = check_n_bits(n_bits)
        return cls(Manifest(n_bits=n_bits, fingerprint=fingerprint, layout=layout.check(n_bits)), store=None)

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
        memory: int | None = None,
        progress: Progress = NO_PROGRESS,
    ) -> None:
        """Add codes ``(n, n_bits / 8)`` as a new segment; all of them or, if it raises, none.

        ``codes`` may be mapped from a file (``open_codes``) and are not copied. ``ids`` are distinct
        int64 >= 0 that the index does not hold yet; by default row numbers, counted on from the largest id
        so far, which take no memory. ``keys`` are names of the rows, kept beside them. What a directory has
        taken is durable when the call returns.

        Building works in ``memory`` bytes (default 4 GiB, at least 64 MiB) beside the segment itself, on all
        cores or ``threads``; ``progress`` is told of its stages. An exception from ``progress``, or Ctrl-C,
        ends it within a moment like any other error.
        """
        self._check_open()
        self._check_writable()
        check_codes(codes, self.n_bits)
        self._check_fingerprint(fingerprint, adopt=not len(self))
        rows = NewRows.checked(
            codes,
            ids,
            keys,
            held=[(e.min_id, e.max_id, self._segments[e.file.name].row_ids) for e in self._entries],
        )
        builder = SegmentBuilder(
            store=self._store,
            layout=self._manifest.layout,
            threads=check_threads(threads),
            memory=check_memory(memory),
            progress=progress,
        )
        if not len(codes):
            return
        try:
            built = builder.build(rows, self._manifest.next_segment)
            manifest = replace(
                self._manifest,
                fingerprint=self.fingerprint if fingerprint is None else fingerprint,
                generation=self._manifest.generation + 1,
                next_segment=self._manifest.next_segment + len(built),
                segments=(*self._entries, *(one.entry for one in built)),
            )
            if self._store is not None:
                self._store.commit(manifest)
        except BaseException:
            self._recover()
            raise
        for one in built:
            self._segments[one.entry.file.name] = one.segment
            if one.keys is not None:
                self._keys[one.entry.file.name] = one.keys
        self._show(manifest)

    def search(
        self,
        queries: Codes,
        k: int,
        *,
        threads: int | None = None,
        pad: bool = False,
        within: int | NDArray[np.int32] | None = None,
        fingerprint: str | None = None,
    ) -> Neighbors:
        """Return the ``k`` nearest codes of each query, ties by smaller id.

        Where the index holds fewer than ``k`` codes that is an error, unless ``pad`` is true: then the rest
        of each row is id -1. So are neighbours farther than ``within``, one distance or one for each query
        (int32 ``(nq,)``); a tight one saves work. ``threads`` defaults to all cores. Queries that carry the
        ``fingerprint`` of another code space are refused.
        """
        if within is None and fingerprint is None:
            # Checks in Python would cost more than the call: see "How a search is measured" in benchmarks/.
            plain = self._searcher.search_if_plain(queries, k, threads)
            if plain is not None:
                return Neighbors(*plain)
        self._check_open()
        check_codes(queries, self.n_bits, name="queries")
        self._check_fingerprint(fingerprint, what="queries")
        k = check_k(k, len(self), pad=pad)
        if within is not None:
            within = check_within(within, len(queries), self.n_bits)
        return Neighbors(*self._searcher.search(queries, k, check_threads(threads, len(queries)), within))

    def search_radius(
        self,
        queries: Codes,
        radius: int,
        *,
        threads: int | None = None,
        fingerprint: str | None = None,
    ) -> Balls:
        """Return all codes within ``radius`` (inclusive) of each query, each ascending (distance, id)."""
        if fingerprint is None:
            plain = self._searcher.search_radius_if_plain(queries, radius, threads)
            if plain is not None:
                return Balls(*plain)
        self._check_open()
        check_codes(queries, self.n_bits, name="queries")
        self._check_fingerprint(fingerprint, what="queries")
        radius = check_radius(radius, self.n_bits)
        return Balls(*self._searcher.search_radius(queries, radius, check_threads(threads, len(queries))))

    def count_radius(
        self,
        queries: Codes,
        radius: int,
        *,
        threads: int | None = None,
        fingerprint: str | None = None,
    ) -> NDArray[np.int64]:
        """Return how many codes lie within ``radius`` (inclusive) of each query, int64 ``(nq,)``.

        These are the sizes of the balls of ``search_radius``, without their memory.
        """
        self._check_open()
        check_codes(queries, self.n_bits, name="queries")
        self._check_fingerprint(fingerprint, what="queries")
        radius = check_radius(radius, self.n_bits)
        return self._searcher.count_radius(queries, radius, check_threads(threads, len(queries)))

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
            reports = self._searcher.explain(query, 0, check_radius(radius, self.n_bits), "auto")
        else:
            reports = self._searcher.explain(query, check_k(k, len(self), pad=False), 0, "auto")
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
        """Return counts, sizes and the layout."""
        segments = [self._segments[entry.file.name] for entry in self._entries]
        return describe_stats(self._manifest, segments)

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
        self._load(manifest)
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

    def _load(self, manifest: Manifest, *, verify: bool | None = None) -> None:
        """Open the segments of ``manifest``; nothing changes if one cannot be opened."""
        entries = manifest.part(self._part)
        if verify is None:
            verify = self._opening.verifies(entries)
        opened = {
            entry.file.name: self._segments.get(entry.file.name)
            or open_segment(
                self._where(entry),
                entry,
                n_bits=self.n_bits,
                preload=self._opening.preload,
                verify=verify,
            )
            for entry in entries
        }
        self._segments = opened
        self._show(manifest)

    def _show(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._entries = manifest.part(self._part)
        self._searcher = _core.Searcher([self._segments[entry.file.name] for entry in self._entries])

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
    preload: bool = False,
    verify: bool | None = None,
    segments: Sequence[int] | slice | None = None,
) -> Index:
    """Open an index directory.

    ``mode="r"`` gives a snapshot that later commits do not change (``refresh()`` sees them), ``"w"`` the one
    writer. Segment files are mapped, which takes milliseconds at any size, and the system reads what queries
    touch; ``preload=True`` reads them whole into memory of the process, on huge pages, which answers faster
    from the first query on. What is added later is mapped either way.

    Headers and geometry are always checked. With ``verify=True`` all bytes are compared with their checksums,
    which reads every file once, with ``verify=False`` none. By default they are compared if the segments
    together have at most 1 GiB or are preloaded; larger mapped ones are not, and ``check()`` or `hashnet
    check` does it later. ``segments`` takes a part of the index, by position, for a shard. Raises
    FileNotFoundError, DamagedError or LockedError.
    """
    if mode not in ("r", "w"):
        raise ValueError(f"mode must be 'r' or 'w', got {mode!r}")
    opening = Opening(preload=preload, verify=verify)
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
        index = Index(manifest, store=store, opening=opening, part=segments)
        index._load(manifest)
    except BaseException:
        store.unlock()
        raise
    return index
