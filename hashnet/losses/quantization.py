"""Terms that draw relaxed codes to the corners of the cube, shared by methods of several papers."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional


def sgn(z: Tensor) -> Tensor:
    """Return the code of z as -1 and +1, by the rule of packed codes: +1 where z > 0."""
    return torch.where(z > 0, 1.0, -1.0).to(z.dtype)


def bimodal_laplacian(g: Tensor) -> Tensor:
    """Return the mean over items and bits of ``log cosh(|g| - 1)``, a smooth ``||g| - 1|``.

    The negative logarithm of a prior with modes at -1 and +1 (DHN, Zhu et al., AAAI 2016; used by CSQ too);
    its gradient vanishes there.
    """
    away = (g.abs() - 1).abs()
    # log cosh x = |x| + log(1 + exp(-2 |x|)) - log 2, which does not overflow.
    return (away + functional.softplus(-2 * away) - math.log(2)).mean()
