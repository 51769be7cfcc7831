"""CNNH: codes from the similarities first, then a network that fits them (Xia et al.; AAAI 2014)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hashnet.losses.objective import Objective, TrainingSet
from hashnet.losses.similarity_codes import SWEEPS, similarity_codes


class CNNH(Objective):
    """Mean ``(tanh(z) - h)^2`` with the code h that the first stage found for the item.

    The first stage (``similarity_codes``) runs in the constructor, over the labels of the whole training set:
    two items are similar if they share a label. ``losses`` are those of its sweeps.

    This is CNNH, not CNNH+, which lets the network predict the labels as well. The paper does not say how the
    output is compared with the code; squared error is taken. A loss asks for rows of the training set
    (``places``): other items have no code to fit.
    """

    def __init__(self, training: TrainingSet, *, sweeps: int = SWEEPS) -> None:
        super().__init__(training.n_bits)
        found = similarity_codes(training.labels, training.n_bits, seed=training.seed, sweeps=sweeps)
        self.losses = found.losses
        self.codes = nn.Buffer(torch.from_numpy(found.codes))

    def relax(self, z: Tensor, beta: float = 1.0) -> Tensor:
        """Return tanh(z)."""
        return torch.tanh(z)

    def loss(self, g: Tensor, labels: Tensor, places: Tensor) -> Tensor:
        """Return the loss."""
        if places.shape != (len(g),):
            raise ValueError(f"places must have shape ({len(g)},), one row a code, got {tuple(places.shape)}")
        return (g - self.codes[places].to(g.dtype)).square().mean()
