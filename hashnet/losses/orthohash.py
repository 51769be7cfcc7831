"""OrthoHash: one cosine loss towards orthogonal codes (Hoe, Ng, Zhang, Chan, Song, Xiang; NeurIPS 2021)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from hashnet.losses.centres import orthogonal_centres
from hashnet.losses.classes import check_classes
from hashnet.losses.objective import Objective, TrainingSet

if TYPE_CHECKING:
    from hashnet.models import HashHead


class OrthoHash(Objective):
    """Softmax cross-entropy of ``scale (cos(g, t_c) - margin [c is a label])`` over classes c.

    The targets t are binary and fixed: rows of a Hadamard matrix where there are as many (orthogonal), else
    fair coins, which the authors' code always draws. g is z after a batch norm with learned scale and shift,
    which the paper puts behind the hash layer to balance the bits; it is learned here beside the network,
    sees the whole batch, and is folded into the hash layer at the end: sgn(z) of that head is the code.

    Several labels share the probability of an item alike, with the margin on each (the paper's label
    smoothing). Items without a label have no loss. The defaults of ``scale`` and ``margin`` are those of the
    authors' code.
    """

    def __init__(self, training: TrainingSet, *, margin: float = 0.2, scale: float = 8.0) -> None:
        super().__init__(training.n_bits)
        self.margin, self.scale = margin, scale
        centres = orthogonal_centres(training.n_classes, training.n_bits, seed=training.seed)
        self.targets = nn.Buffer(torch.from_numpy(centres))
        self.norm = nn.BatchNorm1d(training.n_bits)

    def relax(self, z: Tensor, beta: float = 1.0) -> Tensor:
        """Return z after batch norm: of this batch in training, of the running statistics in evaluation."""
        g: Tensor = self.norm(z)
        return g

    def loss(self, g: Tensor, labels: Tensor, places: Tensor) -> Tensor:
        """Return the loss; 0 where no item has a label."""
        check_classes(labels, len(self.targets))
        labels = labels.to(g.dtype)
        targets = self.targets.to(g.dtype) * self.n_bits**-0.5
        cosines = functional.normalize(g, dim=1) @ targets.T
        logs = functional.log_softmax(self.scale * (cosines - self.margin * labels), dim=1)
        n_labels = labels.sum(dim=1)
        per_item = -(labels * logs).sum(dim=1) / n_labels.clamp_min(1)
        return per_item.sum() / (n_labels > 0).sum().clamp_min(1)

    def finish(self, head: HashHead) -> None:
        """Fold the batch norm, as it is in evaluation, into the hash layer, and make it do nothing more."""
        norm, layer = self.norm, head.hash_layer
        if norm.running_mean is None or norm.running_var is None:
            raise ValueError("the batch norm has no running statistics to fold")
        with torch.no_grad():
            factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)
            shift = norm.bias - norm.running_mean * factor
            layer.weight.mul_(factor[:, None])
            layer.bias.mul_(factor).add_(shift)
            norm.reset_parameters()
