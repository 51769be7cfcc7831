"""What the service asks of an index, whether it lies in this process or in shards on Ray."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from hashnet.codes import Codes, Ids
from hashnet.index import Index, Plan
from hashnet.results import PAD_ID, Balls, Neighbors

from ..gather import Answer

Kind = Literal["search", "radius", "count"]


@dataclass(frozen=True)
class Question:
    """What is asked of each code: the ``value`` nearest, or the ball of that radius, or its size."""

    kind: Kind
    value: int
    partial: bool = False


@dataclass(frozen=True)
class ShardState:
    """Replicas of one shard by state, and how long the last answers took, None where nobody knows."""

    shard: int
    alive: int
    starting: int = 0
    dead: int = 0
    latency_ms: float | None = None


class Backend(Protocol):
    """Blocking calls, safe in several threads at once."""

    @property
    def n_bits(self) -> int:
        """Bits of a code."""

    @property
    def fingerprint(self) -> str | None:
        """The code space."""

    @property
    def path(self) -> Path | None:
        """The directory, None for codes in memory."""

    def __len__(self) -> int: ...

    def ask(self, question: Question, codes: Codes) -> Answer[Any]:
        """Return Neighbors, Balls or counts of ``codes``, marked where shards are missing."""

    def keys_of(self, ids: Ids) -> list[str | None]:
        """Return the source key of each id."""

    def explain(self, code: Codes, question: Question) -> list[Plan]:
        """Run one query ``(1, n_bits / 8)`` and return its plan on every shard."""

    def health(self) -> list[ShardState]:
        """Return the state of every shard."""

    def close(self) -> None:
        """Give up what the index holds; nothing is asked any more."""


class LocalBackend:
    """An index in this process; it is always complete."""

    def __init__(self, index: Index, *, threads: int) -> None:
        self._index = index
        self._threads = threads
        self.n_bits = index.n_bits
        self.fingerprint = index.fingerprint
        self.path = index.path

    def __len__(self) -> int:
        return len(self._index)

    def ask(self, question: Question, codes: Codes) -> Answer[Any]:
        """Return the answer of the index."""
        if question.kind == "search":
            return Answer(self._index.search(codes, question.value, threads=self._threads))
        if question.kind == "radius":
            return Answer(self._index.search_radius(codes, question.value, threads=self._threads))
        return Answer(self._index.count_radius(codes, question.value, threads=self._threads))

    def keys_of(self, ids: Ids) -> list[str | None]:
        """Return the source key of each id."""
        return self._index.keys_of(ids)

    def explain(self, code: Codes, question: Question) -> list[Plan]:
        """Return the one plan."""
        return [self._index.explain(code, **_asked(question))]

    def health(self) -> list[ShardState]:
        """Return one live shard."""
        return [ShardState(0, alive=1)]

    def close(self) -> None:
        """Close the index."""
        self._index.close()


class ShardedBackend:
    """Shards on Ray."""

    def __init__(self, index: Any) -> None:
        self._index = index
        self.n_bits: int = index.n_bits
        self.fingerprint: str | None = index.fingerprint
        self.path: Path | None = index.path

    def __len__(self) -> int:
        return len(self._index)

    def ask(self, question: Question, codes: Codes) -> Answer[Any]:
        """Return the merged answer; IncompleteError for a missing shard, unless partial ones are taken."""
        if question.kind == "search":
            return _marked(self._index.search(codes, question.value, partial=question.partial))
        if question.kind == "radius":
            return _marked(self._index.search_radius(codes, question.value, partial=question.partial))
        return _marked(self._index.count_radius(codes, question.value, partial=question.partial))

    def keys_of(self, ids: Ids) -> list[str | None]:
        """Return the source key of each id."""
        keys: list[str | None] = self._index.keys_of(ids)
        return keys

    def explain(self, code: Codes, question: Question) -> list[Plan]:
        """Return the plan of every shard."""
        return list(self._index.explain(code, **_asked(question)))

    def health(self) -> list[ShardState]:
        """Return the state of every shard."""
        return [
            ShardState(one.shard, one.alive, one.starting, one.dead, one.latency_ms)
            for one in self._index.health()
        ]

    def close(self) -> None:
        """End the actors."""
        self._index.close()


def backend_of(searcher: Any, *, threads: int) -> Backend:
    """Return how to ask ``searcher``, a hashnet.Index or a ShardedIndex."""
    return (
        LocalBackend(searcher, threads=threads) if isinstance(searcher, Index) else ShardedBackend(searcher)
    )


def split_answer(answer: Answer[Any], sizes: Sequence[int]) -> list[Answer[Any]]:
    """Return the parts of an answer to several requests with ``sizes`` queries each, in their order."""
    bounds = np.concatenate([[0], np.cumsum(sizes)])
    return [
        Answer(_rows(answer.result, int(begin), int(end)), answer.missing) for begin, end in pairwise(bounds)
    ]


def _rows(
    result: Neighbors | Balls | NDArray[np.int64], begin: int, end: int
) -> Neighbors | Balls | NDArray[np.int64]:
    if isinstance(result, Neighbors):
        return Neighbors(result.distances[begin:end], result.ids[begin:end])
    if isinstance(result, Balls):
        first, last = int(result.offsets[begin]), int(result.offsets[end])
        offsets = result.offsets[begin : end + 1] - first
        return Balls(offsets, result.distances[first:last], result.ids[first:last])
    return result[begin:end]


def rows_of(result: Neighbors | Balls) -> list[tuple[NDArray[np.int32], Ids]]:
    """Return distances and ids of each query, without padding."""
    if isinstance(result, Balls):
        return [result.ball(query) for query in range(len(result.offsets) - 1)]
    kept = [int(np.count_nonzero(ids != PAD_ID)) for ids in result.ids]
    return [(result.distances[q, :n], result.ids[q, :n]) for q, n in enumerate(kept)]


def plan_json(plans: Sequence[Plan]) -> dict[str, Any]:
    """Return the plans of all shards as one JSON object."""
    return {
        "time_us": max((plan.time_us for plan in plans), default=0.0),
        "shards": [
            {"shard": shard, "time_us": plan.time_us, "segments": [asdict(one) for one in plan.segments]}
            for shard, plan in enumerate(plans)
        ],
    }


def _marked(answer: Any) -> Answer[Any]:
    # Only where a partial answer was asked for, shards mark what they give.
    return answer if isinstance(answer, Answer) else Answer(answer)


def _asked(question: Question) -> dict[str, int]:
    return {"k" if question.kind == "search" else "radius": question.value}
