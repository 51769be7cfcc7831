"""An index over several Ray actors: it fans a question out and merges the answers by (distance, id)."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, overload

import numpy as np
import ray
from numpy.typing import NDArray

from hashnet.codes import Codes, Ids, check_codes, check_ids, check_n_bits
from hashnet.errors import FingerprintError, HashnetError
from hashnet.index import open_index
from hashnet.index.arguments import check_k, check_new_ids, check_radius
from hashnet.results import Balls, Neighbors

from .cluster import ensure_ray
from .gather import Answer, check_complete, gather_balls, gather_counts, gather_neighbors
from .placement import check_shards, place_rows, place_segments
from .shard_actor import ShardActor

# Ray's own limit for arguments that it sends along with a call.
INLINE_BYTES = 100 * 1024


class ShardedIndex:
    """Exact Hamming search over shards; every answer is byte-identical to that of one index.

    ``open`` serves an index directory, ``from_codes`` codes in memory. Shards are read-only snapshots. A
    shard that died or was too late makes a question fail with IncompleteError; with ``partial=True`` the
    others answer, and the answer says which are missing.
    """

    def __init__(
        self,
        actors: list[Any],
        sizes: list[int],
        *,
        n_bits: int,
        fingerprint: str | None,
        path: Path | None,
        timeout_s: float | None,
    ) -> None:
        self._actors = actors
        self._sizes = tuple(sizes)
        self._timeout_s = timeout_s
        self._closed = False
        self.n_bits = n_bits
        self.fingerprint = fingerprint
        self.path = path

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        shards: int = 2,
        threads: int = 1,
        cpus_per_shard: float = 0.0,
        timeout_s: float | None = None,
    ) -> Self:
        """Serve the index directory at ``path`` with ``shards`` actors, each with whole segments.

        Every node must see ``path``. An actor searches with ``threads`` threads; ``cpus_per_shard`` is what
        Ray reserves for it, nothing by default, so that shards never starve other jobs of a small machine.
        ``timeout_s`` bounds each question. Raises ValueError where there are fewer segments than shards.
        """
        path = Path(path).absolute()
        with open_index(path, verify=False) as index:
            placed = place_segments(index.stats().segment_sizes, shards)
            n_bits, fingerprint, n_codes = index.n_bits, index.fingerprint, len(index)
        actors = _start(shards, threads=threads, cpus=cpus_per_shard)
        refs = [actor.open.remote(str(path), part) for actor, part in zip(actors, placed, strict=True)]
        sharded = cls(
            actors,
            _sizes_of(refs, actors),
            n_bits=n_bits,
            fingerprint=fingerprint,
            path=path,
            timeout_s=timeout_s,
        )
        if len(sharded) != n_codes:
            sharded.close()
            raise HashnetError(
                f"{path} was changed while its shards were opened: they hold {len(sharded)} codes, "
                f"{n_codes} were counted; open it again"
            )
        return sharded

    @classmethod
    def from_codes(
        cls,
        codes: Codes,
        *,
        n_bits: int,
        ids: Ids | None = None,
        fingerprint: str | None = None,
        shards: int = 2,
        threads: int = 1,
        cpus_per_shard: float = 0.0,
        timeout_s: float | None = None,
    ) -> Self:
        """Spread codes in memory over ``shards`` actors, by contiguous rows; ids default to row numbers."""
        check_codes(codes, check_n_bits(n_bits))
        ids = np.arange(len(codes), dtype=np.int64) if ids is None else check_ids(ids, len(codes))
        # Each shard alone could not see an id that another holds too.
        check_new_ids(ids, [])
        parts = place_rows(len(codes), shards)
        actors = _start(shards, threads=threads, cpus=cpus_per_shard)
        refs = [
            actor.load.remote(codes[part], ids[part], n_bits)
            for actor, part in zip(actors, parts, strict=True)
        ]
        return cls(
            actors,
            _sizes_of(refs, actors),
            n_bits=n_bits,
            fingerprint=fingerprint,
            path=None,
            timeout_s=timeout_s,
        )

    @property
    def shard_sizes(self) -> tuple[int, ...]:
        """Number of codes of each shard."""
        return self._sizes

    def __len__(self) -> int:
        return sum(self._sizes)

    @overload
    def search(
        self,
        queries: Codes,
        k: int,
        *,
        pad: bool = False,
        fingerprint: str | None = None,
        partial: Literal[False] = False,
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
    ) -> Answer[Neighbors]: ...
    def search(
        self,
        queries: Codes,
        k: int,
        *,
        pad: bool = False,
        fingerprint: str | None = None,
        partial: bool = False,
    ) -> Neighbors | Answer[Neighbors]:
        """Return the ``k`` nearest codes of each query, ties by smaller id, as ``Index.search`` does.

        With ``partial=True`` an Answer is returned; rows are padded where the remaining shards hold fewer
        than k codes. Raises what ``Index.search`` raises, and IncompleteError where a shard is missing.
        """
        self._check_queries(queries, fingerprint)
        k = check_k(k, len(self), pad=pad)
        parts, missing = self._ask("search", queries, k, partial=partial)
        result = gather_neighbors(parts, n_queries=len(queries), k=k)
        return Answer(result, missing) if partial else result

    @overload
    def search_radius(
        self,
        queries: Codes,
        radius: int,
        *,
        fingerprint: str | None = None,
        partial: Literal[False] = False,
    ) -> Balls: ...
    @overload
    def search_radius(
        self, queries: Codes, radius: int, *, fingerprint: str | None = None, partial: Literal[True]
    ) -> Answer[Balls]: ...
    def search_radius(
        self, queries: Codes, radius: int, *, fingerprint: str | None = None, partial: bool = False
    ) -> Balls | Answer[Balls]:
        """Return all codes within ``radius`` (inclusive) of each query, as ``Index.search_radius`` does.

        ``partial`` as in ``search``.
        """
        self._check_queries(queries, fingerprint)
        radius = check_radius(radius, self.n_bits)
        parts, missing = self._ask("search_radius", queries, radius, partial=partial)
        result = gather_balls(parts, n_queries=len(queries))
        return Answer(result, missing) if partial else result

    @overload
    def count_radius(
        self,
        queries: Codes,
        radius: int,
        *,
        fingerprint: str | None = None,
        partial: Literal[False] = False,
    ) -> NDArray[np.int64]: ...
    @overload
    def count_radius(
        self, queries: Codes, radius: int, *, fingerprint: str | None = None, partial: Literal[True]
    ) -> Answer[NDArray[np.int64]]: ...
    def count_radius(
        self, queries: Codes, radius: int, *, fingerprint: str | None = None, partial: bool = False
    ) -> NDArray[np.int64] | Answer[NDArray[np.int64]]:
        """Return how many codes lie within ``radius`` of each query, int64 ``(nq,)``, as one index does.

        ``partial`` as in ``search``; the counts are then those of the shards that answered.
        """
        self._check_queries(queries, fingerprint)
        radius = check_radius(radius, self.n_bits)
        parts, missing = self._ask("count_radius", queries, radius, partial=partial)
        result = gather_counts(parts, n_queries=len(queries))
        return Answer(result, missing) if partial else result

    def keys_of(self, ids: Ids) -> list[str | None]:
        """Return the source key of each id, None where it has none."""
        ids = np.asarray(ids, dtype=np.int64).ravel()
        parts, _ = self._ask("keys_of", ids, partial=False)
        return [next((key for key in keys if key is not None), None) for keys in zip(*parts, strict=True)]

    def close(self) -> None:
        """End the actors; calling it again does nothing."""
        if self._closed:
            return
        self._closed = True
        if ray.is_initialized():
            for actor in self._actors:
                ray.kill(actor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        where = self.path or "memory"
        return f"ShardedIndex({where}, n_bits={self.n_bits}, codes={len(self)}, shards={len(self._sizes)})"

    def _check_queries(self, queries: Codes, fingerprint: str | None) -> None:
        check_codes(queries, self.n_bits, name="queries")
        if fingerprint is not None and fingerprint != self.fingerprint:
            raise FingerprintError(fingerprint, self.fingerprint or "none", what="queries")

    def _ask(
        self, method: str, argument: Any, *more: Any, partial: bool
    ) -> tuple[list[Any], tuple[int, ...]]:
        if self._closed:
            raise ValueError("the sharded index is closed; open it again")
        # One copy in the object store serves every shard of a node; a few queries travel faster in the call.
        shared = ray.put(argument) if argument.nbytes > INLINE_BYTES else argument
        refs = [getattr(actor, method).remote(shared, *more) for actor in self._actors]
        answers, missing = _collect(refs, timeout_s=self._timeout_s)
        check_complete(missing, partial=partial)
        return answers, tuple(sorted(missing))


def _start(shards: int, *, threads: int, cpus: float) -> list[Any]:
    check_shards(shards)
    ensure_ray()
    actor: Any = ShardActor
    spread = actor.options(num_cpus=cpus, scheduling_strategy="SPREAD")
    return [spread.remote(threads=threads) for _ in range(shards)]


def _sizes_of(refs: list[Any], actors: list[Any]) -> list[int]:
    """Return every shard's size, or end all actors and raise what stopped one of them."""
    try:
        answers, missing = _collect(refs, timeout_s=None)
        check_complete(missing, partial=False)
    except BaseException:
        for actor in actors:
            ray.kill(actor)
        raise
    return answers


def _collect(refs: list[Any], *, timeout_s: float | None) -> tuple[list[Any], dict[int, str]]:
    """Return the answers in shard order, and the reason of each shard that gave none.

    What a shard raised itself (a damaged file, a wrong argument) is raised here as it was.
    """
    ready, _ = ray.wait(refs, num_returns=len(refs), timeout=timeout_s)
    in_time = set(ready)
    answers: list[Any] = []
    missing: dict[int, str] = {}
    for shard, ref in enumerate(refs):
        if ref not in in_time:
            missing[shard] = f"no answer within {timeout_s} s"
            ray.cancel(ref)
            continue
        try:
            answers.append(ray.get(ref))
        except ray.exceptions.RayTaskError as error:
            cause = getattr(error, "cause", None)
            raise (cause if isinstance(cause, Exception) else error) from None
        except ray.exceptions.RayError as error:
            missing[shard] = f"its process is gone: {type(error).__name__}"
    return answers, missing
