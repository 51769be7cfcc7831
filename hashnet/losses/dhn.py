"""DHN: Deep Hashing Network (Zhu, Long, Wang, Cao; AAAI 2016), cross-entropy of pairs plus quantisation."""

from __future__ import annotations

import torch
from torch import Tensor

from hashnet.losses.objective import Objective, TrainingSet
from hashnet.losses.pair_likelihood import Pairs, mean_likelihood
from hashnet.losses.pairs import equal_weights
from hashnet.losses.quantization import bimodal_laplacian


class DHN(Objective):
    """``softplus(d) - s d`` with ``d = alpha <g_i, g_j>``, plus ``quantization`` times ``log cosh(|g| - 1)``.

    g is tanh(z), as the paper's hash layer has it. The first term is the mean over the pairs of different
    items of the batch, all of one weight; the second, from a bimodal Laplacian prior of the codes, is the
    mean over items and bits. The paper adds up both over pairs, so its weight of the second differs from
    ``quantization`` by a constant. ``alpha`` is 1 in the paper.

    The authors' later code weighs similar pairs up and squares ``|g| - 1``; the paper is followed here.
    Items with several labels are similar if they share one, as in the paper's experiments.
    """

    def __init__(self, training: TrainingSet, *, alpha: float = 1.0, quantization: float = 0.1) -> None:
        super().__init__(training.n_bits)
        self.alpha, self.quantization = alpha, quantization

    def relax(self, z: Tensor, beta: float = 1.0) -> Tensor:
        """Return tanh(z)."""
        return torch.tanh(z)

    def loss(self, g: Tensor, labels: Tensor, places: Tensor) -> Tensor:
        """Return the loss; ValueError for fewer than two items."""
        labels = labels.to(g.dtype)
        pairs = Pairs(labels, labels, equal_weights, alpha=self.alpha, shift=0.0, within=True)
        return mean_likelihood(g, g, pairs) + self.quantization * bimodal_laplacian(g)
