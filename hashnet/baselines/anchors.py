"""Gaussian kernel features at anchors drawn from the training features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics.pairwise import rbf_kernel

_BLOCK_ROWS = 1024


@dataclass(frozen=True)
class Anchors:
    """Features exp(-|x - a|^2 / (2 s^2)) at ``points`` a ``(n_anchors, n_features)``, s being ``width``."""

    points: NDArray[np.float64]
    width: float

    def features(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the kernel features of ``values`` (n, n_features), float64 ``(n, n_anchors)``."""
        return self.fill(values, np.empty((len(values), len(self.points))))

    def fill(self, values: NDArray[np.float64], out: NDArray[np.float64]) -> NDArray[np.float64]:
        """Write the kernel features of ``values`` to ``out`` (n, n_anchors), and return it."""
        gamma = 1 / (2 * self.width**2)
        for first in range(0, len(values), _BLOCK_ROWS):
            rows = slice(first, first + _BLOCK_ROWS)
            out[rows] = rbf_kernel(values[rows], self.points, gamma=gamma)
        return out

    def mean(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the mean of the features over all ``values``, ``(n_anchors,)``, block by block."""
        total = np.zeros(len(self.points))
        for first in range(0, len(values), _BLOCK_ROWS):
            total += self.features(values[first : first + _BLOCK_ROWS]).sum(axis=0)
        return total / len(values)


def draw_anchors(
    values: NDArray[np.float64], n_anchors: int, *, relative_width: float, rng: np.random.Generator
) -> Anchors:
    """Draw ``n_anchors`` different rows of ``values``, or take all of them where there are not that many.

    The width is ``relative_width`` times the root of the mean squared distance between all ``values`` and the
    anchors, so that it does not depend on the scale of the features. Raises ValueError if that distance is 0.
    """
    chosen = rng.choice(len(values), size=min(n_anchors, len(values)), replace=False)
    points = values[np.sort(chosen)]
    # The mean of |x - a|^2 over all pairs, from means alone, about a common centre against cancellation.
    centre = values.mean(axis=0)
    spread = float(np.mean(np.sum((values - centre) ** 2, axis=1)))
    offset = points - centre
    mean_square = spread + float(np.mean(np.sum(offset**2, axis=1)))
    if mean_square <= 1e-20 * max(1.0, float(centre @ centre)):
        raise ValueError("X must have at least two different rows, all are equal; kernels need some spread")
    return Anchors(points, relative_width * float(np.sqrt(mean_square)))
