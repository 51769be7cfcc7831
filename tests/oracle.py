"""The linear scan that everyone trusts: numpy, no tricks, ascending (distance, id)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def distances(queries: NDArray[np.uint8], codes: NDArray[np.uint8]) -> NDArray[np.int32]:
    xor = queries[:, None, :] ^ codes[None, :, :]
    summed: NDArray[np.int32] = np.bitwise_count(xor).sum(axis=2, dtype=np.int32)
    return summed


def search(
    queries: NDArray[np.uint8], codes: NDArray[np.uint8], ids: NDArray[np.int64], k: int
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    d = distances(queries, codes)
    order = np.array([np.lexsort((ids, row))[:k] for row in d]).reshape(len(queries), min(k, len(codes)))
    return np.take_along_axis(d, order, axis=1), ids[order]


def search_radius(
    queries: NDArray[np.uint8], codes: NDArray[np.uint8], ids: NDArray[np.int64], radius: int
) -> list[tuple[NDArray[np.int32], NDArray[np.int64]]]:
    answers = []
    for row in distances(queries, codes):
        near = np.flatnonzero(row <= radius)
        near = near[np.lexsort((ids[near], row[near]))]
        answers.append((row[near], ids[near]))
    return answers
