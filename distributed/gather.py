"""Answers of shards become one answer, or one that says which shards are missing: pure, no Ray."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from hashnet.errors import IncompleteError
from hashnet.results import PAD_DISTANCE, PAD_ID, Balls, Neighbors, merge_balls, merge_neighbors

Result = TypeVar("Result", Neighbors, Balls, NDArray[np.int64])


@dataclass(frozen=True)
class Answer(Generic[Result]):
    """An answer that may be partial: ``result`` of the shards that answered, and the numbers of the others.

    It is ``complete`` exactly when nothing is missing; only then is ``result`` what one index would say.
    """

    result: Result
    missing: tuple[int, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every shard answered."""
        return not self.missing


def gather_neighbors(parts: Sequence[Neighbors], *, n_queries: int, k: int) -> Neighbors:
    """Merge the k nearest of disjoint shards; without any shard every row is padding."""
    if len(parts) == 1 and parts[0].ids.shape[1] == k:
        return parts[0]
    if parts:
        return merge_neighbors(parts, k)
    return Neighbors(
        np.full((n_queries, k), PAD_DISTANCE, dtype=np.int32), np.full((n_queries, k), PAD_ID, dtype=np.int64)
    )


def gather_balls(parts: Sequence[Balls], *, n_queries: int) -> Balls:
    """Merge the balls of disjoint shards; without any shard every ball is empty."""
    if len(parts) == 1:
        return parts[0]
    if parts:
        return merge_balls(parts)
    return Balls(
        np.zeros(n_queries + 1, dtype=np.int64), np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.int64)
    )


def gather_counts(parts: Sequence[NDArray[np.int64]], *, n_queries: int) -> NDArray[np.int64]:
    """Add up the sizes of the balls of disjoint shards; without any shard every size is 0."""
    total = np.zeros(n_queries, dtype=np.int64)
    for part in parts:
        total += part
    return total


def check_complete(missing: Mapping[int, str], *, partial: bool) -> None:
    """Raise IncompleteError for shards that did not answer (number -> reason), unless partial is wanted."""
    if missing and not partial:
        reasons = ", ".join(dict.fromkeys(missing[shard] for shard in sorted(missing)))
        raise IncompleteError(sorted(missing), reasons)


def join_neighbors(pieces: Sequence[Neighbors]) -> Neighbors:
    """Return the answers to the pieces of a batch as one, in their order, in memory that can be written."""
    if len(pieces) == 1:
        return Neighbors(_own(pieces[0].distances), _own(pieces[0].ids))
    return Neighbors(*(np.concatenate(arrays) for arrays in zip(*pieces, strict=True)))


def join_balls(pieces: Sequence[Balls]) -> Balls:
    """Return the answers to the pieces of a batch as one, in their order, in memory that can be written."""
    if len(pieces) == 1:
        return Balls(_own(pieces[0].offsets), _own(pieces[0].distances), _own(pieces[0].ids))
    counts = np.concatenate([np.diff(piece.offsets) for piece in pieces])
    offsets = np.zeros(len(counts) + 1, dtype=np.int64)
    np.cumsum(counts, out=offsets[1:])
    distances = np.concatenate([piece.distances for piece in pieces])
    return Balls(offsets, distances, np.concatenate([piece.ids for piece in pieces]))


def _own(array: NDArray[Any]) -> NDArray[Any]:
    # What came from Ray may be a view of its object store.
    return array if array.flags.writeable else array.copy()
