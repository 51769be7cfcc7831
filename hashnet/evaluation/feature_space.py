"""Codes against the real-valued features they were made from: what hashing keeps of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashnet.codes import Codes, Ids, check_codes
from hashnet.progress import NO_PROGRESS, Progress

# Similarities, or distances, held at a time: 64 MiB of float32.
BLOCK = 1 << 24

RECALL_AT = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)


def true_neighbours(
    queries: NDArray[Any], database: NDArray[Any], k: int, *, progress: Progress = NO_PROGRESS
) -> Ids:
    """Return the rows of the ``k`` nearest of ``database`` by cosine, int64 ``(nq, k)``, nearest first.

    Features are real ``(n, n_features)``. Equal similarities are ordered by row; ``k`` is cut to the size of
    the database.
    """
    k = min(k, len(database))
    found = np.empty((len(queries), k), dtype=np.int64)
    for part, similarities in _similarities(queries, database, progress):
        found[part] = _largest(similarities, k)
    return found


def neighbour_recall(
    queries: Codes, database: Codes, neighbours: Ids, *, at: Sequence[int] = RECALL_AT
) -> dict[int, float]:
    """Return recall@N: the mean share of a query's ``neighbours`` among the N nearest codes.

    ``neighbours`` are rows of the database, int64 ``(nq, k)``, as ``true_neighbours`` gives them. Equal
    Hamming distances are no order: where N cuts a group of ties, its neighbours count with the chance that
    they are inside, so the figure does not depend on the order of the database. N beyond its size are left
    out.
    """
    n_bits = database.shape[1] * 8
    check_codes(database, n_bits, name="database")
    check_codes(queries, n_bits, name="queries")
    if neighbours.shape[0] != len(queries) or not neighbours.size:
        raise ValueError(
            f"neighbours must have a row for each of {len(queries)} queries, got {neighbours.shape}"
        )
    ranks = np.array([n for n in at if n <= len(database)])
    total = np.zeros(len(ranks))
    step = max(1, BLOCK // (len(database) * database.shape[1]))
    for first in range(0, len(queries), step):
        part = slice(first, first + step)
        differing = queries[part, None, :] ^ database[None, :, :]
        distances = np.bitwise_count(differing).sum(axis=2, dtype=np.int64)
        n = len(distances)
        # One histogram of distances for each query, all counted at once.
        offset = np.arange(n)[:, None] * (n_bits + 1)
        counts = np.bincount((distances + offset).ravel(), minlength=n * (n_bits + 1)).reshape(n, n_bits + 1)
        nearer = np.cumsum(counts, axis=1) - counts
        mine = np.take_along_axis(distances, neighbours[part], axis=1)
        before = np.take_along_axis(nearer, mine, axis=1)[:, :, None]
        equal = np.take_along_axis(counts, mine, axis=1)[:, :, None]
        total += np.clip((ranks - before) / equal, 0.0, 1.0).sum(axis=(0, 1))
    return dict(zip(ranks.tolist(), (total / neighbours.size).tolist(), strict=True))


def cosine_map(
    queries: NDArray[Any],
    query_labels: NDArray[Any],
    database: NDArray[Any],
    database_labels: NDArray[Any],
    *,
    at: int,
    progress: Progress = NO_PROGRESS,
) -> float:
    """Return MAP@``at`` of ranking real-valued features by cosine: what is reached without hashing.

    The definition is that of :func:`hashnet.evaluation.mean_average_precision`: the divisor is the number of
    relevant items among the first ``at``, and a query without one counts as 0. Labels are multi-hot.
    """
    at = min(at, len(database))
    asked, held = (labels.astype(np.float32) for labels in (query_labels, database_labels))
    total = 0.0
    for part, similarities in _similarities(queries, database, progress):
        order = _largest(similarities, at)
        relevant = np.take_along_axis(asked[part] @ held.T > 0, order, axis=1)
        hits = np.cumsum(relevant, axis=1)
        precision = hits / np.arange(1, at + 1)
        total += float(((precision * relevant).sum(axis=1) / np.maximum(hits[:, -1], 1)).sum())
    return total / len(queries)


def _similarities(
    queries: NDArray[Any], database: NDArray[Any], progress: Progress
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    if not len(queries) or not len(database) or queries.shape[1] != database.shape[1]:
        raise ValueError(
            "queries and database must be features of one length, at least one row each, "
            f"got shapes {queries.shape} and {database.shape}"
        )
    asked, held = _unit(queries), _unit(database)
    step = max(1, BLOCK // len(held))
    progress.start("nearest features", len(asked))
    for first in range(0, len(asked), step):
        part = slice(first, min(first + step, len(asked)))
        yield part, asked[part] @ held.T
        progress.advance(part.stop - part.start)
    progress.finish()


def _unit(features: NDArray[Any]) -> NDArray[np.float32]:
    values: NDArray[np.float32] = features.astype(np.float32)
    norms = np.linalg.norm(values, axis=1, keepdims=True)
    # A vector of zeros has no direction; it is similar to nothing.
    values /= np.where(norms > 0, norms, 1)
    return values


def _largest(similarities: NDArray[np.float32], k: int) -> Ids:
    """Return the columns of the ``k`` largest of each row, largest first, equal ones by column."""
    n = similarities.shape[1]
    if k == n:
        return np.argsort(-similarities, axis=1, kind="stable")
    # The k-th largest bounds the choice; of those equal to it the first columns are taken.
    bound = -np.partition(-similarities, k - 1, axis=1)[:, k - 1 : k]
    above = similarities > bound
    places = np.where(similarities == bound, np.cumsum(similarities == bound, axis=1), 0)
    room = k - above.sum(axis=1, keepdims=True)
    chosen = above | ((places > 0) & (places <= room))
    columns = np.nonzero(chosen)[1].reshape(len(similarities), k)
    values = np.take_along_axis(similarities, columns, axis=1)
    return np.take_along_axis(columns, np.argsort(-values, axis=1, kind="stable"), axis=1)
