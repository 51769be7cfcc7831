"""The figures of one set of codes, together with the protocol that makes them comparable."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashnet.codes import Codes
from hashnet.datasets import ProtocolData
from hashnet.evaluation import metrics, per_query
from hashnet.evaluation.bits import BitStatistics, bit_statistics
from hashnet.evaluation.bootstrap import Interval, bootstrap_means
from hashnet.evaluation.per_class import ClassFigures, class_table
from hashnet.evaluation.ranking import Ranking, rank
from hashnet.progress import NO_PROGRESS, Progress

SIMILARITY = "at least one shared label"
PRECISION_AT = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
# Rank of the precision that is given for each class, and of its interval.
RANK = 100
LEVEL = 0.95


@dataclass(frozen=True)
class Evaluation:
    """Retrieval figures and the protocol they were measured by.

    ``map`` and ``map_tie_aware`` are MAP@``at`` as :func:`mean_average_precision` defines them;
    ``precision_within`` and ``recall_within`` are means over queries within ``radius`` (inclusive), an empty
    ball counting as 0; ``empty_balls`` is the share of these; ``map_within`` is MAP@H<=``radius``, tie-aware.
    ``precision_at`` and ``recall_at`` map N to precision@N and recall@N in database order, and their
    ``_tie_aware`` to the means over all orders. The curve and recall@N are pooled over queries. ``similar``
    and ``dissimilar`` count the pairs at each distance. ``seed`` is that of the shuffle of the database by
    which equal distances are ordered; None means the order given.

    ``intervals`` are those of the means over queries, at LEVEL (0.95), by ``resamples`` bootstrap samples, by
    figure: ``map``, ``map_tie_aware``, ``map_within``, ``precision_within``, ``recall_within`` and
    ``precision_at_100`` (tie-aware; the rank is smaller on a smaller database). ``per_class`` has the same
    figures over the queries of each class. ``recipe`` is what
    :meth:`hashnet.datasets.ProtocolData.describe` says, empty where no named protocol was followed.
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
    map_within: float
    empty_balls: float
    precision_at: dict[int, float]
    precision_at_tie_aware: dict[int, float]
    recall_at: dict[int, float]
    recall_at_tie_aware: dict[int, float]
    curve_radius: tuple[int, ...]
    curve_precision: tuple[float, ...]
    curve_recall: tuple[float, ...]
    similar: tuple[int, ...]
    dissimilar: tuple[int, ...]
    bits: BitStatistics
    intervals: dict[str, Interval]
    resamples: int
    per_class: tuple[ClassFigures, ...]
    seconds: float
    similarity: str = SIMILARITY
    data: str = ""
    notes: dict[str, str] = field(default_factory=dict)
    recipe: dict[str, Any] = field(default_factory=dict)

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
            (f"MAP@H<={self.radius}", f"{self.map_within:.4f}"),
            ("entropy of codes", f"{self.bits.code_entropy:.2f} of at most {self.most_entropy():.2f} bits"),
        ]

    def most_entropy(self) -> float:
        """Return the largest ``code_entropy`` that so many codes of so many bits can have."""
        return min(float(np.log2(self.bits.n_codes)), float(self.n_bits))

    def interval_rows(self) -> list[tuple[str, str, str, str]]:
        """Return (figure, mean, low, high) for a table."""
        return [
            (name.replace("_", " "), f"{x.mean:.4f}", f"{x.low:.4f}", f"{x.high:.4f}")
            for name, x in self.intervals.items()
        ]

    def class_rows(self) -> list[tuple[str, ...]]:
        """Return (class, queries, figures in the order of ``intervals``) for a table, best MAP first."""
        ordered = sorted(self.per_class, key=lambda one: -one.figures["map"])
        return [
            (one.name, f"{one.n_queries:,}", *(f"{one.figures[name]:.4f}" for name in self.intervals))
            for one in ordered
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
        if self.recipe:
            rows.insert(0, ("protocol", f"{self.recipe['protocol']}, {self.recipe['checksum'][:19]}"))
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
    recipe: Mapping[str, Any] | None = None,
    classes: Sequence[str] = (),
    resamples: int = 1000,
    threads: int = 0,
    progress: Progress = NO_PROGRESS,
) -> Evaluation:
    """Rank ``database`` for every query and return the figures.

    Labels are multi-hot ``(n, n_classes)``; two items are similar if they share a label. ``at`` is cut to the
    size of the database, ``radius`` to n_bits. The database is shuffled by ``seed`` first, because one that
    is sorted by class biases every figure that breaks ties by row; None keeps its order. ``data`` and
    ``notes`` (model, split, ...) are stored with the figures, and so is ``recipe``, the description of a
    named protocol. ``classes`` names the label columns. Intervals are of ``resamples`` bootstrap samples,
    drawn by ``seed`` (None: 0).
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
    recall, recall_expected = metrics.recall_at(ranking), metrics.recall_at(ranking, tie_aware=True)
    similar = ranking.relevant.sum(axis=0, dtype=np.int64)
    values = query_figures(ranking, radius)
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
        map_within=metrics.map_within(ranking, radius),
        empty_balls=metrics.empty_balls(ranking, radius),
        precision_at={n: float(precision[n - 1]) for n in ranks},
        precision_at_tie_aware={n: float(expected[n - 1]) for n in ranks},
        recall_at={n: float(recall[n - 1]) for n in ranks},
        recall_at_tie_aware={n: float(recall_expected[n - 1]) for n in ranks},
        curve_radius=tuple(curve.radius.tolist()),
        curve_precision=tuple(curve.precision.tolist()),
        curve_recall=tuple(curve.recall.tolist()),
        similar=tuple(similar.tolist()),
        dissimilar=tuple((ranking.all.sum(axis=0, dtype=np.int64) - similar).tolist()),
        bits=bit_statistics(database),
        intervals=bootstrap_means(values, resamples=resamples, level=LEVEL, seed=seed or 0),
        resamples=resamples,
        per_class=class_table(values, query_labels, classes),
        seconds=time.perf_counter() - began,
        data=data,
        notes=dict(notes or {}),
        recipe=dict(recipe or {}),
    )


def evaluate_protocol(
    data: ProtocolData,
    queries: Codes,
    database: Codes,
    *,
    radius: int = 2,
    notes: dict[str, str] | None = None,
    resamples: int = 1000,
    threads: int = 0,
    progress: Progress = NO_PROGRESS,
) -> Evaluation:
    """Return the figures of codes by a named protocol, which says R, labels and seed and is stored with them.

    ``queries`` are the codes of ``data.query`` and ``database`` those of ``data.database``, in their order.
    Raises ValueError where their numbers differ.
    """
    for name, codes, rows in (("queries", queries, data.query), ("database", database, data.database)):
        if len(codes) != len(rows):
            raise ValueError(
                f"{name} has {len(codes)} codes for the {len(rows)} rows of the protocol's list; "
                "leave rows out of the protocol's data as well, or encode all of them"
            )
    return evaluate(
        queries,
        data.labels[data.query],
        database,
        data.labels[data.database],
        at=data.at,
        radius=radius,
        seed=data.protocol.seed,
        data=data.images.source,
        notes=notes,
        recipe=data.describe(),
        classes=data.images.classes,
        resamples=resamples,
        threads=threads,
        progress=progress,
    )


def query_figures(ranking: Ranking, radius: int) -> dict[str, NDArray[np.float64]]:
    """Return the figures of each query, ``(nq,)``, that intervals and class tables are made of, by name."""
    n = min(RANK, int(ranking.all[0].sum(dtype=np.int64)))
    return {
        "map": ranking.average_precision,
        "map_tie_aware": ranking.tie_aware,
        "map_within": per_query.average_precision_within_each(ranking, radius),
        "precision_within": per_query.precision_within_each(ranking, radius),
        "recall_within": per_query.recall_within_each(ranking, radius),
        f"precision_at_{n}": per_query.expected_precision_at_each(ranking, n),
    }
