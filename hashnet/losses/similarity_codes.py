"""Codes whose inner products are the similarities of a training set: the first stage of CNNH.

Xia, Pan, Lai, Liu, Yan, "Supervised hashing for image retrieval via image representation learning",
AAAI 2014.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hashnet.losses.pairs import check_labels

SWEEPS = 5
_HALVINGS = 30

Floats = NDArray[np.float64]


class SimilarityCodes(NamedTuple):
    """Codes ``(n, n_bits)`` float32 in {-1, +1}; losses of their relaxation before and after each sweep.

    The loss is the mean over all pairs of ``(s_ij - <h_i, h_j> / n_bits)^2``, with s_ij = 1 where two items
    share a label or are one, else -1; it never rises.
    """

    codes: NDArray[np.float32]
    losses: tuple[float, ...]


def similarity_codes(
    labels: NDArray[np.uint8], n_bits: int, *, seed: int, sweeps: int = SWEEPS
) -> SimilarityCodes:
    """Factorise S = H H^T / n_bits over H in [-1, 1] by coordinate descent with Newton steps; return sgn H.

    From a uniform random H each sweep visits every entry once, columns and the rows of a column in random
    order, and moves it by ``-g'/g''`` of the loss as a function of it, cut to [-1, 1] (the paper's eq. 6-8).
    Two things differ from one entry at a time. The rows of a block take their steps together: with blocks of
    ``n / (8 n_bits)`` rows what they do to one another is less than their own curvature. And a step that
    would raise the loss, which neither a second-order model nor a block can rule out, is halved until it does
    not.

    Cost: O(n n_bits (n_bits + u)) a sweep and u^2 bytes for u distinct label sets; no n x n matrix is built.
    """
    problem = _Factorisation(check_labels(labels), n_bits, seed=seed)
    losses = [problem.loss()]
    for _ in range(sweeps):
        problem.sweep()
        losses.append(problem.loss())
    return SimilarityCodes(np.where(problem.h > 0, 1, -1).astype(np.float32), tuple(losses))


class _Factorisation:
    """The relaxed H ``(n, n_bits)``, and S by groups of items with the same labels.

    With x the column j of H and w_c = <h_c, x> for the others, the loss as a function of x is, up to a factor
    and a constant, f(x) = <x, x>^2 - 2 q x' S x + 2 sum_c w_c^2, because |H H' - q S|^2 = |x x' - R|^2 with
    R = q S - sum_c h_c h_c'.
    """

    def __init__(self, labels: NDArray[np.uint8], n_bits: int, *, seed: int) -> None:
        rows, inverse = np.unique(labels, axis=0, return_inverse=True)
        floats = rows.astype(np.float32)
        self.q = n_bits
        self.group = inverse.reshape(-1)
        self.similar = np.where(floats @ floats.T > 0, 1, -1).astype(np.int8)
        # An item is similar to itself even if it has no label, as which it is not similar to others like it.
        self.own = 1.0 - np.diagonal(self.similar)[self.group]
        self.rng = np.random.default_rng(seed)
        self.h: Floats = self.rng.uniform(-1, 1, (len(labels), n_bits))
        self.block = max(1, len(labels) // (8 * n_bits))

    def loss(self) -> float:
        """Return the mean over pairs of (s_ij - <h_i, h_j> / q)^2."""
        n, q = self.h.shape
        sums = np.zeros((len(self.similar), q))
        np.add.at(sums, self.group, self.h)
        agreement = float((sums * (self.similar.astype(np.float64) @ sums)).sum())
        agreement += float((self.own[:, None] * self.h**2).sum())
        own = float(np.square(self.h.T @ self.h).sum())
        return (own / q**2 - 2 * agreement / q) / n**2 + 1

    def sweep(self) -> None:
        """Move every entry once."""
        for column in self.rng.permutation(self.q):
            order = self.rng.permutation(len(self.h))
            self._move_column(int(column), order)

    def _move_column(self, column: int, order: NDArray[np.int64]) -> None:
        x = self.h[:, column].copy()
        sums = np.bincount(self.group, weights=x, minlength=len(self.similar))
        inner = self.h.T @ x
        inner[column] = 0
        square = float(x @ x)
        for begin in range(0, len(order), self.block):
            rows = order[begin : begin + self.block]
            groups, old, own = self.group[rows], x[rows], self.own[rows]
            others = self.h[rows]
            others[:, column] = 0
            near = self.similar[groups].astype(np.float64)
            agreement = near @ sums + own * old
            slope = 4 * (square * old - self.q * agreement + others @ inner)
            bend = 4 * (square + 2 * old**2 - self.q + (others**2).sum(axis=1))
            step = _newton(old, slope, bend)
            within = near[:, groups]
            for _ in range(_HALVINGS):
                new_square = square + float(2 * old @ step + step @ step)
                new_inner = inner + others.T @ step
                gain = float(2 * step @ agreement + step @ within @ step + own @ step**2)
                change = new_square**2 - square**2 - 2 * self.q * gain
                change += 2 * float(new_inner @ new_inner - inner @ inner)
                if change <= 0:
                    x[rows] = np.clip(old + step, -1, 1)
                    np.add.at(sums, groups, step)
                    square, inner = new_square, new_inner
                    break
                step = step / 2
        self.h[:, column] = x


def _newton(x: Floats, slope: Floats, bend: Floats) -> Floats:
    """Return the steps to the minimum of each parabola within [-1, 1]; to an end where it opens downward."""
    steps = np.where(bend > 0, -slope / np.where(bend > 0, bend, 1), -np.sign(slope) * 2)
    return np.clip(steps, -1 - x, 1 - x)
