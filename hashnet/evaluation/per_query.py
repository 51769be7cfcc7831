"""The figures of each query, from the counts of a ranking: what means, intervals and tables are made of.

All are arrays float64 ``(nq,)``. None of the figures here depends on the order of the database: where items
tie in distance, the mean over all their orders is taken.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hashnet.evaluation.ranking import Ranking

Values = NDArray[np.float64]

# Counts that are worked on at once, a dozen arrays of float64 like them.
_CELLS = 1 << 19


def precision_within_each(ranking: Ranking, radius: int) -> Values:
    """Return the precision within Hamming ``radius`` (inclusive) of each query; 0 for an empty ball."""
    found, hits = within(ranking, radius)
    return hits / np.maximum(found, 1)


def recall_within_each(ranking: Ranking, radius: int) -> Values:
    """Return the recall within ``radius`` (inclusive) of each query; 0 where nothing is relevant."""
    _, hits = within(ranking, radius)
    return hits / np.maximum(ranking.relevant.sum(axis=1, dtype=np.int64), 1)


def average_precision_within_each(ranking: Ranking, radius: int) -> Values:
    """Return average precision within Hamming ``radius`` (inclusive) of each query (MAP@H<=r is its mean).

    That is the sum of precision@rank over the relevant items of the ball, divided by their number; 0 for a
    query whose ball is empty or has none. The figure is that of Cao, Long, Liu, Wang: "Deep Cauchy Hashing
    for Hamming Space Retrieval", CVPR 2018 (DCH). Their code (thulab/DeepHash) orders the ball by the relaxed
    outputs and leaves queries whose ball has no relevant item out of the mean, both of which raise it. Here
    the ball is ordered by distance, and the mean over all orders of tied items is taken in closed form with
    harmonic sums as in McSherry & Najork, ECIR 2008; with the largest radius it is the tie-aware MAP over the
    whole database.
    """
    found, _ = within(ranking, radius)
    harmonic = np.concatenate([[0.0], np.cumsum(1.0 / np.arange(1, int(found.max(initial=0)) + 1))])
    step = max(1, _CELLS // (radius + 1))
    columns = slice(0, radius + 1)
    parts = [
        _average_precision(ranking.all[rows, columns], ranking.relevant[rows, columns], harmonic)
        for rows in (slice(first, first + step) for first in range(0, len(found), step))
    ]
    return np.concatenate(parts)


def _average_precision(
    all_: NDArray[np.uint32], relevant: NDArray[np.uint32], harmonic: NDArray[np.float64]
) -> Values:
    """Return the expected average precision of balls given by their counts at each distance."""
    size, hits = all_.astype(np.float64), relevant.astype(np.float64)
    rank = np.cumsum(size, axis=1) - size
    before = np.cumsum(hits, axis=1) - hits
    first = rank.astype(np.int64)
    span = harmonic[first + size.astype(np.int64)] - harmonic[first]
    # Of a group of `size` tied items, `hits` of them relevant, the item at its j-th place is relevant with
    # probability hits / size; then (j - 1) b further ones are expected before it in the group. Summing
    # (before + 1 + (j - 1) b) / (rank + j) over j gives the two terms below.
    b = np.divide(hits - 1, size - 1, out=np.zeros_like(size), where=size > 1)
    inside = size * b + (before + 1 - (rank + 1) * b) * span
    share = np.divide(hits, size, out=np.zeros_like(size), where=size > 0)
    total = (share * inside).sum(axis=1)
    return total / np.maximum(hits.sum(axis=1), 1)


def expected_precision_at_each(ranking: Ranking, n: int) -> Values:
    """Return precision@n of each query, the mean over all orders of the database.

    Raises ValueError for n outside 1 to the size of the database.
    """
    size = int(ranking.all[0].sum(dtype=np.int64))
    if not 1 <= n <= size:
        raise ValueError(f"n must be from 1 to the {size} items of the database, got {n}")
    closer = np.cumsum(ranking.all, axis=1, dtype=np.int64)
    hits = np.cumsum(ranking.relevant, axis=1, dtype=np.int64)
    # The group that rank n falls into: the first distance within which n items lie.
    group = (closer < n).sum(axis=1)[:, None]

    def at(counts: NDArray[np.int64] | NDArray[np.uint32], shift: int = 0) -> Values:
        column = group - shift
        values = np.take_along_axis(counts, np.maximum(column, 0), axis=1)
        return np.where(column < 0, 0, values)[:, 0].astype(np.float64)

    places = n - at(closer, 1)
    return (at(hits, 1) + places * at(ranking.relevant) / at(ranking.all)) / n


def within(ranking: Ranking, radius: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return how many items, and relevant ones, each query finds within ``radius`` (inclusive)."""
    n_bits = ranking.all.shape[1] - 1
    if not 0 <= radius <= n_bits:
        raise ValueError(f"radius must be from 0 to n_bits={n_bits}, got {radius}")
    columns = slice(0, radius + 1)
    return (
        ranking.all[:, columns].sum(axis=1, dtype=np.int64),
        ranking.relevant[:, columns].sum(axis=1, dtype=np.int64),
    )
