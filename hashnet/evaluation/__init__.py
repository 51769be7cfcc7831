"""How good codes are and whether answers are right: metrics, cross-checks, figures, reports."""

from hashnet.evaluation.bits import BitStatistics, bit_statistics, count_distinct
from hashnet.evaluation.evaluate import Evaluation, evaluate
from hashnet.evaluation.metrics import (
    PrecisionRecall,
    empty_balls,
    mean_average_precision,
    precision_at,
    precision_recall,
    precision_within,
    recall_at,
    recall_within,
)
from hashnet.evaluation.ranking import Ranking, pack_labels, rank

__all__ = [
    "BitStatistics",
    "Evaluation",
    "PrecisionRecall",
    "Ranking",
    "bit_statistics",
    "count_distinct",
    "empty_balls",
    "evaluate",
    "mean_average_precision",
    "pack_labels",
    "precision_at",
    "precision_recall",
    "precision_within",
    "rank",
    "recall_at",
    "recall_within",
]
