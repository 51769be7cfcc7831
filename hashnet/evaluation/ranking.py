"""Where the relevant items stand when a labelled database is ranked by distance, from the native kernel."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hashnet import _core
from hashnet.codes import Codes, check_codes, check_n_bits
from hashnet.progress import NO_PROGRESS, Progress

# A native call cannot be interrupted, so it is kept to about a second on the usual sizes.
PAIRS_PER_CALL = 400_000_000


class Ranking(NamedTuple):
    """Counts from which every retrieval figure follows; an item is relevant if it shares a label.

    ``all`` and ``relevant`` are uint32 ``(nq, n_bits + 1)``: how many items, and relevant ones, lie at each
    distance. ``average_precision`` and ``tie_aware`` are float64 ``(nq,)``, see
    :func:`hashnet.evaluation.mean_average_precision`. ``hits`` (int64) and ``expected_hits`` (float64), both
    ``(min(at, n),)``, count the queries with a relevant item at each rank, in database order and as the mean
    over all orders.
    """

    all: NDArray[np.uint32]
    relevant: NDArray[np.uint32]
    average_precision: NDArray[np.float64]
    tie_aware: NDArray[np.float64]
    hits: NDArray[np.int64]
    expected_hits: NDArray[np.float64]

    @property
    def n_queries(self) -> int:
        """Number of queries."""
        return len(self.average_precision)

    @property
    def at(self) -> int:
        """How many ranks count, at most the size of the database."""
        return len(self.hits)


def rank(
    queries: Codes,
    query_labels: NDArray[Any],
    database: Codes,
    database_labels: NDArray[Any],
    *,
    at: int = 1000,
    threads: int = 0,
    progress: Progress = NO_PROGRESS,
) -> Ranking:
    """Rank ``database`` for each query by (distance, row) and count the relevant items.

    Labels are multi-hot ``(n, n_classes)``, bool or integers 0 and 1. ``threads`` 0 takes all cores. Memory
    is 2 bytes a database code and thread, plus the histograms. Raises ValueError for empty sides, labels
    that do not fit, and ``at`` < 1.
    """
    if not isinstance(database, np.ndarray) or database.ndim != 2:
        raise ValueError(f"database must be codes of shape (n, n_bits / 8), got shape {np.shape(database)}")
    n_bits = check_n_bits(database.shape[1] * 8)
    check_codes(database, n_bits, name="database")
    check_codes(queries, n_bits, name="queries")
    for name, codes in (("queries", queries), ("database", database)):
        if len(codes) == 0:
            raise ValueError(f"{name} is empty; give at least one code")
    if at < 1:
        raise ValueError(f"at must be at least 1, got {at}")
    if threads < 0:
        raise ValueError(f"threads must be at least 0 (all cores), got {threads}")
    asked = _check_labels(query_labels, len(queries), "query_labels")
    held = _check_labels(database_labels, len(database), "database_labels")
    if asked.shape[1] != held.shape[1]:
        raise ValueError(
            f"query_labels have {asked.shape[1]} classes and database_labels {held.shape[1]}; "
            "both must be multi-hot over the same classes"
        )
    asked_words, held_words = pack_labels(asked), pack_labels(held)
    step = max(1, PAIRS_PER_CALL // len(database))
    parts = []
    progress.start("rank", len(queries))
    for first in range(0, len(queries), step):
        chunk = slice(first, first + step)
        part = Ranking(*_core.rank(queries[chunk], asked_words[chunk], database, held_words, at, threads))
        parts.append(part)
        progress.advance(part.n_queries)
    progress.finish()
    if len(parts) == 1:
        return parts[0]
    return Ranking(
        all=np.concatenate([part.all for part in parts]),
        relevant=np.concatenate([part.relevant for part in parts]),
        average_precision=np.concatenate([part.average_precision for part in parts]),
        tie_aware=np.concatenate([part.tie_aware for part in parts]),
        hits=np.sum([part.hits for part in parts], axis=0),
        expected_hits=np.sum([part.expected_hits for part in parts], axis=0),
    )


def pack_labels(labels: NDArray[Any]) -> NDArray[np.uint64]:
    """Pack multi-hot labels ``(n, n_classes)`` into uint64 words of 64 classes, ``(n, n_words)``."""
    packed = np.packbits(labels != 0, axis=1)
    n_bytes = packed.shape[1]
    padded = np.zeros((len(labels), max(1, -(-n_bytes // 8)) * 8), dtype=np.uint8)
    padded[:, :n_bytes] = packed
    return padded.view(np.uint64)


def _check_labels(labels: NDArray[Any], n: int, name: str) -> NDArray[Any]:
    if not isinstance(labels, np.ndarray) or labels.ndim != 2 or labels.shape[1] < 1:
        raise ValueError(
            f"{name} must be multi-hot of shape (n, n_classes), got shape {np.shape(labels)}; "
            "class numbers become multi-hot with numpy.eye(n_classes, dtype=bool)[numbers]"
        )
    if labels.dtype.kind not in "bui":
        raise TypeError(f"{name} must be bool or integers 0 and 1, got dtype {labels.dtype}")
    if len(labels) != n:
        raise ValueError(f"{name} has {len(labels)} rows for {n} codes; give each code one row")
    return labels
