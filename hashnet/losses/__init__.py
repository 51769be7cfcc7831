"""Objectives of the deep methods, one paper a file, and losses over pairs of relaxed codes."""

from hashnet.losses.hashnet import HashNet, HashNetLoss, HashNetSgn
from hashnet.losses.objective import Objective, TrainingSet
from hashnet.losses.pairs import PairCounts, PairWeights, count_pairs, pair_weights
from hashnet.losses.registry import OBJECTIVES, LossSettings, build_objective, complete_settings

__all__ = [
    "OBJECTIVES",
    "HashNet",
    "HashNetLoss",
    "HashNetSgn",
    "LossSettings",
    "Objective",
    "PairCounts",
    "PairWeights",
    "TrainingSet",
    "build_objective",
    "complete_settings",
    "count_pairs",
    "pair_weights",
]
