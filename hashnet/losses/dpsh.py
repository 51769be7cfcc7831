"""DPSH: Deep Pairwise-Supervised Hashing (Li, Wang, Kang; IJCAI 2016)."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from hashnet.losses.objective import Objective, TrainingSet
from hashnet.losses.pair_likelihood import Pairs, mean_likelihood
from hashnet.losses.pairs import equal_weights, logistic, similarity
from hashnet.losses.quantization import sgn

_COLUMNS = 2048  # of the matrix of pairs, at once


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
            all_items = _All(self.outputs.to(g.dtype), self.all_labels, self.alpha)
            likelihood: Tensor = _WithAll.apply(g, labels, places, all_items)  # type: ignore[no-untyped-call]
        else:
            pairs = Pairs(labels, labels, equal_weights, alpha=self.alpha, shift=0.0, within=True)
            likelihood = mean_likelihood(g, g, pairs)
        return likelihood + self.quantization * (g - sgn(g.detach())).square().mean()


class _All(NamedTuple):
    """The last outputs of all training items, their labels, and the scale of inner products."""

    outputs: Tensor
    labels: Tensor
    alpha: float


class _WithAll(torch.autograd.Function):
    """Mean of ``softplus(d) - s d`` over the pairs of a batch with all training items but themselves.

    The gradient, alpha (sigma(d) - s) times the other's output, is taken along with the value, some columns
    at a time: the matrix of all pairs of a large training set would not fit into any cache, nor be needed
    again.
    """

    @staticmethod
    def forward(ctx: Any, g: Tensor, labels: Tensor, places: Tensor, others: _All) -> Tensor:
        total, gradient = g.new_zeros(()), torch.zeros_like(g)
        rows = torch.arange(len(g), device=g.device)
        for begin in range(0, len(others.outputs), _COLUMNS):
            some = others.outputs[begin : begin + _COLUMNS]
            similar = similarity(labels, others.labels[begin : begin + _COLUMNS].to(g.dtype))
            d = others.alpha * (g @ some.T)
            inside = (places >= begin) & (places < begin + len(some))
            own = rows[inside], places[inside] - begin
            slope, terms = torch.sigmoid(d) - similar, logistic(d, similar)
            slope[own], terms[own] = 0.0, 0.0
            total += terms.sum()
            gradient += others.alpha * (slope @ some)
        n_pairs = len(g) * (len(others.outputs) - 1)
        ctx.gradient = gradient / n_pairs
        return total / n_pairs

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return gradients[0] * ctx.gradient, None, None, None
