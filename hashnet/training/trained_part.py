"""Which part of a network is trained: the head, the last blocks and the head, or all of it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hashnet.models import HashNetwork
from hashnet.models.blocks import backbone_blocks
from hashnet.training.config import TrainConfig

CACHE_LIMIT = 1 << 30
"""Bytes of activations that are computed once and kept; where there are more, every step computes its own."""


class LastBlocks(nn.Module):
    """The last blocks of a backbone and the head: activations of the blocks before them to z."""

    def __init__(self, blocks: list[nn.Sequential], head: nn.Module, *, freeze_norm: bool) -> None:
        super().__init__()
        self.body = nn.Sequential(*blocks)
        self.head = head
        self._freeze_norm = freeze_norm

    def forward(self, x: Tensor) -> Tensor:
        """Return z ``(n, n_bits)``."""
        z: Tensor = self.head(self.body(x))
        return z

    def train(self, mode: bool = True) -> LastBlocks:
        """Set training mode, except for batch norm that is frozen."""
        super().train(mode)
        if self._freeze_norm:
            for module in self.body.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self


@dataclass(frozen=True)
class TrainedPart:
    """What is trained, and what comes before it.

    ``module`` gives z; it is what is optimised, averaged and checkpointed. ``before`` are the blocks that
    stay as they are, None where there are none; ``cached`` says that what they give out is computed once.
    ``body`` is the trained part of the backbone, between ``before`` and the head. ``standardizes`` says that
    the head begins with features of the training set scaled to mean 0 and deviation 1.
    """

    module: nn.Module
    before: nn.Module | None
    body: nn.Module | None
    cached: bool
    standardizes: bool


def trained_part(network: HashNetwork, config: TrainConfig, *, n_images: int) -> TrainedPart:
    """Return what of ``network`` these settings train on ``n_images`` images; the rest is frozen."""
    if config.freeze_backbone:
        return TrainedPart(network.head, _frozen(network.backbone), None, cached=True, standardizes=True)
    if config.train_last_blocks is None:
        return TrainedPart(network, None, network.backbone, cached=False, standardizes=False)
    blocks = backbone_blocks(config.backbone, network.backbone)
    first, last = blocks[: -config.train_last_blocks], blocks[-config.train_last_blocks :]
    module = LastBlocks(last, network.head, freeze_norm=network.freeze_norm)
    before = _frozen(nn.Sequential(*first))
    plain = config.augment == "none" and bool(first)
    cached = plain and n_images * _bytes_of(before, config.image_size or 0) <= CACHE_LIMIT
    # With batch norm in training mode the features are others than those that could be measured.
    return TrainedPart(module, before, module.body, cached=cached, standardizes=network.freeze_norm)


def _frozen(module: nn.Module) -> nn.Module:
    return module.eval().requires_grad_(False)


def _bytes_of(module: nn.Module, size: int) -> int:
    """Return the bytes that the output of ``module`` takes for one image."""
    device = next(module.parameters()).device
    with torch.inference_mode():
        output: Tensor = module(torch.zeros((1, 3, size, size), device=device))
    return output.numel() * output.element_size()
