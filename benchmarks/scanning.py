"""Answers by linear scan in numpy, for many queries: an oracle that shares nothing with the engine."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hashnet.codes import Codes
from hashnet.results import Balls, Neighbors

_CHUNK = 32


def scan(queries: Codes, codes: Codes, *, k: int, radius: int) -> tuple[Neighbors, Balls]:
    """Return the ``k`` nearest and the balls of ``radius`` of 64-bit codes whose ids are row numbers."""
    rows = np.arange(len(codes), dtype=np.int64)
    words = codes.view(np.uint64).ravel()
    nearest: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
    balls: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
    for begin in range(0, len(queries), _CHUNK):
        asked = queries[begin : begin + _CHUNK].view(np.uint64)
        # Distance above, row below: the order of these numbers is that of (distance, id).
        for order in (np.bitwise_count(asked ^ words).astype(np.int64) << 40) | rows:
            first = np.sort(np.partition(order, k)[:k])
            near = np.sort(order[order < (radius + 1) << 40])
            nearest.append((first >> 40, first & ((1 << 40) - 1)))
            balls.append((near >> 40, near & ((1 << 40) - 1)))
    offsets = np.zeros(len(queries) + 1, dtype=np.int64)
    np.cumsum([len(distances) for distances, _ in balls], out=offsets[1:])
    return (
        Neighbors(np.array([d for d, _ in nearest], dtype=np.int32), np.array([i for _, i in nearest])),
        Balls(
            offsets,
            np.concatenate([d for d, _ in balls]).astype(np.int32),
            np.concatenate([i for _, i in balls]),
        ),
    )
