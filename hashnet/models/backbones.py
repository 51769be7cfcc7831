"""Backbones: images to features, on torchvision's networks without their classifiers.

As in the HashNet paper the features are what the last classifier layer would have seen: fc7 for AlexNet
and VGG, the pooled last feature map for the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from hashnet.models.torchvision_compat import torchvision_models


@dataclass(frozen=True)
class BackboneInfo:
    """What is fixed about a backbone: feature length, usual and smallest image side in pixels."""

    n_features: int
    image_size: int
    min_image_size: int


BACKBONE_INFO: dict[str, BackboneInfo] = {
    "alexnet": BackboneInfo(4096, 224, 63),
    "vgg16": BackboneInfo(4096, 224, 32),
    "resnet18": BackboneInfo(512, 224, 32),
    "resnet50": BackboneInfo(2048, 224, 32),
    "mobilenet_v2": BackboneInfo(1280, 224, 32),
    "squeezenet1_0": BackboneInfo(512, 224, 32),
    "small_cnn": BackboneInfo(512, 32, 8),
}
BACKBONES: tuple[str, ...] = tuple(BACKBONE_INFO)


def backbone_info(name: str) -> BackboneInfo:
    """Return the facts of a backbone; ValueError for an unknown name."""
    try:
        return BACKBONE_INFO[name]
    except KeyError:
        raise ValueError(f"backbone must be one of {', '.join(BACKBONES)}, got {name!r}") from None


def build_backbone(name: str, *, same_padding: bool = False) -> nn.Module:
    """Return a backbone that maps float images ``(n, 3, s, s)`` to features ``(n, n_features)``.

    Initial weights come from torch's global generator. Parameter names are torchvision's, so that its
    weight files fit. ``same_padding`` gives MobileNetV2 the padding of TensorFlow, for weights from there.
    """
    backbone_info(name)
    if same_padding and name != "mobilenet_v2":
        raise ValueError(f"same_padding is for mobilenet_v2 only, got backbone {name!r}; leave it off")
    if name == "small_cnn":
        return SmallCNN()
    network: Any = getattr(torchvision_models(), name)(weights=None)
    if name in ("alexnet", "vgg16"):
        network.classifier = network.classifier[:-1]
    elif name in ("resnet18", "resnet50"):
        network.fc = nn.Identity()
    elif name == "mobilenet_v2":
        network.classifier = nn.Identity()
        if same_padding:
            _use_same_padding(network)
    else:
        network.classifier = nn.AdaptiveAvgPool2d(1)
    module: nn.Module = network
    return module


class SmallCNN(nn.Module):
    """Four 3x3 convolutions with batch norm, for images of 8 to 64 px; 512 features."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *_convolution(3, 32),
            *_convolution(32, 64),
            nn.MaxPool2d(2),
            *_convolution(64, 128),
            nn.MaxPool2d(2),
            *_convolution(128, 128),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return features ``(n, 512)``."""
        features: Tensor = self.features(images)
        return features


def _convolution(n_in: int, n_out: int) -> list[nn.Module]:
    return [nn.Conv2d(n_in, n_out, 3, padding=1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU()]


class SamePaddingConv2d(nn.Conv2d):
    """A convolution with TensorFlow's SAME padding: the odd pixel goes to the right and the bottom."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolution of ``x``, of side ceil(side / stride)."""
        sides = zip(x.shape[-2:], self.kernel_size, self.stride, strict=True)
        rows, columns = (max((-(-n // s) - 1) * s + k - n, 0) for n, k, s in sides)
        x = functional.pad(x, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))
        return functional.conv2d(x, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


def _use_same_padding(network: nn.Module) -> None:
    for module in list(network.modules()):
        for name, child in module.named_children():
            if type(child) is nn.Conv2d and child.stride == (2, 2) and child.kernel_size == (3, 3):
                with torch.device(child.weight.device):
                    same = SamePaddingConv2d(
                        child.in_channels,
                        child.out_channels,
                        3,
                        stride=2,
                        groups=child.groups,
                        bias=child.bias is not None,
                    )
                same.load_state_dict(child.state_dict())
                setattr(module, name, same)
