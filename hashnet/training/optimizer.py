"""The optimizer of a training: groups of parameters with rates of their own, and the rate of each step."""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from torch import nn

from hashnet.training.config import TrainConfig
from hashnet.training.schedule import lr_factor, stage_of

T = TypeVar("T")


class Rates:
    """Sets the learning rate of every group for each iteration."""

    def __init__(self, optimizer: torch.optim.Optimizer, rates: list[float], config: TrainConfig) -> None:
        self._optimizer, self._rates, self._config = optimizer, rates, config
        self._of_stage = config.stage_lr_factors or (1.0,) * config.stages

    def set_for(self, iteration: int) -> float:
        """Set the rates and return that of the head."""
        config, iterations = self._config, given(self._config.iterations)
        factor = lr_factor(iteration, iterations=iterations, decay=config.lr_decay)
        factor *= self._of_stage[stage_of(iteration, iterations=iterations, stages=config.stages)]
        for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * factor
        return self._rates[0] * factor


def build_optimizer(
    head: nn.Module, body: nn.Module | None, objective: nn.Module, config: TrainConfig
) -> tuple[torch.optim.Optimizer, Rates]:
    """Return an optimizer of head, trained part of the backbone, and objective, and what sets its rates."""
    lr, decay = given(config.lr), given(config.weight_decay)
    groups: list[dict[str, Any]] = [{"params": list(head.parameters())}]
    rates = [lr]
    if body is not None:
        groups.append({"params": list(body.parameters())})
        rates.append(lr * given(config.backbone_lr_factor))
    if own := list(objective.parameters()):
        groups.append({"params": own})
        rates.append(lr)
    optimizer: torch.optim.Optimizer
    if config.optimizer == "sgd":
        optimizer = torch.optim.SGD(groups, lr=lr, momentum=0.9, weight_decay=decay)
    else:
        optimizer = torch.optim.AdamW(groups, lr=lr, weight_decay=decay)
    return optimizer, Rates(optimizer, rates, config)


def given(value: T | None) -> T:
    """Return a setting that ``TrainConfig.resolved`` has filled."""
    if value is None:
        raise ValueError("a setting was left open; use TrainConfig.resolved")
    return value
