"""Objectives of the deep methods, one paper a file, and losses over pairs of relaxed codes."""

from hashnet.losses.cnnh import CNNH
from hashnet.losses.csq import CSQ
from hashnet.losses.dhn import DHN
from hashnet.losses.dnnh import DNNH
from hashnet.losses.dpn import DPN
from hashnet.losses.dpsh import DPSH
from hashnet.losses.greedyhash import GreedyHash
from hashnet.losses.hashnet import HashNet, HashNetLoss, HashNetSgn
from hashnet.losses.objective import Objective, TrainingSet
from hashnet.losses.orthohash import OrthoHash
from hashnet.losses.pairs import PairCounts, PairWeights, count_pairs, pair_weights
from hashnet.losses.registry import OBJECTIVES, LossSettings, build_objective, complete_settings

__all__ = [
    "CNNH",
    "CSQ",
    "DHN",
    "DNNH",
    "DPN",
    "DPSH",
    "OBJECTIVES",
    "GreedyHash",
    "HashNet",
    "HashNetLoss",
    "HashNetSgn",
    "LossSettings",
    "Objective",
    "OrthoHash",
    "PairCounts",
    "PairWeights",
    "TrainingSet",
    "build_objective",
    "complete_settings",
    "count_pairs",
    "pair_weights",
]
