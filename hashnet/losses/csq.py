"""CSQ: Central Similarity Quantization (Yuan, Wang, Zhang, Tay, Jie, Liu, Feng; CVPR 2020)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from hashnet.losses.centres import LabelCentres, hadamard_centres, mean_where
from hashnet.losses.objective import Objective, TrainingSet
from hashnet.losses.quantization import bimodal_laplacian


class CSQ(Objective):
    """Binary cross-entropy between (g + 1) / 2 and the hash centre of the label, plus quantisation.

    g is tanh(z). Centres are fixed before training (``hadamard_centres``); the centre of several labels is
    the vote of theirs. The quantisation term, weighed by ``quantization``, is the paper's
    ``log cosh(|g| - 1)``; the authors' code squares ``|g| - 1`` instead. Both terms are means over items and
    bits. Items without a label have no centre, and only the second term.
    """

    def __init__(self, training: TrainingSet, *, quantization: float = 1e-4) -> None:
        super().__init__(training.n_bits)
        self.quantization = quantization
        centres = hadamard_centres(training.n_classes, training.n_bits, seed=training.seed)
        self.targets = LabelCentres(centres, seed=training.seed)

    def relax(self, z: Tensor, beta: float = 1.0) -> Tensor:
        """Return tanh(z)."""
        return torch.tanh(z)

    def loss(self, g: Tensor, labels: Tensor, places: Tensor) -> Tensor:
        """Return the loss; a bit that is wrong to the last digit costs 100, where logarithms are cut."""
        targets, labelled = self.targets(labels.to(g.dtype))
        # Rounding may carry tanh to 1, and a value half a step above it.
        share = ((g + 1) / 2).clamp(0, 1)
        entropy = functional.binary_cross_entropy(share, (targets + 1) / 2, reduction="none")
        return mean_where(entropy, labelled) + self.quantization * bimodal_laplacian(g)
