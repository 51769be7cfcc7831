"""Supervised discrete hashing: codes from which a linear classifier reads the labels, learned as bits.

Shen, Shen, Liu & Tao Shen, "Supervised discrete hashing", CVPR 2015.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from hashnet.baselines.anchors import draw_anchors
from hashnet.baselines.checks import check_count, check_number, label_rows
from hashnet.baselines.method import SupervisedFeatureHash
from hashnet.baselines.rotation import sign


class SDH(SupervisedFeatureHash):
    """Bits sgn(P' f(x)) of Gaussian kernels at anchors, with the discrete codes B of the training rows.

    Minimises |Y - B W|^2 + lambda |W|^2 + nu (|B - F P|^2 + r |P|^2) over codes B (n, n_bits), classifier W
    and projection P, Y being multi-hot and F the kernels (the paper's objective with its l2 loss; the hinge
    loss is not here). By turns: B bit by bit given the other bits (discrete cyclic coordinate descent), W and
    P by ridge regression. None of the steps raises the objective.

    Published settings: 1,000 anchors, lambda (``weight_decay``) 1, nu (``code_fit``) 1e-5, 5 iterations. From
    the released code: a constant feature beside the anchors, the ridge r of P .01 (``ridge``; the paper has
    none), B starting from random bits, at most 10 passes over the bits. There each pass begins at zeros; here
    it begins at the present codes, as the paper has it, which is what keeps the objective from rising. The
    released code's kernel width, .4, is for features of unit length: here ``width`` is in units of the root
    mean squared distance to the anchors. Where there are fewer rows than ``n_anchors``, all are anchors.
    Memory: 8 (n + n_anchors) n_anchors bytes.

    After ``fit``: ``anchors_``, ``projection_`` (n_anchors + 1, n_bits), ``classifier_`` (n_bits, n_classes),
    ``codes_`` +1 and -1 (n, n_bits) of the training rows, and ``losses_``, the objective at the start and
    after every step B, W, P of every iteration.
    """

    def __init__(
        self,
        n_bits: int = 32,
        *,
        seed: int = 0,
        n_anchors: int = 1000,
        width: float = 1.0,
        weight_decay: float = 1.0,
        code_fit: float = 1e-5,
        ridge: float = 1e-2,
        iterations: int = 5,
        passes: int = 10,
    ) -> None:
        self.n_bits = n_bits
        self.seed = seed
        self.n_anchors = n_anchors
        self.width = width
        self.weight_decay = weight_decay
        self.code_fit = code_fit
        self.ridge = ridge
        self.iterations = iterations
        self.passes = passes

    def _learn(self, X: Any, y: Any) -> None:  # noqa: N803
        n_anchors = check_count("n_anchors", self.n_anchors)
        width = check_number("width", self.width, zero=False)
        decay = check_number("weight_decay", self.weight_decay, zero=False)
        nu = check_number("code_fit", self.code_fit, zero=False)
        ridge = check_number("ridge", self.ridge, zero=False)
        iterations = check_count("iterations", self.iterations)
        passes = check_count("passes", self.passes)
        values, rng = self._begin(X)
        y = label_rows(y, len(values), name="SDH").astype(np.float64)
        self.anchors_ = draw_anchors(values, n_anchors, relative_width=width, rng=rng)
        features = self._features(values)
        gram = features.T @ features
        gram[np.diag_indices_from(gram)] += ridge
        solved = cho_factor(gram, overwrite_a=True)

        def classify(codes: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.linalg.solve(codes.T @ codes + decay * np.eye(self.n_bits), codes.T @ y)

        def project(codes: NDArray[np.float64]) -> NDArray[np.float64]:
            return cho_solve(solved, features.T @ codes)

        def loss() -> float:
            labels_lost = np.sum((y - codes @ w) ** 2) + decay * np.sum(w**2)
            return float(labels_lost + nu * (np.sum((codes - fitted) ** 2) + ridge * np.sum(p**2)))

        codes = sign(rng.standard_normal((len(values), self.n_bits)))
        w, p = classify(codes), project(codes)
        fitted = features @ p
        losses = [loss()]
        for _ in range(iterations):
            improve_codes(codes, y @ w.T + nu * fitted, w @ w.T, passes=passes)
            losses.append(loss())
            w = classify(codes)
            losses.append(loss())
            p = project(codes)
            fitted = features @ p
            losses.append(loss())
        self.projection_, self.classifier_, self.codes_ = p, w, codes.astype(np.int8)
        self.losses_ = tuple(losses)

    def _features(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        features = np.ones((len(values), len(self.anchors_.points) + 1))
        self.anchors_.fill(values, features[:, :-1])
        return features

    def _relaxed(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        return self._features(values) @ self.projection_


def improve_codes(
    codes: NDArray[np.float64], pull: NDArray[np.float64], gram: NDArray[np.float64], *, passes: int
) -> None:
    """Update ``codes`` (n, n_bits) in place by discrete cyclic coordinate descent.

    Minimises tr(B G B') - 2 tr(B Q') with Q = ``pull`` (n, n_bits) and G = ``gram`` W W'. Bit l of all rows,
    given the others, is sgn(q_l - sum over m != l of b_m G_ml), and stays where that is 0. Ends after
    ``passes``, or when one changes no bit.
    """
    for _ in range(passes):
        changed = False
        for bit in range(codes.shape[1]):
            others = gram[:, bit].copy()
            others[bit] = 0.0
            wanted = pull[:, bit] - codes @ others
            flip = wanted * codes[:, bit] < 0
            if flip.any():
                codes[flip, bit] *= -1
                changed = True
        if not changed:
            break
