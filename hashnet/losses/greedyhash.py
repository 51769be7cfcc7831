"""GreedyHash (Su, Zhang, Han, Tian; NeurIPS 2018): strict signs forward, their gradient handed through."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from hashnet.losses.classes import classification_loss
from hashnet.losses.objective import Objective, TrainingSet
from hashnet.losses.quantization import sgn


class GreedyHash(Objective):
    """A linear classifier on sgn(z), whose gradient reaches z unchanged, and ``alpha |z - sgn z|^3``.

    The cubic penalty keeps z near the corner it is rounded to, where this gradient is nearly true. It is the
    mean over items and bits, as in the authors' code, with the weight ``quantization``. The classifier has no
    bias and is trained with the network; it is no part of the code.

    The paper classifies single-label data by softmax. With several labels, which it does not treat, each
    class is a yes-or-no question (sigmoid cross-entropy), as common re-implementations have it.
    """

    def __init__(self, training: TrainingSet, *, quantization: float = 0.1) -> None:
        super().__init__(training.n_bits)
        self.quantization = quantization
        self.multi_label = training.is_multi_label
        generator = torch.Generator().manual_seed(training.seed)
        bound = training.n_bits**-0.5
        weight = torch.empty(training.n_classes, training.n_bits)
        self.classifier = nn.Parameter(nn.init.uniform_(weight, -bound, bound, generator=generator))

    def relax(self, z: Tensor, beta: float = 1.0) -> Tensor:
        """Return z, since the sign is taken in the loss."""
        return z

    def loss(self, g: Tensor, labels: Tensor, places: Tensor) -> Tensor:
        """Return the loss of classifying sgn(g) plus the cubic penalty of g."""
        logits = straight_through_sgn(g) @ self.classifier.T
        penalty = (g - sgn(g.detach())).abs().pow(3).mean()
        return classification_loss(logits, labels, multi_label=self.multi_label) + self.quantization * penalty


def straight_through_sgn(z: Tensor) -> Tensor:
    """Return sgn(z) in {-1, +1}, +1 where z > 0, as if it were z when differentiated."""
    codes: Tensor = _StraightThrough.apply(z)  # type: ignore[no-untyped-call]
    return codes


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        return sgn(z)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0]
