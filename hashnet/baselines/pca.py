"""The main directions of features, by scikit-learn."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA


def main_directions(
    values: NDArray[np.float64], n_directions: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean (n_features,) and the first ``n_directions`` directions (n_features, n_directions).

    Orthonormal columns by falling variance. The covariance is decomposed where there are at least as many
    rows as features, otherwise the features themselves: neither draws random numbers. Raises ValueError if
    all rows are equal.
    """
    if (values == values[0]).all():
        raise ValueError("X must have at least two different rows, all are equal; no direction has a spread")
    solver = "covariance_eigh" if len(values) >= values.shape[1] else "full"
    pca = PCA(n_directions, svd_solver=solver).fit(values)
    return pca.mean_, np.ascontiguousarray(pca.components_.T)
