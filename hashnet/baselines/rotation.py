"""The rotation that brings projected features closest to the corners of the cube.

Gong & Lazebnik, "Iterative quantization: a Procrustean approach to learning binary codes", CVPR 2011,
section 2.2: min |B - V R|^2 over codes B and rotations R, each given the other in turn.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def learn_rotation(
    projected: NDArray[np.float64], n_bits: int, *, iterations: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], tuple[float, ...]]:
    """Return R ``(n_directions, n_bits)`` with orthonormal rows, and the losses mean (B - V R)^2.

    V is ``projected`` (n, n_directions), n_directions at most n_bits: fewer directions than bits are what
    the square rotation of directions filled up with zeros leaves. The losses, before the first and after each
    iteration, never rise.
    """
    start, _ = np.linalg.qr(rng.standard_normal((n_bits, n_bits)))
    rotation = start[: projected.shape[1]]
    rotated = projected @ rotation
    losses = [_loss(rotated)]
    for _ in range(iterations):
        # Given the codes, the best rotation is that of orthogonal Procrustes; given it, sgn is best.
        left, _, right = np.linalg.svd(projected.T @ sign(rotated), full_matrices=False)
        rotation = left @ right
        rotated = projected @ rotation
        losses.append(_loss(rotated))
    return rotation, tuple(losses)


def sign(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return +1 where a value is greater than 0, else -1: the bit of a packed code."""
    return np.where(values > 0, 1.0, -1.0)


def _loss(rotated: NDArray[np.float64]) -> float:
    return float(np.mean((np.abs(rotated) - 1) ** 2))
