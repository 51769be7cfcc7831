"""ITQ on the directions that correlate best with the labels, in place of PCA's.

Gong & Lazebnik, "Iterative quantization: a Procrustean approach to learning binary codes", CVPR 2011,
section 3 (supervised, canonical correlation analysis). Hotelling 1936 for CCA itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky, solve_triangular, svd

from hashnet.baselines.checks import check_count, check_number, label_rows
from hashnet.baselines.method import SupervisedFeatureHash
from hashnet.baselines.rotation import learn_rotation


class ITQCCA(SupervisedFeatureHash):
    """Supervised codes: CCA between features and multi-hot labels, then ITQ's rotation.

    Direction w_k solves Sxy (Syy + r I)^-1 Syx w = c^2 (Sxx + r I) w, the ridge r on the covariances being
    ``ridge`` for the features and ``label_ridge`` for the labels. Both are .0001 as published; the authors
    advise to choose it by validation, and it decides a great deal where features are many. A direction has
    w' (Sxx + r I) w = 1, and as in the authors' released code it is scaled by its canonical correlation
    before the rotation; ``correlation_power`` 0 leaves it unscaled.

    Labels of c classes give at most c directions (c - 1 where every row has one label) and n_features bound
    them too. The published tables nevertheless have more bits than that: the released code then fills up with
    directions of correlation 0, which the scaling makes 0, and the rotation spreads the others over all bits.
    So it is here: ``rotation_`` (n_directions, n_bits) has orthonormal rows, and n_bits has no upper limit.

    After ``fit``: ``mean_`` (n_features,), ``components_`` (n_features, n_directions), scaled;
    ``correlations_`` (n_directions,), falling; ``rotation_`` and ``losses_`` as in ITQ.
    """

    def __init__(
        self,
        n_bits: int = 32,
        *,
        seed: int = 0,
        ridge: float = 1e-4,
        label_ridge: float = 1e-4,
        correlation_power: float = 1.0,
        iterations: int = 50,
    ) -> None:
        self.n_bits = n_bits
        self.seed = seed
        self.ridge = ridge
        self.label_ridge = label_ridge
        self.correlation_power = correlation_power
        self.iterations = iterations

    def _learn(self, X: Any, y: Any) -> None:  # noqa: N803
        ridge = check_number("ridge", self.ridge, zero=False)
        label_ridge = check_number("label_ridge", self.label_ridge, zero=False)
        power = check_number("correlation_power", self.correlation_power)
        iterations = check_count("iterations", self.iterations, least=0)
        values, rng = self._begin(X)
        labels = label_rows(y, len(values), name="ITQCCA")
        self.mean_ = values.mean(axis=0)
        centred = values - self.mean_
        directions, correlations = canonical_directions(
            centred, labels - labels.mean(axis=0), ridge=ridge, label_ridge=label_ridge
        )
        kept = min(self.n_bits, int((correlations > 1e-8).sum()))
        if kept == 0:
            raise ValueError("no feature of X varies with the labels y; give features that differ by class")
        self.correlations_ = correlations[:kept]
        self.components_ = directions[:, :kept] * self.correlations_**power
        self.rotation_, self.losses_ = learn_rotation(
            centred @ self.components_, self.n_bits, iterations=iterations, rng=rng
        )

    def _relaxed(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        return (values - self.mean_) @ self.components_ @ self.rotation_


def canonical_directions(
    x: NDArray[np.float64], y: NDArray[np.float64], *, ridge: float, label_ridge: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the canonical directions of centred ``x`` against ``y``, and their correlations, falling.

    With Sxx + r I = L L' and Syy + s I = M M', the singular values of L^-1 Sxy M^-T are the correlations and
    L^-T times its left singular vectors the directions, (n_features, min(n_features, n_classes)).
    """
    n = len(x) - 1
    of_x = cholesky(x.T @ x / n + ridge * np.eye(x.shape[1]), lower=True)
    of_y = cholesky(y.T @ y / n + label_ridge * np.eye(y.shape[1]), lower=True)
    half = solve_triangular(of_x, x.T @ y / n, lower=True)
    whitened = solve_triangular(of_y, half.T, lower=True).T
    left, correlations, _ = svd(whitened, full_matrices=False)
    return solve_triangular(of_x, left, lower=True, trans="T"), correlations
