"""A backbone as a chain of blocks, so that its last ones can be trained on what the others give out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from hashnet.models.backbones import build_backbone

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


def backbone_blocks(name: str, backbone: nn.Module) -> list[nn.Sequential]:
    """Return the blocks of ``backbone``, in order; one after another they compute what it computes.

    A block is a convolution or linear layer, or a residual, inverted residual or fire module, with the
    batch norm, activation and pooling that follow it. The layers are those of the backbone itself, not
    copies.
    """
    blocks: list[list[nn.Module]] = [[]]
    begun = False  # whether the last block has its own parameters yet
    for layer in _layers(name, backbone):
        begins = isinstance(layer, nn.Dropout) or (_has_parameters(layer) and not isinstance(layer, _NORMS))
        # Dropout belongs to what follows it: a block that is not trained must leave nothing out.
        if begins and begun:
            blocks.append([])
            begun = False
        blocks[-1].append(layer)
        begun = begun or _has_parameters(layer)
    if not begun:  # dropout after the last layer
        last = blocks.pop()
        blocks[-1].extend(last)
    return [nn.Sequential(*block) for block in blocks]


def n_blocks(name: str) -> int:
    """Return the number of blocks of a backbone."""
    with torch.device("meta"):
        return len(backbone_blocks(name, build_backbone(name)))


def _has_parameters(layer: nn.Module) -> bool:
    return next(layer.parameters(), None) is not None


def _layers(name: str, backbone: Any) -> Iterator[nn.Module]:
    """Yield the layers in the order in which torchvision's ``forward`` calls them."""
    if name in ("resnet18", "resnet50"):
        yield from (backbone.conv1, backbone.bn1, backbone.relu, backbone.maxpool)
        for stage in (backbone.layer1, backbone.layer2, backbone.layer3, backbone.layer4):
            yield from stage
        yield from (backbone.avgpool, nn.Flatten(1))
        return
    yield from backbone.features
    if name in ("alexnet", "vgg16"):
        yield from (backbone.avgpool, nn.Flatten(1), *backbone.classifier)
    elif name == "mobilenet_v2":
        yield from (nn.AdaptiveAvgPool2d(1), nn.Flatten(1))
    elif name == "squeezenet1_0":
        yield from (backbone.classifier, nn.Flatten(1))
