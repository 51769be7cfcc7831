"""How good codes are and whether answers are right: metrics, cross-checks, figures, reports."""

from hashnet.evaluation.bits import BitStatistics, bit_statistics, count_codes, count_distinct
from hashnet.evaluation.bootstrap import Interval, bootstrap_means
from hashnet.evaluation.crosscheck import Comparison, CrosscheckReport, Mismatch, crosscheck
from hashnet.evaluation.evaluate import Evaluation, evaluate, evaluate_protocol, query_figures
from hashnet.evaluation.feature_space import cosine_map, neighbour_recall, true_neighbours
from hashnet.evaluation.figures import (
    distance_figure,
    latency_figure,
    precision_at_figure,
    precision_recall_figure,
    recall_at_figure,
)
from hashnet.evaluation.figures_bits import bits_figure, mean_interval
from hashnet.evaluation.figures_training import gap_figure, loss_figure
from hashnet.evaluation.metrics import (
    PrecisionRecall,
    empty_balls,
    map_within,
    mean_average_precision,
    precision_at,
    precision_recall,
    precision_within,
    recall_at,
    recall_within,
)
from hashnet.evaluation.per_class import ClassFigures, class_table
from hashnet.evaluation.per_query import (
    average_precision_within_each,
    expected_precision_at_each,
    precision_within_each,
    recall_within_each,
)
from hashnet.evaluation.ranking import Ranking, pack_labels, rank
from hashnet.evaluation.report import Page
from hashnet.evaluation.retrieval_grid import GridItem, GridRow, retrieval_grid
from hashnet.evaluation.retrieval_grid_svg import retrieval_grid_svg
from hashnet.evaluation.tsne import tsne_figure

__all__ = [
    "BitStatistics",
    "ClassFigures",
    "Comparison",
    "CrosscheckReport",
    "Evaluation",
    "GridItem",
    "GridRow",
    "Interval",
    "Mismatch",
    "Page",
    "PrecisionRecall",
    "Ranking",
    "average_precision_within_each",
    "bit_statistics",
    "bits_figure",
    "bootstrap_means",
    "class_table",
    "cosine_map",
    "count_codes",
    "count_distinct",
    "crosscheck",
    "distance_figure",
    "empty_balls",
    "evaluate",
    "evaluate_protocol",
    "expected_precision_at_each",
    "gap_figure",
    "latency_figure",
    "loss_figure",
    "map_within",
    "mean_average_precision",
    "mean_interval",
    "neighbour_recall",
    "pack_labels",
    "precision_at",
    "precision_at_figure",
    "precision_recall",
    "precision_recall_figure",
    "precision_within",
    "precision_within_each",
    "query_figures",
    "rank",
    "recall_at",
    "recall_at_figure",
    "recall_within",
    "recall_within_each",
    "retrieval_grid",
    "retrieval_grid_svg",
    "true_neighbours",
    "tsne_figure",
]
