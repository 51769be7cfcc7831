"""The weighted likelihood of pairs, with its gradient, some rows of the matrix of pairs at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from hashnet.losses.pairs import logistic

# As many as a processor's second cache holds with all that is computed of them; whole matrices of a batch of
# 1,024 take twice the time. A GPU would only wait for more calls.
_PAIRS_AT_ONCE = {"cpu": 1 << 16}
_PAIRS_AT_ONCE_ELSEWHERE = 1 << 24

Weigh = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Labels of both sides to the weights w_ij and similarities s_ij of all their pairs."""


class Pairs(NamedTuple):
    """Which pairs there are, ``d_ij = alpha (<g_i, g_j> - shift)``, and what they weigh.

    Labels are floats, ``(n, n_classes)`` and ``(m, n_classes)``. ``within``: both sides are one batch, and no
    item is paired with itself; weights are symmetric then.
    """

    labels: Tensor
    labels2: Tensor
    weigh: Weigh
    alpha: float
    shift: float
    within: bool


def mean_likelihood(g: Tensor, g2: Tensor, pairs: Pairs) -> Tensor:
    """Return the weighted mean over pairs of ``softplus(d_ij) - s_ij d_ij``; ValueError if none weighs.

    ``g`` ``(n, n_bits)`` and ``g2`` ``(m, n_bits)``. The gradient is taken along with the value and goes to
    both sides; there is none of second order.
    """
    loss: Tensor = _Likelihood.apply(g, g2, pairs)  # type: ignore[no-untyped-call]
    return loss


class _Likelihood(torch.autograd.Function):
    """The gradient of a pair is alpha w (sigma(d) - s) times the other's output."""

    @staticmethod
    def forward(ctx: Any, g: Tensor, g2: Tensor, pairs: Pairs) -> Tensor:
        weights, total = g.new_zeros(()), g.new_zeros(())
        gradient, gradient2 = torch.zeros_like(g), torch.zeros_like(g2)
        at_once = max(1, _PAIRS_AT_ONCE.get(g.device.type, _PAIRS_AT_ONCE_ELSEWHERE) // max(len(g2), 1))
        for begin in range(0, len(g), at_once):
            rows = slice(begin, begin + at_once)
            d = pairs.alpha * (g[rows] @ g2.T - pairs.shift)
            weight, similar = pairs.weigh(pairs.labels[rows], pairs.labels2)
            if pairs.within:
                weight.diagonal(begin).zero_()
            weights += weight.sum()
            total += (weight * logistic(d, similar)).sum()
            slope = weight * (torch.sigmoid(d) - similar)
            gradient[rows] = slope @ g2
            if not pairs.within:
                gradient2 += slope.T @ g[rows]
        if not bool(weights > 0):
            raise ValueError(f"a loss needs pairs, got a batch of {len(g)}; give at least two items")
        factor = pairs.alpha / weights
        # Within a batch a pair appears twice, and the matrix of slopes is symmetric.
        ctx.gradients = (factor * gradient, factor * gradient2)
        if pairs.within:
            ctx.gradients = (2 * factor * gradient, None)
        return total / weights

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        first, second = ctx.gradients
        return gradients[0] * first, None if second is None else gradients[0] * second, None
