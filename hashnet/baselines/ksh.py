"""Supervised hashing with kernels: bit after bit, the code inner products approach the similarities.

Liu, Wang, Ji, Jiang & Chang, "Supervised hashing with kernels", CVPR 2012.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from hashnet.baselines.anchors import draw_anchors
from hashnet.baselines.checks import check_count, check_number, label_rows
from hashnet.baselines.ksh_pairs import Residue
from hashnet.baselines.method import SupervisedFeatureHash
from hashnet.baselines.rotation import sign


class KSH(SupervisedFeatureHash):
    """Bits sgn(a' k(x)) of centred Gaussian kernels at anchors, learned greedily from labelled rows.

    l rows of the training set, ``n_labeled``, have pairwise labels S, +1 where two rows share a label and
    -1 elsewhere; the codes H (l, n_bits) are to bring |H H' / n_bits - S|^2 to its minimum. Greedily, the
    next bit h = sgn(K a) maximises h' R h with the residue R = n_bits S - sum of the earlier h h': relaxed to
    K a it is an eigenproblem ("spectral relaxation"), from whose solution Nesterov's accelerated gradient
    goes on with sgn smoothed to phi(x) = 2 / (1 + exp(-x)) - 1 ("sigmoid smoothing"). Of both answers the one
    with the greater h' R h is kept, as in the released code.

    Published settings: 300 anchors, sigma^2 the mean squared distance to the anchors (``width`` 1, in units
    of its root), 500 steps at most, stopped when h' R h / l changes by ``tolerance`` .01 at most, and the
    2,000 labelled rows of the released code. Where there are fewer rows than ``n_anchors`` or ``n_labeled``,
    all are taken. Memory: 8 n_labeled n_anchors bytes, and 12 for each two different
    label rows among these that share a label.

    After ``fit``: ``anchors_``, ``kernel_mean_`` (n_anchors,), ``projection_`` (n_anchors, n_bits), and
    ``losses_``, |sum h h' / n_bits - S|^2 / l^2 before the first and after each bit.
    """

    def __init__(
        self,
        n_bits: int = 32,
        *,
        seed: int = 0,
        n_anchors: int = 300,
        n_labeled: int = 2000,
        width: float = 1.0,
        iterations: int = 500,
        tolerance: float = 1e-2,
    ) -> None:
        self.n_bits = n_bits
        self.seed = seed
        self.n_anchors = n_anchors
        self.n_labeled = n_labeled
        self.width = width
        self.iterations = iterations
        self.tolerance = tolerance

    def _learn(self, X: Any, y: Any) -> None:  # noqa: N803
        n_anchors = check_count("n_anchors", self.n_anchors)
        n_labeled = check_count("n_labeled", self.n_labeled, least=2)
        width = check_number("width", self.width, zero=False)
        iterations = check_count("iterations", self.iterations, least=0)
        tolerance = check_number("tolerance", self.tolerance)
        values, rng = self._begin(X)
        labels = label_rows(y, len(values), name="KSH")
        self.anchors_ = draw_anchors(values, n_anchors, relative_width=width, rng=rng)
        self.kernel_mean_ = self.anchors_.mean(values)
        chosen = np.sort(rng.choice(len(values), size=min(n_labeled, len(values)), replace=False))
        kernel = self.anchors_.features(values[chosen]) - self.kernel_mean_
        residue = Residue(labels[chosen], self.n_bits)

        whitening = whiten(kernel)
        white = kernel @ whitening
        gram = residue.gram(white)
        projection, losses = np.empty((kernel.shape[1], self.n_bits)), [residue.loss()]
        for bit in range(self.n_bits):
            # max a' K' R K a at a' K' K a = l: an eigenvector, because the columns of white are orthonormal.
            top = eigh(gram, subset_by_index=(len(gram) - 1,) * 2)[1][:, 0] * np.sqrt(len(kernel))
            start = whitening @ _positive(top)
            end = descend(kernel, residue, start, iterations=iterations, tolerance=tolerance)
            first, last = sign(kernel @ start), sign(kernel @ end)
            better = residue.quadratic(last) > residue.quadratic(first)
            projection[:, bit], h = (end, last) if better else (start, first)
            residue.take_away(h)
            image = white.T @ h
            gram -= np.outer(image, image)
            losses.append(residue.loss())
        self.projection_, self.losses_ = projection, tuple(losses)

    def _relaxed(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        return (self.anchors_.features(values) - self.kernel_mean_) @ self.projection_


def whiten(kernel: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return T ``(n_anchors, rank)`` for which (K T)'(K T) = I, over the directions that K has."""
    values, vectors = np.linalg.eigh(kernel.T @ kernel)
    kept = values > values[-1] * len(values) * np.finfo(np.float64).eps
    if values[-1] <= 0 or not kept.any():
        raise ValueError("the labelled rows of X do not differ in any kernel; give more of them, or others")
    return vectors[:, kept] / np.sqrt(values[kept])


def smoothed(residue: Residue, image: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    """Return the cost -b' R b of b = phi(image), and its gradient with respect to ``image`` (l,).

    phi(x) = 2 / (1 + exp(-x)) - 1 = tanh(x / 2); the gradient is -(R b) * (1 - b * b), and K' times it is
    that with respect to a, where image = K a.
    """
    b = np.tanh(image / 2)
    product = residue.times(b)
    return -float(b @ product), -product * (1 - b**2)


def descend(
    kernel: NDArray[np.float64],
    residue: Residue,
    start: NDArray[np.float64],
    *,
    iterations: int,
    tolerance: float,
) -> NDArray[np.float64]:
    """Return the projection a that accelerated descent on the smoothed cost of K a reaches from ``start``.

    The step is halved until the quadratic bound at the probe point holds; it ends when it never does, after
    ``iterations`` steps, or when the cost a row changes by at most ``tolerance``. Points go along with their
    images under K, which are as linear as they are, so that a step takes two products with K however often
    it is halved.
    """
    now = before = start
    now_image = before_image = kernel @ start
    cost = smoothed(residue, now_image)[0]
    step, last_momentum, momentum = 1.0, 1.0, 1.0
    for _ in range(iterations):
        ahead = (last_momentum - 1) / momentum
        probe = now + ahead * (now - before)
        probe_image = now_image + ahead * (now_image - before_image)
        value, outer = smoothed(residue, probe_image)
        gradient = outer @ kernel
        gradient_image = kernel @ gradient
        slope = float(gradient @ gradient)
        for _ in range(51):
            image = probe_image - step * gradient_image
            reached = smoothed(residue, image)[0]
            if reached <= value - step * slope / 2:
                break
            step /= 2
        else:
            break
        before, now = now, probe - step * gradient
        before_image, now_image = now_image, image
        last_momentum, momentum = momentum, (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        change, cost = abs(reached - cost), reached
        if change / len(kernel) <= tolerance:
            break
    return now


def _positive(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``vector`` with its largest entry positive: an eigenvector's sign is arbitrary."""
    return vector if vector[np.argmax(np.abs(vector))] > 0 else -vector
