"""Losses over pairs of relaxed codes, one paper a file."""

from hashnet.losses.hashnet import HashNetLoss
from hashnet.losses.pairs import PairCounts, PairWeights, count_pairs, pair_weights

__all__ = ["HashNetLoss", "PairCounts", "PairWeights", "count_pairs", "pair_weights"]
