"""Iterative quantisation: PCA, then the rotation that brings it closest to the corners of the cube.

Gong & Lazebnik, "Iterative quantization: a Procrustean approach to learning binary codes", CVPR 2011.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashnet.baselines.features import check_features, check_settings
from hashnet.codes import Codes, pack


class ITQ:
    """Unsupervised codes of the ``n_bits`` main directions, after a learned orthogonal rotation.

    After ``fit``, ``mean`` (n_features,), ``components`` (n_features, n_bits) and ``rotation``
    (n_bits, n_bits) make the code sgn((x - mean) components rotation), and ``losses`` are the quantisation
    losses mean |B - V R|^2 before the first and after each iteration: they never rise. ``seed`` decides the
    rotation it starts from; 50 iterations are the published setting.
    """

    def __init__(self, n_bits: int, seed: int = 0, *, iterations: int = 50) -> None:
        self.n_bits, self.seed = check_settings(n_bits, seed)
        if iterations < 0:
            raise ValueError(f"iterations must be at least 0, got {iterations}")
        self.iterations = iterations
        self.mean: NDArray[np.float64] | None = None
        self.components: NDArray[np.float64] | None = None
        self.rotation: NDArray[np.float64] | None = None
        self.losses: tuple[float, ...] = ()

    def fit(self, features: NDArray[Any]) -> ITQ:
        """Learn from ``features`` (n, n_features); returns itself.

        Raises ValueError if there are fewer features than bits: PCA has no more directions to give.
        """
        values = check_features(features)
        n_features = values.shape[1]
        if self.n_bits > n_features:
            raise ValueError(
                f"n_bits must be at most the number of features, {n_features}, got {self.n_bits}; "
                "ask for fewer bits, or use LSH"
            )
        mean = values.mean(axis=0)
        values -= mean
        _, directions = np.linalg.eigh(values.T @ values)
        components = directions[:, ::-1][:, : self.n_bits]
        projected = values @ components
        rng = np.random.default_rng(self.seed)
        rotation, _ = np.linalg.qr(rng.standard_normal((self.n_bits, self.n_bits)))
        losses = [_loss(projected @ rotation)]
        for _ in range(self.iterations):
            # Given the codes, the best rotation is that of orthogonal Procrustes; given it, sgn is best.
            codes = _sign(projected @ rotation)
            left, _, right = np.linalg.svd(projected.T @ codes)
            rotation = left @ right
            losses.append(_loss(projected @ rotation))
        self.mean, self.components, self.rotation = mean, components, rotation
        self.losses = tuple(losses)
        return self

    def encode(self, features: NDArray[Any]) -> Codes:
        """Return the codes of ``features``; raises ValueError before ``fit`` or for another n_features."""
        if self.mean is None or self.components is None or self.rotation is None:
            raise ValueError("ITQ is not fitted; call fit(features) with the training features first")
        values = check_features(features, n_features=len(self.mean))
        return pack((values - self.mean) @ self.components @ self.rotation)


def _sign(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(values > 0, 1.0, -1.0)


def _loss(rotated: NDArray[np.float64]) -> float:
    return float(np.mean((_sign(rotated) - rotated) ** 2))
