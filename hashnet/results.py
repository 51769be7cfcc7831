"""Answers of a search, and how the answers of several parts become one.

The order inside an answer is always ascending ``(distance, id)``, and merging keeps it: that one rule
makes an index, its segments, its shards and a linear scan give identical bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hashnet import _core

PAD_ID = -1
PAD_DISTANCE = np.iinfo(np.int32).max


class Neighbors(NamedTuple):
    """The k nearest codes of each query, ascending (distance, id).

    ``distances`` is int32 ``(nq, k)``, ``ids`` int64 ``(nq, k)``. Where there are fewer than k codes the
    rest of a row is id -1 at distance 2**31 - 1.
    """

    distances: NDArray[np.int32]
    ids: NDArray[np.int64]


class Balls(NamedTuple):
    """All codes within a radius of each query, as compressed sparse rows.

    The answer of query q is ``distances[offsets[q]:offsets[q + 1]]`` (int32) with ``ids`` (int64) alike,
    ascending (distance, id); ``offsets`` is int64 ``(nq + 1,)``.
    """

    offsets: NDArray[np.int64]
    distances: NDArray[np.int32]
    ids: NDArray[np.int64]

    def ball(self, query: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Return distances and ids of one query."""
        part = slice(int(self.offsets[query]), int(self.offsets[query + 1]))
        return self.distances[part], self.ids[part]


def merge_neighbors(parts: Sequence[Neighbors], k: int) -> Neighbors:
    """Return the k nearest over the answers of disjoint parts to the same queries."""
    if not parts:
        raise ValueError("merge_neighbors needs at least one part")
    distances, ids = [part.distances for part in parts], [part.ids for part in parts]
    return Neighbors(*_core.merge_neighbors(distances, ids, k))


def merge_balls(parts: Sequence[Balls]) -> Balls:
    """Return the union of the balls that disjoint parts found for the same queries."""
    if not parts:
        raise ValueError("merge_balls needs at least one part")
    offsets, distances = [part.offsets for part in parts], [part.distances for part in parts]
    return Balls(*_core.merge_balls(offsets, distances, [part.ids for part in parts]))
