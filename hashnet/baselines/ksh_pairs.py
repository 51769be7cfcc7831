"""The residue of the pairwise labels that KSH fits bit after bit, without the l x l matrix."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array


class Residue:
    """R = n_bits S - sum of h h' over the bits taken away, for l labelled rows.

    S is +1 where two rows share a label and -1 elsewhere, so it depends on the different label rows only:
    S = P (2 A - 1) P' with the membership P (l, u) of u groups and the sparse A (u, u) of those that share a
    label. A product with R then costs l n_bits and an addition for each entry of A, and no l^2 is stored,
    exactly. A row without a label is -1 to all rows, itself included; a diagonal entry does not move the
    optimum, because h_i^2 = 1.
    """

    def __init__(self, labels: NDArray[np.uint8], n_bits: int) -> None:
        rows, groups = np.unique(labels, axis=0, return_inverse=True)
        self._groups = groups.ravel()
        self._n_groups = len(rows)
        shared = csr_array(rows.astype(np.float64))
        self._alike = ((shared @ shared.T) > 0).astype(np.float64)
        self._taken = np.empty((n_bits, len(labels)))
        self._n_taken = 0
        self._n_bits = n_bits
        self._square = float(n_bits * len(labels)) ** 2

    def times(self, b: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return R b, ``(l,)``."""
        by_group = np.asarray(np.bincount(self._groups, b, self._n_groups), dtype=np.float64)
        taken = self._taken[: self._n_taken]
        product = (self._n_bits * self._labelled(by_group))[self._groups] - taken.T @ (taken @ b)
        return np.asarray(product, dtype=np.float64)

    def quadratic(self, b: NDArray[np.float64]) -> float:
        """Return b' R b."""
        return float(b @ self.times(b))

    def gram(self, k: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return K' R K for ``k`` (l, m), before any bit is taken away."""
        if self._n_taken:
            raise ValueError("gram is for the first bit; subtract (K'h)(K'h)' for each bit taken away")
        by_group = np.zeros((self._n_groups, k.shape[1]))
        np.add.at(by_group, self._groups, k)
        return self._n_bits * (by_group.T @ self._labelled(by_group))

    def take_away(self, h: NDArray[np.float64]) -> None:
        """Subtract h h' for the next bit ``h`` of +1 and -1."""
        # |R - h h'|^2 = |R|^2 - 2 h'Rh + l^2
        self._square += float(len(h)) ** 2 - 2 * self.quadratic(h)
        self._taken[self._n_taken] = h
        self._n_taken += 1

    def _labelled(self, by_group: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (2 A - 1) times ``by_group`` (u,) or (u, m)."""
        return np.asarray(2 * (self._alike @ by_group) - by_group.sum(axis=0))

    def loss(self) -> float:
        """Return |R|^2 / (n_bits l)^2, the mean squared error of the pairwise labels."""
        return self._square / float(self._n_bits * self._taken.shape[1]) ** 2
