"""Iterative quantisation: PCA, then the rotation that brings it closest to the corners of the cube.

Gong & Lazebnik, "Iterative quantization: a Procrustean approach to learning binary codes", CVPR 2011.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashnet.baselines.checks import check_count
from hashnet.baselines.method import FeatureHash
from hashnet.baselines.pca import main_directions
from hashnet.baselines.rotation import learn_rotation


class ITQ(FeatureHash):
    """Unsupervised codes of the ``n_bits`` main directions, after a learned orthogonal rotation.

    After ``fit``, ``mean_`` (n_features,), ``components_`` (n_features, n_bits) and ``rotation_``
    (n_bits, n_bits) make the code sgn((x - mean) components rotation), and ``losses_`` are the quantisation
    losses mean (B - V R)^2 before the first and after each iteration: they never rise. ``seed`` decides the
    rotation it starts from; 50 ``iterations`` are the published setting. Needs at least ``n_bits`` features
    and rows: PCA has no more directions to give.
    """

    def __init__(self, n_bits: int = 32, *, seed: int = 0, iterations: int = 50) -> None:
        self.n_bits = n_bits
        self.seed = seed
        self.iterations = iterations

    def _learn(self, X: Any, y: Any) -> None:  # noqa: N803
        iterations = check_count("iterations", self.iterations, least=0)
        values, rng = self._begin(X)
        if self.n_bits > min(values.shape):
            raise ValueError(
                f"n_bits must be at most the number of features and of rows, X has n_samples = {len(values)} "
                f"and {values.shape[1]} features, got {self.n_bits}; ask for fewer bits, or use LSH or SH"
            )
        self.mean_, self.components_ = main_directions(values, self.n_bits)
        projected = (values - self.mean_) @ self.components_
        self.rotation_, self.losses_ = learn_rotation(projected, self.n_bits, iterations=iterations, rng=rng)

    def _relaxed(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        return (values - self.mean_) @ self.components_ @ self.rotation_
