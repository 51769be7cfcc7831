"""An index over replicas of shards on Ray: a question fans out, answers are merged by (distance, id)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial as partial_of
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, overload

import numpy as np
import ray
from numpy.typing import NDArray

from hashnet.codes import Codes, Ids, check_codes, check_ids, check_n_bits
from hashnet.errors import FingerprintError
from hashnet.index import Plan
from hashnet.index.arguments import check_k, check_new_ids, check_radius
from hashnet.results import Balls, Neighbors

from .asking import Request, ask, ask_once
from .cluster import ensure_ray
from .gather import Answer, gather_balls, gather_counts, gather_neighbors, join_balls, join_neighbors
from .health import ShardHealth
from .pace import HedgeAfter
from .parts import describe
from .placement import place_rows
from .replicas import Watch
from .serving_version import ServingVersion
from .settings import DEFAULT_WATCH, Settings, all_paths, check_shard, check_timeout
from .sources import FileSource, MemorySource, Source
from .version import Version
from .wire import INLINE_BYTES, Method, Question


class ShardedIndex:
    """Exact Hamming search over replicas of shards; every answer is byte-identical to that of one index.

    ``open`` serves an index directory, ``from_codes`` codes in memory. Shards are read-only snapshots. A
    question is asked of one replica of each shard; when that fails or is late, of another. A shard without
    any answer makes the question fail with IncompleteError; with ``partial=True`` the others answer, and the
    answer says which are missing. Methods may be called from any number of threads.
    """

    def __init__(self, source: Source, settings: Settings) -> None:
        """Not for users: see ``open`` and ``from_codes``."""
        self._settings = settings
        self._serving = ServingVersion(Version(source, settings).start_all(), settings.watch)

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        shards: int = 2,
        replicas: int = 1,
        copies: Sequence[str | Path] = (),
        threads: int = 1,
        cpus_per_shard: float = 0.0,
        preload: bool = False,
        verify: bool | None = None,
        timeout_s: float | None = None,
        hedge_after_s: HedgeAfter = "auto",
        watch: Watch = DEFAULT_WATCH,
    ) -> Self:
        """Serve the index directory at ``path`` as ``shards`` of whole segments, each ``replicas`` times.

        Every node must see ``path``, or have a copy of it there. ``copies`` are directories that hold the
        same index on other disks: the replicas of a shard take turns in which they open. Replicas of a shard
        run on distinct nodes as long as there are nodes. One searches with ``threads`` threads;
        ``cpus_per_shard`` is what Ray reserves for it, nothing by default, so that shards never starve other
        jobs of a small machine. ``preload`` and ``verify`` are those of ``open_index``, for each replica:
        preloaded ones are safe from what happens to the file after it was opened.

        ``timeout_s`` bounds each question. With several replicas, a question that is late is asked of another
        after ``hedge_after_s`` seconds, by default twice the 95th percentile of such questions; None: never.
        ``watch`` tells how replicas are watched and started again.

        Returns when every shard has a replica and each other one has opened or failed. Raises ValueError if
        there are fewer segments than shards, DamagedError where no replica of a shard finds its bytes whole,
        and IncompleteError where none starts.
        """
        paths = all_paths(path, copies)
        settings = Settings(replicas, threads, cpus_per_shard, timeout_s, hedge_after_s, watch)
        source = FileSource(paths, describe(paths[0], shards), preload=preload, verify=verify)
        ensure_ray()
        return cls(source, settings)

    @classmethod
    def from_codes(
        cls,
        codes: Codes,
        *,
        n_bits: int,
        ids: Ids | None = None,
        fingerprint: str | None = None,
        shards: int = 2,
        replicas: int = 1,
        threads: int = 1,
        cpus_per_shard: float = 0.0,
        timeout_s: float | None = None,
        hedge_after_s: HedgeAfter = "auto",
        watch: Watch = DEFAULT_WATCH,
    ) -> Self:
        """Spread codes in memory over ``shards``, by contiguous rows; ids default to row numbers.

        The codes stay in Ray's object store, from which replicas start again. The rest is as in ``open``.
        """
        check_codes(codes, check_n_bits(n_bits))
        ids = np.arange(len(codes), dtype=np.int64) if ids is None else check_ids(ids, len(codes))
        # Each shard alone could not see an id that another holds too.
        check_new_ids(ids, [])
        rows = place_rows(len(codes), shards)
        settings = Settings(replicas, threads, cpus_per_shard, timeout_s, hedge_after_s, watch)
        ensure_ray()
        source = MemorySource(
            n_bits=n_bits,
            fingerprint=fingerprint,
            parts=[(ray.put(codes[part]), ray.put(ids[part])) for part in rows],
            n_codes=tuple(part.stop - part.start for part in rows),
        )
        return cls(source, settings)

    @property
    def path(self) -> Path | None:
        """The directory that is served, None for codes in memory."""
        return self._source.path_of(0)

    @property
    def n_bits(self) -> int:
        """Bits of a code."""
        return self._source.n_bits

    @property
    def fingerprint(self) -> str | None:
        """Fingerprint of the code space, None where none was given."""
        return self._source.fingerprint

    @property
    def shard_sizes(self) -> tuple[int, ...]:
        """Number of codes of each shard."""
        return self._source.n_codes

    def __len__(self) -> int:
        return sum(self._source.n_codes)

    @overload
    def search(
        self,
        queries: Codes,
        k: int,
        *,
        pad: bool = False,
        fingerprint: str | None = None,
        partial: Literal[False] = False,
        timeout_s: float | None = None,
    ) -> Neighbors: ...
    @overload
    def search(
        self,
        queries: Codes,
        k: int,
        *,
        pad: bool = False,
        fingerprint: str | None = None,
        partial: Literal[True],
        timeout_s: float | None = None,
    ) -> Answer[Neighbors]: ...
    def search(
        self,
        queries: Codes,
        k: int,
        *,
        pad: bool = False,
        fingerprint: str | None = None,
        partial: bool = False,
        timeout_s: float | None = None,
    ) -> Neighbors | Answer[Neighbors]:
        """Return the ``k`` nearest codes of each query, ties by smaller id, as ``Index.search`` does.

        With ``partial=True`` an Answer is returned; rows are padded where the remaining shards hold fewer
        than k codes. ``timeout_s`` bounds this question in place of the index's own. Raises what
        ``Index.search`` raises, and IncompleteError where a shard is missing.
        """
        with self._serving.use() as version:
            _check_queries(queries, fingerprint, version)
            k = check_k(k, version.n_codes, pad=pad)
            request = self._request("search", queries, k, partial, timeout_s)
            pieces, missing = ask(version, request, partial_of(gather_neighbors, k=k))
        result = join_neighbors(pieces)
        return Answer(result, missing) if partial else result

    @overload
    def search_radius(
        self,
        queries: Codes,
        radius: int,
        *,
        fingerprint: str | None = None,
        partial: Literal[False] = False,
        timeout_s: float | None = None,
    ) -> Balls: ...
    @overload
    def search_radius(
        self,
        queries: Codes,
        radius: int,
        *,
        fingerprint: str | None = None,
        partial: Literal[True],
        timeout_s: float | None = None,
    ) -> Answer[Balls]: ...
    def search_radius(
        self,
        queries: Codes,
        radius: int,
        *,
        fingerprint: str | None = None,
        partial: bool = False,
        timeout_s: float | None = None,
    ) -> Balls | Answer[Balls]:
        """Return all codes within ``radius`` (inclusive) of each query, as ``Index.search_radius`` does.

        ``partial`` and ``timeout_s`` as in ``search``.
        """
        with self._serving.use() as version:
            _check_queries(queries, fingerprint, version)
            radius = check_radius(radius, version.source.n_bits)
            request = self._request("search_radius", queries, radius, partial, timeout_s)
            pieces, missing = ask(version, request, gather_balls)
        result = join_balls(pieces)
        return Answer(result, missing) if partial else result

    @overload
    def count_radius(
        self,
        queries: Codes,
        radius: int,
        *,
        fingerprint: str | None = None,
        partial: Literal[False] = False,
        timeout_s: float | None = None,
    ) -> NDArray[np.int64]: ...
    @overload
    def count_radius(
        self,
        queries: Codes,
        radius: int,
        *,
        fingerprint: str | None = None,
        partial: Literal[True],
        timeout_s: float | None = None,
    ) -> Answer[NDArray[np.int64]]: ...
    def count_radius(
        self,
        queries: Codes,
        radius: int,
        *,
        fingerprint: str | None = None,
        partial: bool = False,
        timeout_s: float | None = None,
    ) -> NDArray[np.int64] | Answer[NDArray[np.int64]]:
        """Return how many codes lie within ``radius`` of each query, int64 ``(nq,)``, as one index does.

        ``partial`` and ``timeout_s`` as in ``search``; the counts are then those of the shards that answered.
        """
        with self._serving.use() as version:
            _check_queries(queries, fingerprint, version)
            radius = check_radius(radius, version.source.n_bits)
            request = self._request("count_radius", queries, radius, partial, timeout_s)
            pieces, missing = ask(version, request, gather_counts)
        result = np.concatenate(pieces)
        return Answer(result, missing) if partial else result

    def keys_of(self, ids: Ids) -> list[str | None]:
        """Return the source key of each id, None where it has none."""
        ids = np.asarray(ids, dtype=np.int64).ravel()
        with self._serving.use() as version:
            shared = ray.put(ids) if ids.nbytes > INLINE_BYTES else ids
            parts = ask_once(
                version, lambda actor: actor.keys_of.remote(shared), timeout_s=self._settings.timeout_s
            )
        return [next((key for key in keys if key is not None), None) for keys in zip(*parts, strict=True)]

    def explain(self, query: Codes, *, k: int | None = None, radius: int | None = None) -> list[Plan]:
        """Run one query, ``(n_bits / 8,)`` or ``(1, n_bits / 8)``, and tell each shard's plan and its cost.

        Segments have the numbers that they have in the whole index. For k-NN a shard is asked for at most as
        many as it holds.
        """
        if isinstance(query, np.ndarray) and query.ndim == 1:
            query = query[None, :]
        with self._serving.use() as version:
            check_codes(query, version.source.n_bits, name="query")
            if len(query) != 1:
                raise ValueError(f"explain takes one query, got {len(query)}")
            if (radius is None) == (k is None):
                raise ValueError(f"explain needs either radius or k, got radius={radius} and k={k}")
            if radius is not None:
                radius = check_radius(radius, version.source.n_bits)
            if k is not None:
                k = check_k(k, version.n_codes, pad=False)
            return ask_once(
                version,
                lambda actor: actor.explain.remote(query, k, radius),
                timeout_s=self._settings.timeout_s,
            )

    def health(self) -> tuple[ShardHealth, ...]:
        """Return the condition and latency of every replica, shard by shard; this asks nobody."""
        with self._serving.use() as version:
            return version.health()

    def check(self) -> tuple[ShardHealth, ...]:
        """Have every replica compare all its bytes with their checksums; return the health afterwards.

        A replica whose bytes changed since it was opened is ended, and started again from the next copy. This
        reads all files once; searches go on meanwhile.
        """
        with self._serving.use() as version:
            version.check()
            return version.health()

    def add_replica(self, shard: int, *, node: str | None = None) -> int:
        """Start one more replica of a shard, wait until it answers, and return its number.

        ``node`` is the id of a Ray node; by default the one where it fits best. Raises what stopped it.
        """
        with self._serving.use() as version:
            return self._add(version, shard, node)

    def remove_replica(self, shard: int, number: int) -> None:
        """End one replica of a shard after it has answered what it was asked; not the last that answers."""
        with self._serving.use() as version, version.lock:
            version.drain(check_shard(shard, version.n_shards), number)

    def move_replica(self, shard: int, number: int, *, node: str | None = None) -> int:
        """Start a replica on ``node`` in place of the one called ``number``; return the new one's number.

        The old one answers until the new one does, and then what it was asked before it ends.
        """
        with self._serving.use() as version:
            version.find(check_shard(shard, version.n_shards), number)
            new = self._add(version, shard, node)
            with version.lock:
                version.drain(shard, number)
            return new

    def swap(self, path: str | Path, *, copies: Sequence[str | Path] = ()) -> None:
        """Serve the index at ``path`` from now on: another version, or the same directory after it changed.

        Its replicas are started beside those that serve, with the same settings. When all have opened or
        failed, and every shard has one, new questions go to them; questions under way end where they began,
        and then the old replicas end. No question sees both. If it raises, the old version goes on serving.
        Raises what ``open`` raises, and ValueError where ``n_bits`` differ.
        """
        paths = all_paths(path, copies)

        def successor(old: Version) -> Version:
            if not isinstance(old.source, FileSource):
                raise ValueError("codes in memory cannot be swapped for files; open the directory instead")
            source = replace(old.source, paths=paths, description=describe(paths[0], old.n_shards))
            if source.n_bits != old.source.n_bits:
                raise ValueError(
                    f"an index of {old.source.n_bits} bits cannot be swapped for one of {source.n_bits}: "
                    "questions under way would fail; open it beside this one"
                )
            return Version(source, self._settings).start_all(held=old.bytes_held())

        self._serving.swap(successor)

    def close(self) -> None:
        """End the replicas; calling it again does nothing."""
        self._serving.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        where = self.path or "memory"
        return (
            f"ShardedIndex({where}, n_bits={self.n_bits}, codes={len(self)}, shards={len(self.shard_sizes)})"
        )

    @property
    def _source(self) -> Source:
        return self._serving.latest.source

    def _add(self, version: Version, shard: int, node: str | None) -> int:
        replica = version.start(check_shard(shard, version.n_shards), node=node)
        version.await_ready(replica)
        error = version.error_of(replica)
        if error is not None:
            version.remove(replica)
            raise error
        return replica.number

    def _request(
        self, method: Method, queries: Codes, argument: int, partial: bool, timeout_s: float | None
    ) -> Request:
        return Request(
            Question(method, queries, argument),
            timeout_s=self._settings.timeout_s if timeout_s is None else check_timeout(timeout_s),
            hedge_after_s=self._settings.hedge_after_s,
            partial=partial,
        )


def _check_queries(queries: Codes, fingerprint: str | None, version: Version) -> None:
    check_codes(queries, version.source.n_bits, name="queries")
    wanted = version.source.fingerprint
    if fingerprint is not None and fingerprint != wanted:
        raise FingerprintError(fingerprint, wanted or "none", what="queries")
