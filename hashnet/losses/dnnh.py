"""DNNH: triplet ranking with divide-and-encode (Lai, Pan, Liu, Yan; CVPR 2015)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from hashnet.losses.objective import Objective, TrainingSet
from hashnet.losses.pairs import similarity

if TYPE_CHECKING:
    from hashnet.models import HashHead


class DNNH(Objective):
    """The hinge ``max(0, margin + |v - v+|^2 - |v - v-|^2)`` over triplets of codes v in [0, 1].

    v is the paper's piece-wise threshold of sigmoid(z): itself within ``epsilon`` of 1/2, else 0 or 1, where
    no gradient comes back; ``relax`` gives 2 v - 1. In the head every bit sees its own slice of the layer
    below and nothing else (divide-and-encode); the paper's slices have 50 units, here they share the hidden
    layer (or the features, where there is none) as evenly as possible.

    The paper draws triplets; here the loss is the mean over *all* triplets of the batch: v+ shares a label
    with v and v- shares none, also where there are several labels. It is 0 for a batch without a triplet.
    """

    def __init__(self, training: TrainingSet, *, margin: float = 1.0, epsilon: float = 0.5) -> None:
        super().__init__(training.n_bits)
        if not 0 < epsilon <= 0.5:
            raise ValueError(f"epsilon must be above 0 and at most 0.5 (no threshold), got {epsilon}")
        self.margin, self.epsilon = margin, epsilon

    def relax(self, z: Tensor, beta: float = 1.0) -> Tensor:
        """Return 2 v - 1 in [-1, 1], whose sign is that of z."""
        v = torch.sigmoid(z)
        v = torch.where(v > 0.5 + self.epsilon, torch.ones_like(v), v)
        return 2 * torch.where(v < 0.5 - self.epsilon, torch.zeros_like(v), v) - 1

    def loss(self, g: Tensor, labels: Tensor, places: Tensor) -> Tensor:
        """Return the loss."""
        labels = labels.to(g.dtype)
        return triplet_ranking((g + 1) / 2, similarity(labels, labels) > 0, margin=self.margin)

    def shape_head(self, head: HashHead) -> None:
        """Give each bit its own slice of the hash layer's inputs; ValueError if there are fewer than bits."""
        layer = head.hash_layer
        if layer.in_features < self.n_bits:
            raise ValueError(
                f"divide-and-encode needs an input for each of {self.n_bits} bits, got {layer.in_features}; "
                "take a wider hidden layer"
            )
        mask = torch.zeros_like(layer.weight)
        for bit, inputs in enumerate(np.array_split(np.arange(layer.in_features), self.n_bits)):
            mask[bit, inputs[0] : inputs[-1] + 1] = 1
        with torch.no_grad():
            layer.weight.mul_(mask)
        # What is 0 without a gradient stays 0 in every optimizer, weight decay included.
        layer.weight.register_hook(lambda gradient: gradient * mask)  # type: ignore[no-untyped-call]


def triplet_ranking(v: Tensor, similar: Tensor, *, margin: float) -> Tensor:
    """Return the mean hinge over all triplets (i, similar to it, not similar to it) of different rows of v.

    ``similar`` is bool ``(n, n)``. O(n^2 log n) for all of up to n^3 triplets. 0 where there is no triplet.
    """
    squares = v.square().sum(dim=1)
    distances = squares[:, None] + squares[None, :] - 2 * (v @ v.T)
    others = ~torch.eye(len(v), dtype=torch.bool, device=v.device)
    positive, negative = similar & others, ~similar & others
    n_triplets = (positive.sum(dim=1) * negative.sum(dim=1)).sum()
    total: Tensor = _Hinges.apply(distances, positive, negative, margin)  # type: ignore[no-untyped-call]
    return total / n_triplets.clamp_min(1)


class _Hinges(torch.autograd.Function):
    """Sum of ``max(0, margin + d_ij - d_ik)`` over anchors i, their positives j and their negatives k.

    For one anchor and one positive the hinges add up to a count and a sum of the negatives nearer than
    ``margin`` plus its distance, read off their sorted distances. The gradient is that count for the
    positive, and for a negative, negated, the number of positives that count it.
    """

    @staticmethod
    def forward(ctx: Any, distances: Tensor, positive: Tensor, negative: Tensor, margin: float) -> Tensor:
        n = len(distances)
        far = torch.where(negative, distances, torch.inf)
        order = _argsort(far)
        ascending = far.gather(1, order)
        # Positives are few of a row: packed to its front, so that only they are looked up.
        anchor, item = positive.nonzero(as_tuple=True)
        slot = (positive.cumsum(dim=1) - 1)[anchor, item]
        bounds = distances[anchor, item] + margin
        packed = bounds.new_full((n, int(positive.sum(dim=1).max()) if n else 0), -torch.inf)
        packed[anchor, slot] = bounds
        count = torch.searchsorted(ascending, packed)[anchor, slot]
        # The sums of the first 0, 1, ... negatives; what comes after the last of them is never read.
        sums = torch.cat([ascending.new_zeros(n, 1), ascending.cumsum(dim=1)], dim=1)
        # Who counts at least r + 1 negatives counts the one of rank r.
        counted = torch.bincount(anchor * (n + 1) + count, minlength=n * (n + 1)).view(n, n + 1)
        by_rank = counted.flip(1).cumsum(dim=1).flip(1)[:, 1:].to(distances.dtype)
        gradient = torch.zeros_like(distances).scatter_(1, order, -by_rank)
        gradient[anchor, item] = count.to(distances.dtype)
        ctx.gradient = gradient
        return (count * bounds - sums[anchor, count]).sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return gradients[0] * ctx.gradient, None, None, None


def _argsort(values: Tensor) -> Tensor:
    """Return the places of each row in ascending order of its values.

    On a CPU numpy takes a seventh of the time that torch does.
    """
    if values.device.type == "cpu":
        return torch.from_numpy(np.argsort(values.numpy(), axis=1))
    return values.argsort(dim=1)
