"""DPSH: Deep Pairwise-Supervised Hashing (Li, Wang, Kang; IJCAI 2016)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hashnet.losses.objective import Objective, TrainingSet
from hashnet.losses.pairs import different_items, logistic, similarity
from hashnet.losses.quantization import sgn


class DPSH(Objective):
    """``softplus(d) - s d`` with ``d = alpha <u_i, u_j>``, plus ``quantization |u_i - sgn u_i|^2``; u is z.

    The pairs of a batch in training are those of its items with *all* training items, as in the paper's
    gradient, which sums over all pairs. Like the authors' code it keeps the last output of every training
    item, 0 before the first, and only the batch's own outputs are differentiated. In evaluation mode the
    pairs are those of the batch. No item is paired with itself.

    Both terms are means, over pairs and over items and bits; the paper has sums, so its eta is
    ``quantization`` up to a constant. ``alpha`` is 1/2 in the paper. Items with several labels are similar if
    they share one, as in the paper's experiments on NUS-WIDE.
    """

    def __init__(self, training: TrainingSet, *, alpha: float = 0.5, quantization: float = 0.1) -> None:
        super().__init__(training.n_bits)
        self.alpha, self.quantization = alpha, quantization
        self.outputs = nn.Buffer(torch.zeros(len(training.labels), training.n_bits))
        # Known from the data: no part of what is learned.
        self.all_labels = nn.Buffer(torch.from_numpy(training.labels), persistent=False)

    def relax(self, z: Tensor, beta: float = 1.0) -> Tensor:
        """Return z: nothing bounds the outputs but the quantisation term."""
        return z

    def loss(self, g: Tensor, labels: Tensor, places: Tensor) -> Tensor:
        """Return the loss; in training it keeps ``g`` as the outputs of the training items ``places``."""
        labels = labels.to(g.dtype)
        if self.training:
            self.outputs[places] = g.detach().to(self.outputs.dtype)
            others, other_labels = self.outputs.to(g.dtype), self.all_labels.to(g.dtype)
            pairs = torch.ones(len(g), len(others), dtype=g.dtype, device=g.device)
            pairs[torch.arange(len(g), device=g.device), places] = 0
        else:
            others, other_labels = g, labels
            pairs = different_items(len(g), g)
        d = self.alpha * (g @ others.T)
        likelihood = (pairs * logistic(d, similarity(labels, other_labels))).sum() / pairs.sum()
        return likelihood + self.quantization * (g - sgn(g.detach())).square().mean()
