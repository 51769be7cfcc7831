"""Continuation: how beta grows stage by stage until tanh(beta z) is sgn(z), and the learning rate with it."""

from __future__ import annotations

import math
from typing import Literal


def betas(stages: int, *, beta_max: float, beta_final: float) -> tuple[float, ...]:
    """Return beta of each stage: from 1 geometrically to ``beta_max``, and ``beta_final`` in the last.

    HashNet, section 3.2, lets beta grow to infinity. The last stage stands for that end: its beta is so
    large that tanh is sgn but for z next to 0. One stage alone has beta 1, which is HashNet-sgn.
    """
    if stages < 1:
        raise ValueError(f"stages must be >= 1, got {stages}")
    if not 1 <= beta_max <= beta_final:
        raise ValueError(f"beta must grow: 1 <= beta_max <= beta_final, got {beta_max} and {beta_final}")
    if stages == 1:
        return (1.0,)
    growing = stages - 1
    return (1.0, *(beta_max ** (stage / (growing - 1)) for stage in range(1, growing)), beta_final)


def stage_of(iteration: int, *, iterations: int, stages: int) -> int:
    """Return the stage of an iteration; the stages are equally long, to one iteration."""
    return iteration * stages // iterations


def lr_factor(iteration: int, *, iterations: int, decay: Literal["cosine", "none"]) -> float:
    """Return the learning rate as a share of the first one."""
    return 0.5 * (1 + math.cos(math.pi * iteration / iterations)) if decay == "cosine" else 1.0
