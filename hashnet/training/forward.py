"""Inputs to z: through frozen blocks, in the number format and memory layout asked for, in shares."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hashnet.errors import HashnetError
from hashnet.training.config import TrainConfig
from hashnet.training.inputs import READ_AT_ONCE, Inputs
from hashnet.training.trained_part import TrainedPart
from hashnet.training.world import World, share, share_counts


class Forward:
    """How a training computes z of its inputs."""

    def __init__(self, part: TrainedPart, config: TrainConfig, *, device: torch.device) -> None:
        self._part, self._n_bits, self.device = part, config.n_bits, device
        self._amp = config.amp == "on" or (config.amp == "auto" and device.type == "cuda")
        self._before = None if part.cached else part.before
        self._channels_last = config.channels_last
        if self._channels_last:
            for module in (part.module, part.before):
                if module is not None:
                    # Tensors of other than four dimensions stay as they are.
                    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def enter(self, x: Tensor) -> Tensor:
        """Return what the trained part takes: ``x``, through the blocks before it if need be."""
        if self._channels_last and x.ndim == 4:
            x = x.contiguous(memory_format=torch.channels_last)
        if self._before is None:
            return x
        with torch.no_grad():
            parts = [self._as_float(self._before, rows) for rows in torch.split(x, READ_AT_ONCE)]
            return torch.cat(parts)

    def z(self, module: nn.Module, x: Tensor) -> Tensor:
        """Return z in float32, computed in bfloat16 where that is asked for."""
        return self._as_float(module, x)

    def z_at(self, places: NDArray[np.int64], inputs: Inputs, world: World) -> Tensor:
        """Return z of plain inputs, in evaluation mode, computed in shares and gathered."""
        return self._computed_at(places, inputs, world, lambda x: self.z(self._part.module, x), self._n_bits)

    def features_at(self, places: NDArray[np.int64], inputs: Inputs, world: World, n_features: int) -> Tensor:
        """Return the features of plain inputs, what the head takes, likewise."""
        body = self._part.body
        return self._computed_at(
            places, inputs, world, lambda x: x if body is None else self._as_float(body, x), n_features
        )

    def _computed_at(
        self,
        places: NDArray[np.int64],
        inputs: Inputs,
        world: World,
        compute: Callable[[Tensor], Tensor],
        width: int,
    ) -> Tensor:
        self._part.module.eval()
        mine = share(len(places), rank=world.rank, size=world.size, unit=READ_AT_ONCE)
        with torch.inference_mode():
            parts = [torch.empty((0, width), device=self.device)]
            for begin in range(mine.start, mine.stop, READ_AT_ONCE):
                some = places[begin : min(begin + READ_AT_ONCE, mine.stop)]
                parts.append(compute(self.enter(inputs.batch(some, iteration=None))))
            return world.gather(torch.cat(parts), share_counts(len(places), world, unit=READ_AT_ONCE))

    def _as_float(self, module: nn.Module, x: Tensor) -> Tensor:
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self._amp):
            y: Tensor = module(x)
        return y.float()


def compiled(module: nn.Module) -> nn.Module:
    """Return ``module`` under torch.compile; a step that fails to compile says why."""
    try:
        return _Compiled(torch.compile(module))
    except RuntimeError as error:  # where torch has no compiler at all
        raise _not_compiled(error) from error


class _Compiled(nn.Module):
    """A compiled module whose compiler errors tell what to do."""

    def __init__(self, module: Any) -> None:
        super().__init__()
        self.compiled = module

    def forward(self, x: Tensor) -> Tensor:
        """Return what the module returns."""
        from torch._dynamo.exc import TorchDynamoException

        try:
            z: Tensor = self.compiled(x)
        except TorchDynamoException as error:
            raise _not_compiled(error) from error
        return z


def _not_compiled(error: Exception) -> HashnetError:
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return HashnetError(
        f"compile=true, but torch.compile cannot compile this network here ({first}); it needs a C++ "
        "compiler (g++), on a GPU also Triton; install them, or leave compile out"
    )
