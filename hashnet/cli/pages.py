"""What the pages of several commands say of a model's training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hashnet.evaluation import Page
from hashnet.evaluation.figures_training import LN2
from hashnet.evaluation.sections import add_stages


def method_of(metrics: Mapping[str, Any]) -> str:
    """Return the title of the method that a model was trained by; ``metrics`` are those of the model."""
    from hashnet.training.methods import METHODS

    name = str(metrics.get("training", {}).get("identity", {}).get("method", "hashnet"))
    return METHODS[name].title if name in METHODS else name


def add_training(page: Page, metrics: Mapping[str, Any]) -> None:
    """Add the loss on relaxed and on sgn codes, and the gap between the two, over the stages of a model."""
    title = method_of(metrics)
    silent = LN2 if title.startswith("HashNet") else None
    add_stages(page, metrics.get("stages", []), title=title, silent=silent)
