"""Pairs of items: which are similar, how much they share, and what each kind weighs in a training set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

_CHUNK_PAIRS = 1 << 24  # label products held at once: 64 MiB of float32


@dataclass(frozen=True)
class PairWeights:
    """|S| / |S1| for similar and |S| / |S0| for dissimilar pairs of the training set (HashNet, eq. 2)."""

    similar: float
    dissimilar: float


@dataclass(frozen=True)
class PairCounts:
    """How many unordered pairs of different items share a label, and how many share none."""

    similar: int
    dissimilar: int


def count_pairs(labels: NDArray[np.uint8]) -> PairCounts:
    """Count the pairs of a multi-hot label matrix ``(n, n_classes)``, exactly.

    Cost: class counts where no row has two labels; else products of the distinct rows, in chunks. The
    n x n matrix is never built.
    """
    labels = check_labels(labels)
    n = len(labels)
    total = n * (n - 1) // 2
    n_labels = labels.sum(axis=1, dtype=np.int64)
    if n == 0 or int(n_labels.max()) <= 1:
        counts = labels.sum(axis=0, dtype=np.int64)
        similar = sum(int(count) * (int(count) - 1) // 2 for count in counts)
        return PairCounts(similar, total - similar)
    rows, inverse = np.unique(labels, axis=0, return_inverse=True)
    counts = np.bincount(inverse.reshape(-1), minlength=len(rows))
    ordered = 0  # ordered pairs, an item with itself included
    floats = rows.astype(np.float32)
    step = max(1, _CHUNK_PAIRS // len(rows))
    for start in range(0, len(rows), step):
        shares = floats[start : start + step] @ floats.T > 0
        ordered += int(counts[start : start + step] @ (shares @ counts))
    similar = (ordered - int((n_labels > 0).sum())) // 2
    return PairCounts(similar, total - similar)


def pair_weights(labels: NDArray[np.uint8]) -> PairWeights:
    """Return the weights of the whole training set, from multi-hot labels ``(n, n_classes)``.

    S is the set of unordered pairs of different items. Raises ValueError where all pairs are of one kind:
    there is nothing to balance, and nothing to learn.
    """
    counts = count_pairs(labels)
    total = counts.similar + counts.dissimilar
    if not counts.similar or not counts.dissimilar:
        missing = "similar" if not counts.similar else "dissimilar"
        raise ValueError(
            f"the {len(labels)} training items have no {missing} pair; give items of at least two classes "
            "and two items of some class"
        )
    return PairWeights(total / counts.similar, total / counts.dissimilar)


def check_labels(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return ``labels`` unchanged if they are multi-hot uint8, else raise TypeError or ValueError."""
    if not isinstance(labels, np.ndarray) or labels.dtype != np.uint8:
        got = labels.dtype if isinstance(labels, np.ndarray) else type(labels).__name__
        raise TypeError(f"labels must be a numpy array of uint8, got {got}")
    if labels.ndim != 2:
        raise ValueError(f"labels must be multi-hot of shape (n, n_classes), got {labels.shape}")
    if labels.size and int(labels.max()) > 1:
        raise ValueError(f"labels must be multi-hot, 0 or 1, got {int(labels.max())}")
    return labels


def jaccard(labels: Tensor, labels2: Tensor) -> Tensor:
    """Return |y_i n y_j| / |y_i u y_j| ``(n, m)`` of float multi-hot labels; 0 where both have none."""
    shared = labels @ labels2.T
    union = labels.sum(dim=1)[:, None] + labels2.sum(dim=1)[None, :] - shared
    return shared / union.clamp_min(torch.finfo(shared.dtype).tiny)


def similarity(labels: Tensor, labels2: Tensor) -> Tensor:
    """Return s_ij ``(n, m)`` of real multi-hot labels: 1 where two items share a label, else 0."""
    return (labels @ labels2.T > 0).to(labels.dtype)


def equal_weights(labels: Tensor, labels2: Tensor) -> tuple[Tensor, Tensor]:
    """Return the weight 1 of every pair ``(n, m)`` and s_ij, as ``similarity`` has it."""
    similar = similarity(labels, labels2)
    return torch.ones_like(similar), similar


def logistic(d: Tensor, similar: Tensor) -> Tensor:
    """Return ``log(1 + exp(d)) - s d``, the negative log-likelihood of s under sigma(d), without overflow."""
    return functional.softplus(d) - similar * d
