"""The same questions to hashnet, to FAISS and to a linear scan, compared in ids, distances and order."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

import numpy as np

from hashnet.codes import Codes, Ids, check_codes, check_ids, check_n_bits
from hashnet.evaluation.reference import (
    NOT_ASKED,
    FaissFlat,
    FaissMultiHash,
    Reference,
    Scan,
    load_faiss,
    multi_hash_refuses,
    next_batch,
)
from hashnet.progress import NO_PROGRESS, Progress
from hashnet.results import Balls, Neighbors

BATCH = 256
SHOWN = 10


class Searchable(Protocol):
    """What is cross-checked: an index, a sharded index, anything that answers like one."""

    def search(self, queries: Codes, k: int, /) -> Neighbors:
        """Return the k nearest codes of each query."""

    def search_radius(self, queries: Codes, radius: int, /) -> Balls:
        """Return all codes within the radius of each query."""


@dataclass(frozen=True)
class Mismatch:
    """The first place where two answers to one query differ; an answer that has ended is None there."""

    system: str
    question: str
    query: int
    rank: int
    hashnet: tuple[int, int] | None
    other: tuple[int, int] | None

    def __str__(self) -> str:
        return (
            f"{self.question}, query {self.query}, rank {self.rank}: "
            f"hashnet {_place(self.hashnet)}, {self.system} {_place(self.other)}"
        )


@dataclass(frozen=True)
class Comparison:
    """hashnet against one system in one question: queries compared, mismatches, queries left out and why."""

    system: str
    question: str
    n_compared: int = 0
    n_mismatches: int = 0
    n_skipped: int = 0
    reason: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class CrosscheckReport:
    """The outcome of a cross-check.

    A query is a mismatch if the answers differ anywhere in ids, distances or order. ``mismatches`` lists the
    first few. ``seconds`` of hashnet, and of each comparison, cover the whole answer including the ordering
    that FAISS needs: they are no benchmark.
    """

    n_codes: int
    n_bits: int
    n_queries: int
    radius: int | None
    k: int | None
    comparisons: tuple[Comparison, ...]
    mismatches: tuple[Mismatch, ...]
    seconds: dict[str, float]

    @property
    def n_mismatches(self) -> int:
        """Mismatches over all comparisons."""
        return sum(comparison.n_mismatches for comparison in self.comparisons)

    @property
    def ok(self) -> bool:
        """Whether no answer differed."""
        return self.n_mismatches == 0

    def to_json(self) -> dict[str, Any]:
        """Return a dict that ``json.dumps`` takes."""
        return {**asdict(self), "n_mismatches": self.n_mismatches, "ok": self.ok}

    def __str__(self) -> str:
        lines = [f"{self.n_queries:,} queries on {self.n_codes:,} codes of {self.n_bits} bits"]
        for one in self.comparisons:
            line = f"{one.question} against {one.system}: {one.n_mismatches} mismatches in {one.n_compared:,}"
            if one.n_skipped:
                line += f" ({one.n_skipped:,} not asked: {one.reason})"
            lines.append(line)
        return "\n".join([*lines, *(str(mismatch) for mismatch in self.mismatches)])


def crosscheck(
    index: Searchable,
    codes: Codes,
    ids: Ids | None,
    queries: Codes,
    *,
    radius: int | None = None,
    k: int | None = None,
    progress: Progress = NO_PROGRESS,
) -> CrosscheckReport:
    """Ask ``index`` and the other systems for the ``k`` nearest and for all within ``radius``.

    ``codes`` and ``ids`` are what the index holds (``index.export()``); ids None stands for row numbers. The
    other systems are the native linear scan, FAISS ``IndexBinaryFlat`` and ``IndexBinaryMultiHash``. The last
    is asked for all codes within the k-th distance instead of its own k-NN, which is not exact, and is
    skipped with a reason where a complete search would take too long. Answers are asked and compared in
    batches; FAISS holds copies of the codes, MultiHash up to 2 GiB besides.

    Raises ValueError if neither question is asked or one cannot be, HashnetError where FAISS is missing.
    """
    n_bits = _check(codes, queries, radius, k)
    load_faiss()
    codes, ids = _by_id(codes, ids)
    systems: list[Reference] = [Scan(codes, ids), FaissFlat(codes, ids)]
    refused = multi_hash_refuses(len(codes))
    if refused is None:
        systems.append(FaissMultiHash(codes, ids))
    check = _Check(index, systems, queries, progress)
    if refused is not None:
        for question in [f"radius {radius}"] * (radius is not None) + [f"k={k}"] * (k is not None):
            check.skip(FaissMultiHash.name, question, len(queries), refused)
    if radius is not None:
        check.balls(radius)
    if k is not None:
        check.nearest(k)
    return CrosscheckReport(
        n_codes=len(codes),
        n_bits=n_bits,
        n_queries=len(queries),
        radius=radius,
        k=k,
        comparisons=tuple(check.comparisons.values()),
        mismatches=tuple(check.mismatches),
        seconds=check.seconds,
    )


class _Check:
    """A cross-check under way."""

    def __init__(
        self, index: Searchable, systems: Sequence[Reference], queries: Codes, progress: Progress
    ) -> None:
        self.comparisons: dict[tuple[str, str], Comparison] = {}
        self.mismatches: list[Mismatch] = []
        self.seconds: dict[str, float] = {}
        self._index = index
        self._systems = systems
        self._queries = queries
        self._progress = progress

    def balls(self, radius: int) -> None:
        question = f"radius {radius}"
        asked = []
        for system in self._systems:
            reason = system.refuses(radius)
            if reason is None:
                asked.append(system)
            else:
                self.skip(system.name, question, len(self._queries), reason)
        self._progress.start(f"cross-check {question}", len(self._queries))
        first, size = 0, 1
        while first < len(self._queries):
            batch = self._queries[first : first + size]
            began = time.perf_counter()
            mine = self._index.search_radius(batch, radius)
            self._time(question, began)
            for system in asked:
                began = time.perf_counter()
                other = system.balls(batch, radius)
                seconds = time.perf_counter() - began
                self._compare(
                    system.name, question, first, mine=_split(mine), other=_split(other), seconds=seconds
                )
            self._progress.advance(len(batch))
            first += size
            size = next_batch(size, mine, limit=BATCH)
        self._progress.finish()

    def nearest(self, k: int) -> None:
        question = f"k={k}"
        self._progress.start(f"cross-check {question}", len(self._queries))
        for first in range(0, len(self._queries), BATCH):
            batch = self._queries[first : first + BATCH]
            began = time.perf_counter()
            mine = self._index.search(batch, k)
            self._time(question, began)
            within = np.empty(0, dtype=np.int32)
            for system in self._systems:
                began = time.perf_counter()
                other, reason = system.nearest(batch, k, within)
                seconds = time.perf_counter() - began
                # The scan comes first: what it finds tells the others how far to look.
                within = other.distances[:, -1] if isinstance(system, Scan) else within
                left_out = other.ids[:, 0] == NOT_ASKED
                if reason is not None:
                    self.skip(system.name, question, int(left_out.sum()), reason)
                answers = [
                    None if left_out[q] else (other.distances[q], other.ids[q]) for q in range(len(batch))
                ]
                self._compare(
                    system.name,
                    question,
                    first,
                    mine=list(zip(*mine, strict=True)),
                    other=answers,
                    seconds=seconds,
                )
            self._progress.advance(len(batch))
        self._progress.finish()

    def skip(self, system: str, question: str, n: int, reason: str) -> None:
        one = self._comparison(system, question)
        self.comparisons[system, question] = replace(
            one, n_skipped=one.n_skipped + n, reason=one.reason or reason
        )

    def _comparison(self, system: str, question: str) -> Comparison:
        return self.comparisons.get((system, question), Comparison(system, question))

    def _time(self, question: str, began: float) -> None:
        self.seconds[question] = self.seconds.get(question, 0.0) + time.perf_counter() - began

    def _compare(
        self,
        system: str,
        question: str,
        first: int,
        *,
        mine: Sequence[Any],
        other: Sequence[Any],
        seconds: float,
    ) -> None:
        compared = different = 0
        # zip would hide an answer that has too few or too many queries.
        for i in range(max(len(mine), len(other))):
            theirs = other[i] if i < len(other) else _nothing()
            if theirs is None:
                continue
            compared += 1
            ours = mine[i] if i < len(mine) else _nothing()
            if all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True)):
                continue
            different += 1
            if len(self.mismatches) < SHOWN:
                rank, a, b = _first_difference(ours, theirs)
                self.mismatches.append(Mismatch(system, question, first + i, rank, a, b))
        one = self._comparison(system, question)
        self.comparisons[system, question] = replace(
            one,
            n_compared=one.n_compared + compared,
            n_mismatches=one.n_mismatches + different,
            seconds=one.seconds + seconds,
        )


def _check(codes: Codes, queries: Codes, radius: int | None, k: int | None) -> int:
    if not isinstance(codes, np.ndarray) or codes.ndim != 2 or len(codes) == 0:
        raise ValueError(f"codes must have shape (n, n_bits / 8) with n >= 1, got shape {np.shape(codes)}")
    n_bits = check_n_bits(codes.shape[1] * 8)
    check_codes(codes, n_bits)
    check_codes(queries, n_bits, name="queries")
    if len(queries) == 0:
        raise ValueError("queries is empty; give at least one code")
    if radius is None and k is None:
        raise ValueError("nothing is asked; give radius, k or both")
    if radius is not None and not 0 <= radius <= n_bits:
        raise ValueError(f"radius must be from 0 to n_bits={n_bits}, got {radius}")
    if k is not None and not 1 <= k <= len(codes):
        raise ValueError(f"k must be from 1 to the number of codes, {len(codes)}, got {k}")
    return n_bits


def _by_id(codes: Codes, ids: Ids | None) -> tuple[Codes, Ids]:
    if ids is None:
        return codes, np.arange(len(codes), dtype=np.int64)
    check_ids(ids, len(codes))
    steps = np.diff(ids)
    if (steps > 0).all():
        return codes, ids
    order = np.argsort(ids, kind="stable")
    return np.ascontiguousarray(codes[order]), ids[order]


def _split(balls: Balls) -> list[tuple[Any, Any]]:
    return [balls.ball(query) for query in range(len(balls.offsets) - 1)]


def _nothing() -> tuple[Any, Any]:
    return np.empty(0, dtype=np.int32), np.empty(0, dtype=np.int64)


def _first_difference(
    ours: tuple[Any, Any], theirs: tuple[Any, Any]
) -> tuple[int, tuple[int, int] | None, tuple[int, int] | None]:
    for rank in range(max(len(ours[1]), len(theirs[1]))):
        a, b = _at(ours, rank), _at(theirs, rank)
        if a != b:
            return rank, a, b
    return min(len(ours[1]), len(theirs[1])), None, None


def _at(answer: tuple[Any, Any], rank: int) -> tuple[int, int] | None:
    distances, ids = answer
    if rank >= len(ids) or rank >= len(distances):
        return None
    return int(ids[rank]), int(distances[rank])


def _place(place: tuple[int, int] | None) -> str:
    return "has no more" if place is None else f"has id {place[0]} at distance {place[1]}"
