"""Locality-sensitive hashing by the signs of random Gaussian projections (Charikar, STOC 2002)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashnet.baselines.method import FeatureHash


class LSH(FeatureHash):
    """Random hyperplanes through the mean of the features it was fitted to.

    Two centred features at angle t differ in n_bits * t / pi bits on average (section 3 of the paper).
    Learns ``mean_`` (n_features,) only; ``seed`` decides the planes, ``projection_`` (n_features, n_bits).
    """

    def __init__(self, n_bits: int = 32, *, seed: int = 0) -> None:
        self.n_bits = n_bits
        self.seed = seed

    def _learn(self, X: Any, y: Any) -> None:  # noqa: N803
        values, rng = self._begin(X, least=1)
        self.mean_ = values.mean(axis=0)
        self.projection_ = rng.standard_normal((values.shape[1], self.n_bits))

    def _relaxed(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        return (values - self.mean_) @ self.projection_
