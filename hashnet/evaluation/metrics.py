"""Retrieval figures of a ranking: MAP@R, precision within a radius, precision@N, precision-recall.

A query without a relevant item where one is counted contributes 0 to a mean, never a gap.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hashnet.evaluation import per_query
from hashnet.evaluation.ranking import Ranking


class PrecisionRecall(NamedTuple):
    """Precision and recall within each radius, float64 alike in length, ascending radius.

    Pooled over all queries: relevant pairs within the radius over all pairs within it, and over all relevant
    pairs. Radii whose balls are all empty are left out.
    """

    radius: NDArray[np.int64]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]


def mean_average_precision(ranking: Ranking, *, tie_aware: bool = False) -> float:
    """Return MAP@R, R being the ranking's ``at``.

    Average precision of a query is the sum of precision@rank over the relevant items in the first R ranks,
    divided by *their number* (not by all relevant items of the database): the definition behind the published
    tables of HashNet and its successors. Equal distances are ranked by database row, so the figure moves when
    the database is reordered.

    ``tie_aware`` gives its mean over all orders of the database instead, in closed form with harmonic sums as
    in McSherry & Najork, "Computing information retrieval performance measures efficiently in the presence of
    tied scores", ECIR 2008. Where rank R cuts a group of ties, the number of hits inside R is hypergeometric
    and the mean is taken over it, because it is also the divisor.
    """
    return float(np.mean(ranking.tie_aware if tie_aware else ranking.average_precision))


def precision_within(ranking: Ranking, radius: int) -> float:
    """Return the mean precision within Hamming ``radius`` (inclusive); an empty ball counts as 0 (P@H<=r)."""
    return float(np.mean(per_query.precision_within_each(ranking, radius)))


def recall_within(ranking: Ranking, radius: int) -> float:
    """Return the mean recall within ``radius`` (inclusive); 0 for a query without any relevant item."""
    return float(np.mean(per_query.recall_within_each(ranking, radius)))


def map_within(ranking: Ranking, radius: int) -> float:
    """Return MAP within Hamming ``radius`` (MAP@H<=r), tie-aware, an empty ball counting as 0.

    See :func:`hashnet.evaluation.per_query.average_precision_within_each` for definition and source.
    """
    return float(np.mean(per_query.average_precision_within_each(ranking, radius)))


def empty_balls(ranking: Ranking, radius: int) -> float:
    """Return the share of queries that find nothing within ``radius`` (inclusive)."""
    found, _ = per_query.within(ranking, radius)
    return float(np.mean(found == 0))


def precision_at(ranking: Ranking, *, tie_aware: bool = False) -> NDArray[np.float64]:
    """Return precision@N for N = 1 .. at: the mean share of relevant items among the first N."""
    hits = ranking.expected_hits if tie_aware else ranking.hits
    ranks = np.arange(1, ranking.at + 1, dtype=np.float64)
    return np.cumsum(hits, dtype=np.float64) / (ranks * ranking.n_queries)


def recall_at(ranking: Ranking, *, tie_aware: bool = False) -> NDArray[np.float64]:
    """Return recall@N for N = 1 .. at, pooled over queries: relevant items found over all there are."""
    hits = ranking.expected_hits if tie_aware else ranking.hits
    relevant = int(ranking.relevant.sum(dtype=np.int64))
    return np.cumsum(hits, dtype=np.float64) / max(1, relevant)


def precision_recall(ranking: Ranking) -> PrecisionRecall:
    """Return the precision-recall curve over the radius from 0 to n_bits."""
    found = np.cumsum(ranking.all.sum(axis=0, dtype=np.int64))
    hits = np.cumsum(ranking.relevant.sum(axis=0, dtype=np.int64))
    radius = np.flatnonzero(found)
    return PrecisionRecall(radius, hits[radius] / found[radius], hits[radius] / max(1, int(hits[-1])))
