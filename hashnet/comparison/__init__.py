"""Methods compared: on one's own images, or by a named protocol; measured once, kept, and reported."""

from hashnet.comparison.comparing import CompareSettings, Comparison, compare_methods, measure_methods
from hashnet.comparison.features import Features, extract, feature_identity, features_of
from hashnet.comparison.runs import CannotFitError, Job, Result, Runs
from hashnet.comparison.sides import Sides, own_sides, protocol_sides

__all__ = [
    "CannotFitError",
    "CompareSettings",
    "Comparison",
    "Features",
    "Job",
    "Result",
    "Runs",
    "Sides",
    "compare_methods",
    "extract",
    "feature_identity",
    "features_of",
    "measure_methods",
    "own_sides",
    "protocol_sides",
]
