"""An exponential moving average of the weights over the steps of a training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """Keeps ``average = d average + (1 - d) weights`` for each parameter; buffers are the latest ones.

    In step t, from 1, d is the smaller of ``decay`` and (1 + t) / (10 + t), so that the random weights of the
    start are soon forgotten. A decay of 0 averages nothing and costs nothing.
    """

    def __init__(self, module: nn.Module, *, decay: float) -> None:
        self._module, self._decay = module, decay
        self._average = {
            name: parameter.detach().clone() for name, parameter in module.named_parameters() if decay
        }

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after ``step`` steps."""
        if not self._decay:
            return
        decay = min(self._decay, (1 + step) / (10 + step))
        for name, parameter in self._module.named_parameters():
            self._average[name].lerp_(parameter, 1 - decay)

    def state(self) -> dict[str, Tensor]:
        """Return the averages by name, for a checkpoint."""
        return self._average

    @torch.no_grad()
    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take the averages of a checkpoint."""
        for name, average in self._average.items():
            average.copy_(state[name])

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Have the module use the averages, and afterwards its own weights again, to the bit."""
        own = {name: value.detach().clone() for name, value in self._parameters()}
        self.apply()
        try:
            yield
        finally:
            with torch.no_grad():
                for name, parameter in self._parameters():
                    parameter.copy_(own[name])

    @torch.no_grad()
    def apply(self) -> None:
        """Put the averages into the module for good."""
        for name, parameter in self._parameters():
            parameter.copy_(self._average[name])

    def _parameters(self) -> list[tuple[str, nn.Parameter]]:
        return list(self._module.named_parameters()) if self._decay else []
