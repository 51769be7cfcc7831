"""Binary reconstructive embedding: Hamming distances that reproduce given distances, by coordinate descent.

Kulis & Darrell, "Learning to hash with binary reconstructive embeddings", NIPS 2009.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hashnet.baselines.anchors import draw_anchors
from hashnet.baselines.bre_pairs import Pairs, choose_pairs
from hashnet.baselines.checks import check_count, check_number, label_rows
from hashnet.baselines.method import FeatureHash


class BRE(FeatureHash):
    """Bits sgn(sum over q of W_pq k(x_pq, x)) over anchors x_pq of each bit's own, with exact line searches.

    Over pairs of training rows the sum of (d_ij - Hamming_ij / n_bits)^2 is minimised, one weight W_pq at a
    time: along it every row changes its bit at one threshold, so that the objective is constant between the
    sorted thresholds and the least of these values is the exact minimum. Rows are scaled to unit length. With
    labels d_ij is 0 where two rows share one and else 1; without, d_ij = |f(x_i) - f(x_j)|^2 / 2, which is
    1 - k(x_i, x_j), in the kernel's space.

    Published: 1,000 training rows, linear kernel, 50 anchors a bit, drawn from these rows. Left open by the
    paper and chosen here: the pairs (``n_pairs`` a row, half of them nearest or similar rows, half others;
    None takes all), the end (``sweeps`` over all weights, or a relative gain of ``tolerance`` at most in
    one), Gaussian weights to start from, and ``center``: each kernel's mean over the training rows is
    subtracted, without which features that are all positive start with nearly constant bits. ``kernel``
    "rbf" takes Gaussian kernels of ``width`` times the root mean squared distance. Memory: about
    24 n_train^2 bytes.

    After ``fit``: ``anchors_`` (the training rows), ``kernel_mean_`` (n_train,), ``weights_``
    (n_train, n_bits), 0 outside a bit's anchors, and ``losses_``, the mean squared error over the pairs
    before the first and after each sweep; they never rise.
    """

    def __init__(
        self,
        n_bits: int = 32,
        *,
        seed: int = 0,
        n_train: int = 1000,
        n_anchors: int = 50,
        n_pairs: int | None = 50,
        kernel: Literal["linear", "rbf"] = "linear",
        width: float = 1.0,
        center: bool = True,
        sweeps: int = 10,
        tolerance: float = 1e-3,
    ) -> None:
        self.n_bits = n_bits
        self.seed = seed
        self.n_train = n_train
        self.n_anchors = n_anchors
        self.n_pairs = n_pairs
        self.kernel = kernel
        self.width = width
        self.center = center
        self.sweeps = sweeps
        self.tolerance = tolerance

    def _learn(self, X: Any, y: Any) -> None:  # noqa: N803
        n_train = check_count("n_train", self.n_train, least=2)
        n_anchors = check_count("n_anchors", self.n_anchors)
        n_pairs = None if self.n_pairs is None else check_count("n_pairs", self.n_pairs, least=2)
        width = check_number("width", self.width, zero=False)
        sweeps = check_count("sweeps", self.sweeps, least=0)
        tolerance = check_number("tolerance", self.tolerance)
        if self.kernel not in ("linear", "rbf"):
            raise ValueError(f"kernel must be 'linear' or 'rbf', got {self.kernel!r}")
        values, rng = self._begin(X)
        labels = None if y is None else label_rows(y, len(values), name="BRE")
        chosen = np.sort(rng.choice(len(values), size=min(n_train, len(values)), replace=False))
        rows = _unit(values[chosen])
        if np.ptp(rows, axis=0).max() <= 1e-12:
            raise ValueError(
                "the training rows of X are equal at unit length, so no distances can be kept; give features "
                f"of several directions (X has n_features = {values.shape[1]})"
            )
        self.anchors_ = draw_anchors(rows, len(rows), relative_width=width, rng=rng)
        kernel = self._kernel(rows)
        if labels is None:
            target = np.maximum(1 - kernel, 0)
        else:
            shared = labels[chosen].astype(np.float64)
            target = np.where(shared @ shared.T > 0, 0.0, 1.0)
        pairs = choose_pairs(target, n_pairs, rng=rng)
        self.kernel_mean_ = kernel.mean(axis=0) if self.center else np.zeros(len(rows))
        kernel -= self.kernel_mean_
        self.weights_ = np.zeros((len(rows), self.n_bits))
        size = min(n_anchors, len(rows))
        anchors = [np.sort(rng.choice(len(rows), size=size, replace=False)) for _ in range(self.n_bits)]
        for bit, own in enumerate(anchors):
            self.weights_[own, bit] = rng.standard_normal(size)
        self.losses_ = reconstruct(kernel, anchors, self.weights_, pairs, sweeps=sweeps, tolerance=tolerance)

    def _kernel(self, unit: NDArray[np.float64]) -> NDArray[np.float64]:
        return unit @ self.anchors_.points.T if self.kernel == "linear" else self.anchors_.features(unit)

    def _relaxed(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        return (self._kernel(_unit(values)) - self.kernel_mean_) @ self.weights_


def reconstruct(
    kernel: NDArray[np.float64],
    anchors: list[NDArray[np.int64]],
    weights: NDArray[np.float64],
    pairs: Pairs,
    *,
    sweeps: int,
    tolerance: float,
) -> tuple[float, ...]:
    """Improve ``weights`` (n, n_bits) in place; return the mean squared errors before and after each sweep.

    ``kernel`` is (n, n) and ``anchors[p]`` the rows whose weights of bit p may differ from 0.
    """
    n_bits = weights.shape[1]
    bits = kernel @ weights > 0
    differing = np.sum(bits[pairs.first] != bits[pairs.second], axis=1, dtype=np.int64)

    def loss() -> float:
        return float(np.mean((pairs.target - differing / n_bits) ** 2))

    losses = [loss()]
    for _ in range(sweeps):
        for bit, own in enumerate(anchors):
            columns = np.ascontiguousarray(kernel[:, own].T)
            value = weights[own, bit] @ columns
            on = value > 0
            differing -= on[pairs.first] != on[pairs.second]
            # What it costs that this bit differs: (d - (D + 1) / b)^2 - (d - D / b)^2.
            cost = ((1 + 2 * differing) / n_bits - 2 * pairs.target) / n_bits
            for anchor, column in zip(own, columns, strict=True):
                step = best_step(value, column, pairs, cost)
                if step != 0.0:
                    weights[anchor, bit] += step
                    value = value + step * column
            on = value > 0
            differing += on[pairs.first] != on[pairs.second]
        losses.append(loss())
        if losses[-2] - losses[-1] <= tolerance * losses[-2]:
            break
    return tuple(losses)


def best_step(
    value: NDArray[np.float64],
    column: NDArray[np.float64],
    pairs: Pairs,
    cost: NDArray[np.float64],
) -> float:
    """Return the t for which the bits ``value + t * column > 0`` cost least, 0 if none costs less than now.

    The cost is the sum of ``cost`` over the pairs whose bits differ. From t = -infinity on, row i flips once,
    at -value_i / column_i; a pair's bits change between differing and equal where one of its rows has
    flipped and the other not. O(n log n + n_pairs). Of equal minima the one of least t is taken; intervals
    that rounding could close are passed over.
    """
    moving = np.flatnonzero(column)
    if moving.size == 0:
        return 0.0
    thresholds = -value[moving] / column[moving]
    order = np.argsort(thresholds, kind="stable")
    thresholds = thresholds[order]
    # Rows that never flip come last. One gather a pair and row brings its rank, and as a sign its first bit.
    rank = np.full(len(value), moving.size + 1, dtype=np.int32)
    rank[moving[order]] = np.arange(1, moving.size + 1)
    on_first = np.where(column == 0, value > 0, column < 0)
    signed = np.where(on_first, rank, -rank)
    first, second = signed[pairs.first], signed[pairs.second]
    apart = (first ^ second) < 0
    first, second = np.abs(first), np.abs(second)
    change = np.where(apart == (first < second), -cost, cost)
    jumps = np.bincount(first, change, moving.size + 2)[1:]
    jumps -= np.bincount(second, change, moving.size + 2)[1:]
    total = np.empty(moving.size + 1)  # the cost after 0, 1, ... flips
    total[0] = cost @ apart
    total[1:] = total[0] + np.cumsum(jumps[:-1])
    now = total[np.count_nonzero((value > 0) != on_first)]

    reach = float(np.abs(thresholds).max()) or 1.0
    closed = np.diff(thresholds) <= 1e-10 * reach
    total[1:-1][closed] = np.inf
    best = int(np.argmin(total))
    if not total[best] < now - 1e-12 * float(np.abs(cost).sum()):
        return 0.0
    if best == 0:
        step = thresholds[0] - reach
    elif best == moving.size:
        step = thresholds[-1] + reach
    else:
        step = (thresholds[best - 1] + thresholds[best]) / 2
    return float(step)


def _unit(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rows at unit length, rows of zeros unchanged."""
    norms = np.linalg.norm(values, axis=1, keepdims=True)
    return values / np.where(norms > 0, norms, 1.0)
