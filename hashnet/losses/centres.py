"""Target codes of classes, as far apart as rows of a Hadamard matrix or fair coins, and of label sets."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import hadamard
from torch import Tensor, nn

_TRIES = 20

Signs = NDArray[np.float32]


def hadamard_centres(n_classes: int, n_bits: int, *, seed: int) -> Signs:
    """Return the hash centres of CSQ (Yuan et al., CVPR 2020, algorithm 1) ``(n_classes, n_bits)``, -1 or +1.

    Where n_bits is a power of 2 they are the rows of Sylvester's Hadamard matrix H, which differ in n_bits/2
    bits, then those of -H, which differ in all bits from their opposite and in n_bits/2 from the others. More
    classes, and all for any other n_bits, get codes with as many ones as zeros, drawn at random: of 20 draws
    the one whose two nearest centres are farthest apart.
    """
    _check(n_classes, n_bits)
    fixed = np.empty((0, n_bits), dtype=np.float32)
    if n_bits & (n_bits - 1) == 0:
        rows = hadamard(n_bits).astype(np.float32)
        fixed = np.concatenate([rows, -rows])[:n_classes]
    missing = n_classes - len(fixed)
    if not missing:
        return fixed
    rng = np.random.default_rng(seed)
    half = np.repeat(np.array([-1, 1], dtype=np.float32), n_bits // 2)
    draws = [
        np.concatenate([fixed, rng.permuted(np.tile(half, (missing, 1)), axis=1)]) for _ in range(_TRIES)
    ]
    return max(draws, key=least_distance)


def least_distance(centres: Signs) -> int:
    """Return the smallest Hamming distance between two of the centres; n_bits for a single one."""
    n_bits = centres.shape[1]
    inner = centres @ centres.T
    np.fill_diagonal(inner, -n_bits)
    return int(n_bits - inner.max()) // 2


def balanced_centres(n_classes: int, n_bits: int, *, seed: int) -> Signs:
    """Return target codes ``(n_classes, n_bits)``, each with half its bits drawn to be +1, the others -1."""
    _check(n_classes, n_bits)
    half = np.repeat(np.array([-1, 1], dtype=np.float32), n_bits // 2)
    return np.random.default_rng(seed).permuted(np.tile(half, (n_classes, 1)), axis=1)


def orthogonal_centres(n_classes: int, n_bits: int, *, seed: int) -> Signs:
    """Return target codes ``(n_classes, n_bits)`` that are orthogonal where a Hadamard matrix has them.

    That is for up to n_bits classes where n_bits is a power of 2; else every bit is a fair coin, which makes
    them orthogonal in expectation.
    """
    _check(n_classes, n_bits)
    if n_bits & (n_bits - 1) == 0 and n_classes <= n_bits:
        return hadamard(n_bits)[:n_classes].astype(np.float32)
    return np.random.default_rng(seed).choice(np.array([-1, 1], np.float32), (n_classes, n_bits))


class LabelCentres(nn.Module):
    """Target codes of items: that of the class, or of several classes the vote of their codes, bit by bit.

    A tied bit is that of one random code, fixed by the seed (CSQ, section 3.3, and the practice of DPN).
    """

    def __init__(self, centres: Signs, *, seed: int) -> None:
        super().__init__()
        self.centres = nn.Buffer(torch.from_numpy(centres))
        signs = np.random.default_rng((seed, 1)).choice(np.array([-1, 1], np.float32), centres.shape[1])
        self.ties = nn.Buffer(torch.from_numpy(signs))

    def forward(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the targets ``(n, n_bits)`` of multi-hot labels and which items ``(n,)`` have a label."""
        if labels.shape[1] != len(self.centres):
            raise ValueError(
                f"labels must have a column for each of the {len(self.centres)} classes of training, "
                f"got {labels.shape[1]}"
            )
        votes = labels @ self.centres.to(labels.dtype)
        targets = torch.where(votes == 0, self.ties.to(labels.dtype), votes.sign())
        return targets, labels.sum(dim=1) > 0


def mean_where(values: Tensor, chosen: Tensor) -> Tensor:
    """Return the mean of the rows of ``values`` ``(n, m)`` where ``chosen`` ``(n,)``; 0 where none is."""
    kept = torch.where(chosen[:, None], values, torch.zeros_like(values))
    return kept.sum() / (chosen.sum() * values.shape[1]).clamp_min(1)


def _check(n_classes: int, n_bits: int) -> None:
    if n_classes < 1 or n_bits < 2 or n_bits % 2:
        raise ValueError(
            f"target codes need a class and an even n_bits, got {n_classes} classes of {n_bits} bits"
        )
