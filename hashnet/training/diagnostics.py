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
from hashnet.losses import HashNetLoss
from hashnet.models import relaxed

LN2_TOLERANCE = 0.005
_CONSTANT = 0.99


@dataclass(frozen=True)
class StageMetrics:
    """Figures over a fixed sample of the training set, at the end of a stage.

    ``gap`` is mean |tanh(beta z) - sgn z|. ``bit_balance`` is the mean over bits of |mean of the bit in
    {-1, +1}|: 0 is balanced, 1 is constant; ``constant_bits`` counts those above 0.99. ``iteration`` is the
    number of steps done; stage -1 is before the first.
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


def sgn(z: Tensor) -> Tensor:
    """Return the code of z as -1 and +1, by the rule of packed codes: +1 where z > 0."""
    return torch.where(z > 0, 1.0, -1.0).to(z.dtype)


def measure(
    z: Tensor, labels: Tensor, loss: HashNetLoss, *, beta: float, stage: int, iteration: int
) -> StageMetrics:
    """Return the figures of relaxed outputs z ``(n, n_bits)`` of the sample."""
    with torch.inference_mode():
        z = z.float()
        codes, soft = sgn(z), relaxed(z, beta)
        means = codes.mean(dim=0).abs()
        return StageMetrics(
            stage=stage,
            iteration=iteration,
            beta=beta,
            loss_relaxed=float(loss(soft, labels)),
            loss_sgn=float(loss(codes, labels)),
            gap=float((soft - codes).abs().mean()),
            bit_balance=float(means.mean()),
            constant_bits=int((means > _CONSTANT).sum()),
            distinct_codes=len(np.unique(pack(z.cpu().numpy()), axis=0)),
            sample=len(z),
        )


def collapse(metrics: StageMetrics, *, n_bits: int, n_classes: int) -> str | None:
    """Return why these codes count as collapsed, or None."""
    if abs(metrics.loss_relaxed - math.log(2)) < LN2_TOLERANCE:
        return f"the loss sits at ln 2 = 0.693 ({metrics.loss_relaxed:.4f}), as of codes that say nothing"
    # A code for each class is the ideal of single-label data; far fewer is collapse.
    if metrics.distinct_codes < max(2, min(n_classes, metrics.sample) // 4):
        return f"{metrics.distinct_codes} distinct codes among {metrics.sample} images of {n_classes} classes"
    if 2 * metrics.constant_bits > n_bits:
        return f"{metrics.constant_bits} of {n_bits} bits are constant"
    return None


def warn_of_collapse(metrics: StageMetrics, *, n_bits: int, n_classes: int) -> bool:
    """Issue a CollapseWarning if the codes collapsed; return whether they did."""
    reason = collapse(metrics, n_bits=n_bits, n_classes=n_classes)
    if reason is not None:
        warnings.warn(
            f"training collapsed in stage {metrics.stage} (beta {metrics.beta:.3g}): {reason}; "
            "try another learning rate, more iterations, or check the labels",
            CollapseWarning,
            stacklevel=3,
        )
    return reason is not None
