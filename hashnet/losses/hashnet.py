"""HashNet (Cao, Long, Wang, Yu; ICCV 2017): weighted pairwise logistic loss (eq. 4), and continuation."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from hashnet.losses.objective import Objective, TrainingSet, check_batch
from hashnet.losses.pair_likelihood import Pairs, mean_likelihood
from hashnet.losses.pairs import PairWeights, equal_weights, jaccard, pair_weights, similarity


class HashNetLoss(nn.Module):
    """Weighted mean over pairs of ``softplus(d_ij) - s_ij d_ij``, with ``d_ij = alpha <g_i, g_j>``.

    That is ``log(1 + exp(d)) - s d`` without overflow. ``s_ij`` is 1 where two items share a label. The
    weight of a pair is ``c_ij |S|/|S1|`` if it is similar and ``|S|/|S0|`` if not, with both ratios from
    the whole training set (``pair_weights``); without ``weights`` every pair weighs 1 (HashNet-W).
    ``c_ij`` is the Jaccard index of the labels: 1 for similar pairs of single-label data. For dissimilar
    pairs it is 1, although the paper's formula, read literally, gives 0 there and would drop every
    dissimilar pair of multi-label data. ``use_jaccard=False`` sets it to 1 everywhere (HashNet without +C).

    The sum is divided by the sum of the weights, so codes that say nothing (d = 0) have the loss ln 2
    whatever the weights. ``alpha`` defaults to ``10 / n_bits``, as in the authors' code.

    ``margin``, which the paper does not have (0), draws the line between similar and dissimilar where inner
    products are that share of the greatest: ``d_ij = alpha (<g_i, g_j> - margin n_bits)``. Dissimilar codes
    then need not be pushed beyond independence, and similar ones have to be nearer.
    """

    def __init__(
        self,
        n_bits: int,
        *,
        alpha: float | None = None,
        weights: PairWeights | None = None,
        use_jaccard: bool = True,
        margin: float = 0.0,
    ) -> None:
        super().__init__()
        self.n_bits = n_bits
        self.margin = margin
        self.alpha = 10.0 / n_bits if alpha is None else alpha
        self.weights = weights
        self.use_jaccard = use_jaccard
        if self.alpha <= 0:
            raise ValueError(f"alpha must be positive, got {alpha}; the default is 10 / n_bits")
        if not 0 <= margin < 1:
            raise ValueError(f"margin must be a share of n_bits, at least 0 and below 1, got {margin}")

    def forward(
        self, g: Tensor, labels: Tensor, g2: Tensor | None = None, labels2: Tensor | None = None
    ) -> Tensor:
        """Return the loss of relaxed codes ``(n, n_bits)`` with multi-hot ``labels`` ``(n, n_classes)``.

        Pairs are those of different items of one batch, or, with ``g2`` and ``labels2``, all cross pairs
        of two independent batches. Raises ValueError where there is no pair of positive weight.
        """
        if (g2 is None) != (labels2 is None):
            raise ValueError("g2 and labels2 belong together; give both or neither")
        check_batch(g, labels, n_bits=self.n_bits)
        within = g2 is None or labels2 is None
        other, other_labels = (g, labels) if g2 is None or labels2 is None else (g2, labels2)
        if not within:
            check_batch(other, other_labels, n_bits=self.n_bits)
        pairs = Pairs(
            labels.to(g.dtype),
            other_labels.to(g.dtype),
            self.pair_weights,
            alpha=self.alpha,
            shift=self.margin * self.n_bits,
            within=within,
        )
        return mean_likelihood(g, other, pairs)

    def pair_weights(self, labels: Tensor, labels2: Tensor) -> tuple[Tensor, Tensor]:
        """Return the weights w_ij and the similarities s_ij ``(n, m)`` of float multi-hot labels."""
        if self.weights is None:
            return equal_weights(labels, labels2)
        similar = similarity(labels, labels2)
        if self.use_jaccard:
            shared = jaccard(labels, labels2)
            return self.weights.similar * shared + self.weights.dissimilar * (1 - similar), similar
        return self.weights.dissimilar + (self.weights.similar - self.weights.dissimilar) * similar, similar


class HashNet(Objective):
    """HashNet as an objective: ``tanh(beta z)`` with growing beta, under the weighted loss of all pairs.

    With ``use_jaccard`` it is HashNet+C, which differs on multi-label data only; with ``weighted=False`` it
    is HashNet-W. Two items are similar if they share a label. ``alpha`` defaults to ``10 / n_bits``, and as
    in the paper there is no ``margin``.
    """

    continues: ClassVar[bool] = True
    silent_loss: float | None = math.log(2)

    def __init__(
        self,
        training: TrainingSet,
        *,
        alpha: float | None = None,
        weighted: bool = True,
        use_jaccard: bool = False,
        margin: float = 0.0,
    ) -> None:
        super().__init__(training.n_bits)
        self.weights = pair_weights(training.labels) if weighted else None
        self.pairs = HashNetLoss(
            training.n_bits, alpha=alpha, weights=self.weights, use_jaccard=use_jaccard, margin=margin
        )
        if margin:
            # It depends on how many pairs of the batch are similar.
            self.silent_loss = None

    def relax(self, z: Tensor, beta: float = 1.0) -> Tensor:
        """Return tanh(beta z), which tends to sgn(z) as beta grows (section 3.2)."""
        return torch.tanh(beta * z)

    def loss(self, g: Tensor, labels: Tensor, places: Tensor) -> Tensor:
        """Return the loss over the pairs of different items of the batch."""
        loss: Tensor = self.pairs(g, labels)
        return loss


class HashNetSgn(HashNet):
    """HashNet-sgn, the paper's variant without continuation: tanh(z) throughout, binarised afterwards."""

    continues: ClassVar[bool] = False

    def relax(self, z: Tensor, beta: float = 1.0) -> Tensor:
        """Return tanh(z), whatever beta."""
        return torch.tanh(z)
