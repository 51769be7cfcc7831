"""Locality-sensitive hashing by the signs of random Gaussian projections (Charikar, STOC 2002)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashnet.baselines.features import check_features, check_settings
from hashnet.codes import Codes, pack


class LSH:
    """Random hyperplanes through the mean of the features it was fitted to.

    Two centred features at angle t differ in n_bits * t / pi bits on average. Learns the mean only;
    ``fit`` takes any number of features, ``seed`` decides the planes.
    """

    def __init__(self, n_bits: int, seed: int = 0) -> None:
        self.n_bits, self.seed = check_settings(n_bits, seed)
        self.mean: NDArray[np.float64] | None = None
        self.projection: NDArray[np.float64] | None = None

    def fit(self, features: NDArray[Any]) -> LSH:
        """Take the mean of ``features`` (n, n_features) and draw the planes; returns itself."""
        values = check_features(features)
        self.mean = values.mean(axis=0)
        rng = np.random.default_rng(self.seed)
        self.projection = rng.standard_normal((values.shape[1], self.n_bits))
        return self

    def encode(self, features: NDArray[Any]) -> Codes:
        """Return the codes of ``features``; raises ValueError before ``fit`` or for another n_features."""
        if self.mean is None or self.projection is None:
            raise ValueError("LSH is not fitted; call fit(features) with the training features first")
        values = check_features(features, n_features=len(self.mean))
        return pack((values - self.mean) @ self.projection)
