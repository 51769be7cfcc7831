"""How good codes are and whether answers are right: metrics, cross-checks, figures, reports."""

from hashnet.evaluation.bits import BitStatistics, bit_statistics, count_distinct
from hashnet.evaluation.crosscheck import Comparison, CrosscheckReport, Mismatch, crosscheck
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
    "Comparison",
    "CrosscheckReport",
    "Evaluation",
    "Mismatch",
    "PrecisionRecall",
    "Ranking",
    "bit_statistics",
    "count_distinct",
    "crosscheck",
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
