"""Spectral hashing: analytic eigenfunctions of the Laplacian on a box along the principal axes.

Weiss, Torralba & Fergus, "Spectral hashing", NIPS 2008.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashnet.baselines.method import FeatureHash
from hashnet.baselines.pca import main_directions


class SH(FeatureHash):
    """Unsupervised codes: the signs of the ``n_bits`` smoothest one-dimensional eigenfunctions.

    The features are taken for uniform on the box [a, b] along each principal axis (a and b are the least and
    the greatest training value). There the Laplacian has the eigenfunctions
    sin(pi/2 + k pi (x - a) / (b - a)), k = 1, 2, ..., with eigenvalues 1 - exp(-e^2/2 (k pi / (b - a))^2);
    these grow with k / (b - a) whatever e is, so the modes of smallest k / (b - a) over all axes are taken,
    ties by smaller k, then by greater variance. Products of several axes are left out, as the paper has it.
    An axis gives any number of modes, so n_bits has no limit; a feature outside the box goes on with the same
    wave. Deterministic: ``seed`` is there for the common interface and changes nothing.

    After ``fit``: ``mean_`` (n_features,), ``components_`` (n_features, n_axes), n_axes at most n_bits;
    ``lower_`` and ``width_`` (n_axes,), the boxes; for each bit ``axes_`` and ``modes_`` k, int
    (n_bits,), and ``frequencies_`` k pi / (b - a), rising.
    """

    def __init__(self, n_bits: int = 32, *, seed: int = 0) -> None:
        self.n_bits = n_bits
        self.seed = seed

    def _learn(self, X: Any, y: Any) -> None:  # noqa: N803
        values, _ = self._begin(X)
        mean, components = main_directions(values, min(self.n_bits, *values.shape))
        projected = (values - mean) @ components
        lower = projected.min(axis=0)
        width = projected.max(axis=0) - lower
        # What rounding leaves on an axis without any spread is no box; equal rows were refused before.
        real = width > 1e-10 * width.max()
        self.mean_, self.components_ = mean, components[:, real]
        self.lower_, self.width_ = lower[real], width[real]
        self.axes_, self.modes_ = smoothest_modes(self.width_, self.n_bits)
        self.frequencies_ = np.pi * self.modes_ / self.width_[self.axes_]

    def _relaxed(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        inside = (values - self.mean_) @ self.components_ - self.lower_
        return np.sin(np.pi / 2 + inside[:, self.axes_] * self.frequencies_)


def smoothest_modes(width: NDArray[np.float64], n_modes: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return axis and mode number k >= 1 of the ``n_modes`` smallest k / width, ties by k, then by axis."""
    # Modes above n_modes cannot be chosen: the same axis has n_modes smoother ones.
    modes = np.repeat(np.arange(1, n_modes + 1), len(width))
    axes = np.tile(np.arange(len(width)), n_modes)
    chosen = np.lexsort((axes, modes, modes / width[axes]))[:n_modes]
    return axes[chosen].astype(np.int64), modes[chosen].astype(np.int64)
