"""How good codes are and whether answers are right: metrics, cross-checks, figures, reports."""

from hashnet.evaluation.bits import BitStatistics, bit_statistics, count_distinct
from hashnet.evaluation.crosscheck import Comparison, CrosscheckReport, Mismatch, crosscheck
from hashnet.evaluation.evaluate import Evaluation, evaluate
from hashnet.evaluation.figures import (
    distance_figure,
    latency_figure,
    precision_at_figure,
    precision_recall_figure,
)
from hashnet.evaluation.figures_bits import bits_figure, mean_interval
from hashnet.evaluation.figures_training import gap_figure, loss_figure
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
from hashnet.evaluation.report import Page
from hashnet.evaluation.retrieval_grid import GridItem, GridRow, retrieval_grid
from hashnet.evaluation.retrieval_grid_svg import retrieval_grid_svg
from hashnet.evaluation.tsne import tsne_figure

__all__ = [
    "BitStatistics",
    "Comparison",
    "CrosscheckReport",
    "Evaluation",
    "GridItem",
    "GridRow",
    "Mismatch",
    "Page",
    "PrecisionRecall",
    "Ranking",
    "bit_statistics",
    "bits_figure",
    "count_distinct",
    "crosscheck",
    "distance_figure",
    "empty_balls",
    "evaluate",
    "gap_figure",
    "latency_figure",
    "loss_figure",
    "mean_average_precision",
    "mean_interval",
    "pack_labels",
    "precision_at",
    "precision_at_figure",
    "precision_recall",
    "precision_recall_figure",
    "precision_within",
    "rank",
    "recall_at",
    "recall_within",
    "retrieval_grid",
    "retrieval_grid_svg",
    "tsne_figure",
]
