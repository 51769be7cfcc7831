"""The figures of one set of codes, together with the protocol that makes them comparable."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashnet.codes import Codes
from hashnet.evaluation import metrics
from hashnet.evaluation.bits import BitStatistics, bit_statistics
from hashnet.evaluation.ranking import rank
from hashnet.progress import NO_PROGRESS, Progress

SIMILARITY = "at least one shared label"
PRECISION_AT = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)


@dataclass(frozen=True)
class Evaluation:
    """Retrieval figures and the protocol they were measured by.

    ``map`` and ``map_tie_aware`` are MAP@``at`` as :func:`mean_average_precision` defines them;
    ``precision_within`` and ``recall_within`` are means over queries within ``radius`` (inclusive), an empty
    ball counting as 0; ``empty_balls`` is the share of these. ``precision_at`` maps N to precision@N in
    database order, and ``precision_at_tie_aware`` to its mean over all orders. The curve is pooled over
    queries. ``similar`` and ``dissimilar`` count the pairs at each distance. ``seed`` is that of the shuffle
    of the database by which equal distances are ordered; None means the order given.
    """

    n_queries: int
    n_database: int
    n_bits: int
    n_classes: int
    at: int
    radius: int
    seed: int | None
    map: float
    map_tie_aware: float
    precision_within: float
    recall_within: float
    empty_balls: float
    precision_at: dict[int, float]
    precision_at_tie_aware: dict[int, float]
    curve_radius: tuple[int, ...]
    curve_precision: tuple[float, ...]
    curve_recall: tuple[float, ...]
    similar: tuple[int, ...]
    dissimilar: tuple[int, ...]
    bits: BitStatistics
    seconds: float
    similarity: str = SIMILARITY
    data: str = ""
    notes: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return a dict that ``json.dumps`` takes."""
        return asdict(self)

    def rows(self) -> list[tuple[str, str]]:
        """Return the headline figures as (name, value) for a table."""
        return [
            (f"MAP@{self.at}", f"{self.map:.4f}"),
            (f"MAP@{self.at}, tie-aware", f"{self.map_tie_aware:.4f}"),
            (f"P@H<={self.radius}", f"{self.precision_within:.4f}"),
            (f"recall, H<={self.radius}", f"{self.recall_within:.4f}"),
            (f"empty balls, H<={self.radius}", f"{self.empty_balls:.1%}"),
            *(
                (f"precision@{n}", f"{p:.4f}")
                for n, p in self.precision_at.items()
                if n in {10, 100, self.at}
            ),
            ("distinct codes", f"{self.bits.distinct_codes:,} of {self.bits.n_codes:,}"),
            ("mean |correlation| of bits", f"{self.bits.mean_abs_correlation:.3f}"),
        ]

    def protocol(self) -> list[tuple[str, str]]:
        """Return what the figures depend on as (name, value) for a table."""
        order = "the order given" if self.seed is None else f"shuffled, seed {self.seed}"
        rows = [
            ("queries", f"{self.n_queries:,}"),
            ("database", f"{self.n_database:,}, {order}"),
            ("n_bits", str(self.n_bits)),
            ("classes", str(self.n_classes)),
            ("similar", self.similarity),
            ("R", f"{self.at:,}"),
        ]
        if self.data:
            rows.insert(0, ("data", self.data))
        return rows + list(self.notes.items())


def evaluate(
    queries: Codes,
    query_labels: NDArray[Any],
    database: Codes,
    database_labels: NDArray[Any],
    *,
    at: int = 1000,
    radius: int = 2,
    seed: int | None = 0,
    data: str = "",
    notes: dict[str, str] | None = None,
    threads: int = 0,
    progress: Progress = NO_PROGRESS,
) -> Evaluation:
    """Rank ``database`` for every query and return the figures.

    Labels are multi-hot ``(n, n_classes)``; two items are similar if they share a label. ``at`` is cut to the
    size of the database, ``radius`` to n_bits. The database is shuffled by ``seed`` first, because one that
    is sorted by class biases every figure that breaks ties by row; None keeps its order. ``data`` and
    ``notes`` (model, split, ...) are stored with the figures.
    """
    if radius < 0:
        raise ValueError(f"radius must be at least 0, got {radius}")
    began = time.perf_counter()
    if isinstance(database, np.ndarray) and isinstance(database_labels, np.ndarray) and seed is not None:
        if len(database) != len(database_labels):
            raise ValueError(
                f"database_labels has {len(database_labels)} rows for {len(database)} codes; "
                "give each code one row"
            )
        order = np.random.default_rng(seed).permutation(len(database))
        database, database_labels = database[order], database_labels[order]
    ranking = rank(
        queries, query_labels, database, database_labels, at=at, threads=threads, progress=progress
    )
    n_bits = database.shape[1] * 8
    radius = min(radius, n_bits)
    curve = metrics.precision_recall(ranking)
    precision, expected = metrics.precision_at(ranking), metrics.precision_at(ranking, tie_aware=True)
    ranks = sorted({n for n in PRECISION_AT if n <= ranking.at} | {ranking.at})
    similar = ranking.relevant.sum(axis=0, dtype=np.int64)
    return Evaluation(
        n_queries=len(queries),
        n_database=len(database),
        n_bits=n_bits,
        n_classes=query_labels.shape[1],
        at=ranking.at,
        radius=radius,
        seed=seed,
        map=metrics.mean_average_precision(ranking),
        map_tie_aware=metrics.mean_average_precision(ranking, tie_aware=True),
        precision_within=metrics.precision_within(ranking, radius),
        recall_within=metrics.recall_within(ranking, radius),
        empty_balls=metrics.empty_balls(ranking, radius),
        precision_at={n: float(precision[n - 1]) for n in ranks},
        precision_at_tie_aware={n: float(expected[n - 1]) for n in ranks},
        curve_radius=tuple(curve.radius.tolist()),
        curve_precision=tuple(curve.precision.tolist()),
        curve_recall=tuple(curve.recall.tolist()),
        similar=tuple(similar.tolist()),
        dissimilar=tuple((ranking.all.sum(axis=0, dtype=np.int64) - similar).tolist()),
        bits=bit_statistics(database),
        seconds=time.perf_counter() - began,
        data=data,
        notes=dict(notes or {}),
    )
