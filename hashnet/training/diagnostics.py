"""What each stage of a training reached, and the warning when it learns nothing."""

from __future__ import annotations

import math
import warnings
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hashnet.codes import pack
from hashnet.errors import CollapseWarning
from hashnet.losses import Objective
from hashnet.losses.quantization import sgn

SILENT_TOLERANCE = 0.005
_CONSTANT = 0.99
_SATURATED = 0.999


@dataclass(frozen=True)
class StageMetrics:
    """Figures over a fixed sample of the training set, at the end of a stage.

    ``gap`` is mean |g - sgn g|, with g = tanh(beta z) in HashNet. ``bit_balance`` is the mean over bits of
    |mean of the bit in {-1, +1}|: 0 is balanced, 1 is constant; ``constant_bits`` counts those above 0.99.
    ``iteration`` is the number of steps done; stage -1 is before the first.
    """

    stage: int
    iteration: int
    beta: float
    loss_relaxed: float
    loss_sgn: float
    gap: float
    bit_balance: float
    constant_bits: int
    distinct_codes: int
    sample: int

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class Saturation:
    """How far relaxed codes g are from sgn codes, over ``n`` items.

    ``gap`` is mean |g - sgn z|, ``unsaturated`` the share of bits with |g| < 0.999, and
    ``differing_codes`` counts the items whose packed relaxed code is not that of z.
    """

    n: int
    beta: float
    gap: float
    unsaturated: float
    differing_codes: int

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


def saturation(z: Tensor, objective: Objective, *, beta: float) -> Saturation:
    """Return how far g = ``objective.relax(z, beta)`` of outputs z ``(n, n_bits)`` is from sgn codes."""
    with torch.inference_mode():
        z = z.float()
        g = objective.relax(z, beta)
        differ = (pack(g.cpu().numpy()) != pack(z.cpu().numpy())).any(axis=1)
        return Saturation(
            n=len(z),
            beta=beta,
            gap=float((g - sgn(z)).abs().double().mean()),
            unsaturated=float((g.abs() < _SATURATED).double().mean()),
            differing_codes=int(differ.sum()),
        )


def measure(
    z: Tensor,
    labels: Tensor,
    places: Tensor,
    objective: Objective,
    *,
    beta: float,
    stage: int,
    iteration: int,
) -> StageMetrics:
    """Return the figures of outputs z ``(n, n_bits)`` of the sample, which has rows ``places``."""
    with torch.inference_mode():
        soft = objective.relax(z.float(), beta)
        codes = sgn(soft)
        means = codes.mean(dim=0).abs()
        return StageMetrics(
            stage=stage,
            iteration=iteration,
            beta=beta,
            loss_relaxed=float(objective.loss(soft, labels, places)),
            loss_sgn=float(objective.loss(codes, labels, places)),
            gap=float((soft - codes).abs().mean()),
            bit_balance=float(means.mean()),
            constant_bits=int((means > _CONSTANT).sum()),
            distinct_codes=len(np.unique(pack(codes.cpu().numpy()), axis=0)),
            sample=len(z),
        )


def collapse(metrics: StageMetrics, *, n_bits: int, n_classes: int, silent_loss: float | None) -> str | None:
    """Return why these codes count as collapsed, or None; ``silent_loss`` as in ``Objective``."""
    if silent_loss is not None and abs(metrics.loss_relaxed - silent_loss) < SILENT_TOLERANCE:
        name = "ln 2 = 0.693" if silent_loss == math.log(2) else f"{silent_loss:.3f}"
        return f"the loss sits at {name} ({metrics.loss_relaxed:.4f}), as of codes that say nothing"
    # A code for each class is the ideal of single-label data; far fewer is collapse.
    if metrics.distinct_codes < max(2, min(n_classes, metrics.sample) // 4):
        return f"{metrics.distinct_codes} distinct codes among {metrics.sample} images of {n_classes} classes"
    if 2 * metrics.constant_bits > n_bits:
        return f"{metrics.constant_bits} of {n_bits} bits are constant"
    return None


def warn_of_collapse(
    metrics: StageMetrics, *, n_bits: int, n_classes: int, silent_loss: float | None
) -> bool:
    """Issue a CollapseWarning if the codes collapsed; return whether they did."""
    reason = collapse(metrics, n_bits=n_bits, n_classes=n_classes, silent_loss=silent_loss)
    if reason is not None:
        warnings.warn(
            f"training collapsed in stage {metrics.stage} (beta {metrics.beta:.3g}): {reason}; "
            "try another learning rate, more iterations, or check the labels",
            CollapseWarning,
            stacklevel=3,
        )
    return reason is not None
