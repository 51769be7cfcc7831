"""What a network is trained towards: the interface that every deep method fills, and what it is made from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from hashnet.codes import check_n_bits
from hashnet.losses.pairs import check_labels

if TYPE_CHECKING:
    from hashnet.models import HashHead


@dataclass(frozen=True)
class TrainingSet:
    """What an objective may know before training: multi-hot labels ``(n, n_classes)`` uint8, and a seed."""

    labels: NDArray[np.uint8]
    n_bits: int
    seed: int = 0

    def __post_init__(self) -> None:
        check_labels(self.labels)
        check_n_bits(self.n_bits)
        if self.labels.shape[1] < 1:
            raise ValueError("a training set needs at least one class, got labels without columns")

    @property
    def n_classes(self) -> int:
        """The number of classes."""
        return int(self.labels.shape[1])

    @property
    def is_multi_label(self) -> bool:
        """Whether some item has more than one label."""
        return len(self.labels) > 0 and int(self.labels.sum(axis=1, dtype=np.int64).max()) > 1


class Objective(nn.Module, ABC):
    """A method's loss, with whatever it learns beside the network: class weights, centres, statistics.

    Calling it with z ``(n, n_bits)`` of the hash layer gives ``loss(relax(z, beta), labels, places)``.
    Parameters and buffers are moved, optimised and checkpointed with the network; they must follow from the
    arguments of the constructor alone. The batch is always a whole one, whatever the number of processes, so
    an objective knows nothing of processes.

    ``continues`` says that ``relax`` depends on beta, which then grows stage by stage; else it stays 1.
    ``silent_loss`` is the loss of codes that say nothing (z = 0), where that is a sign of collapse.
    """

    continues: ClassVar[bool] = False
    silent_loss: float | None = None

    def __init__(self, n_bits: int) -> None:
        super().__init__()
        self.n_bits = n_bits

    @abstractmethod
    def relax(self, z: Tensor, beta: float = 1.0) -> Tensor:
        """Return g ``(n, n_bits)``, which the loss is taken on in place of the code sgn(g)."""

    @abstractmethod
    def loss(self, g: Tensor, labels: Tensor, places: Tensor) -> Tensor:
        """Return the loss, a scalar, of ``g`` as ``relax`` gives it, or of codes in {-1, +1}.

        ``labels`` is multi-hot ``(n, n_classes)``, real; ``places`` int64 ``(n,)`` are rows of the training
        set.
        """

    def forward(self, z: Tensor, labels: Tensor, places: Tensor, beta: float = 1.0) -> Tensor:
        """Return the loss of outputs z ``(n, n_bits)``; ValueError where the shapes do not fit."""
        check_batch(z, labels, n_bits=self.n_bits)
        return self.loss(self.relax(z, beta), labels, places)

    def shape_head(self, head: HashHead) -> None:
        """Give the head, before it is trained, the form that the method asks for."""

    def finish(self, head: HashHead) -> None:
        """Put into the trained head what of ``relax`` the code depends on, so that sgn(z) is the code."""


def check_batch(g: Tensor, labels: Tensor, *, n_bits: int) -> None:
    """Raise ValueError unless ``g`` is ``(n, n_bits)`` and ``labels`` has as many rows."""
    if g.ndim != 2 or g.shape[1] != n_bits:
        raise ValueError(f"relaxed codes must have shape (n, {n_bits}), got {tuple(g.shape)}")
    if labels.ndim != 2 or len(labels) != len(g):
        raise ValueError(
            f"labels must be multi-hot of shape ({len(g)}, n_classes), one row a code, "
            f"got {tuple(labels.shape)}"
        )
