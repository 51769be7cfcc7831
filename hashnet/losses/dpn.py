"""DPN: Deep Polarized Network (Fan, Ng, Ju, Zhang, Chan; IJCAI 2020)."""

from __future__ import annotations

from torch import Tensor

from hashnet.losses.centres import LabelCentres, balanced_centres, mean_where
from hashnet.losses.objective import Objective, TrainingSet


class DPN(Objective):
    """The polarisation loss ``max(margin - v_k t_k, 0)``, mean over items and bits; v is z.

    It is 0 once every output lies on the side of its target and at least ``margin`` away from 0. Targets t in
    {-1, +1} are drawn for each class before training, half of the bits each way, and stay: the paper's random
    assignment, not its adaptive updating. The target of several labels is the vote of theirs, as in the
    re-implementation its authors point to; items without a label have no target and no loss.
    """

    def __init__(self, training: TrainingSet, *, margin: float = 1.0) -> None:
        super().__init__(training.n_bits)
        self.margin = margin
        targets = balanced_centres(training.n_classes, training.n_bits, seed=training.seed)
        self.targets = LabelCentres(targets, seed=training.seed)

    def relax(self, z: Tensor, beta: float = 1.0) -> Tensor:
        """Return z."""
        return z

    def loss(self, g: Tensor, labels: Tensor, places: Tensor) -> Tensor:
        """Return the loss."""
        targets, labelled = self.targets(labels.to(g.dtype))
        return mean_where((self.margin - g * targets).clamp_min(0), labelled)
