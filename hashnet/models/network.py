"""The HashNet network: a backbone, a head, and the relaxed code tanh(beta z)."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hashnet.codes import check_n_bits
from hashnet.models.backbones import backbone_info, build_backbone
from hashnet.models.weights import load_weights

HASH_INIT_STD = 0.01  # Gaussian initialisation of the hash layer in the authors' code


@dataclass(frozen=True)
class NetworkConfig:
    """The architecture: what must be known to build the network that a weight file fits.

    ``hidden`` is the width of one ReLU layer between features and hash layer, 0 for none;
    ``same_padding`` is for MobileNetV2 weights that come from TensorFlow.
    """

    backbone: str
    n_bits: int
    hidden: int = 0
    same_padding: bool = False

    def __post_init__(self) -> None:
        backbone_info(self.backbone)
        check_n_bits(self.n_bits)
        if self.hidden < 0:
            raise ValueError(f"hidden must be >= 0 (0 for no hidden layer), got {self.hidden}")
        if self.same_padding and self.backbone != "mobilenet_v2":
            raise ValueError(
                f"same_padding is for mobilenet_v2 only, got backbone {self.backbone!r}; leave it off"
            )

    @property
    def n_features(self) -> int:
        """Length of the backbone's features."""
        return backbone_info(self.backbone).n_features

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> NetworkConfig:
        """Return what ``to_json`` wrote; ValueError for anything else."""
        wanted = {field.name: field.type for field in fields(cls)}
        if not isinstance(values, dict) or set(values) != set(wanted):
            raise ValueError(f"architecture must have exactly the keys {sorted(wanted)}, got {values}")
        for name, kind in wanted.items():
            if type(values[name]).__name__ != kind:
                raise ValueError(f"architecture {name} must be {kind}, got {values[name]!r}")
        return cls(**values)


class HashHead(nn.Module):
    """Features to z: a fixed affine standardisation, optionally a hidden layer, and the hash layer.

    ``dropout.p`` is the share of the hidden units left out in training; it is set by the trainer and no part
    of the architecture, since it changes nothing in evaluation mode.
    """

    def __init__(self, n_features: int, n_bits: int, *, hidden: int = 0) -> None:
        super().__init__()
        self.shift = nn.Buffer(torch.zeros(n_features))
        self.scale = nn.Buffer(torch.ones(n_features))
        self.dropout = nn.Dropout(0.0)
        self.hidden = nn.Linear(n_features, hidden) if hidden else None
        self.hash_layer = nn.Linear(hidden or n_features, n_bits)
        nn.init.normal_(self.hash_layer.weight, std=HASH_INIT_STD)
        nn.init.zeros_(self.hash_layer.bias)

    def standardize(self, features: Tensor) -> None:
        """Fix the affine so that ``features`` of the training set get mean 0 and standard deviation 1.

        A feature that hardly varies keeps its scale: dividing by its spread would only amplify noise.
        """
        # In float64, without a copy of all features in it.
        parts = torch.split(features, 4096)
        mean = torch.stack([rows.double().sum(dim=0) for rows in parts]).sum(dim=0) / len(features)
        squares = torch.stack([(rows.double() - mean).square().sum(dim=0) for rows in parts]).sum(dim=0)
        spread = (squares / len(features)).sqrt()
        floor = 1e-3 * float(spread.mean()) + 1e-12
        scale = torch.where(spread > floor, 1 / spread.clamp_min(floor), torch.ones_like(spread))
        self.shift.copy_(mean)
        self.scale.copy_(scale)

    def forward(self, features: Tensor) -> Tensor:
        """Return z ``(n, n_bits)``, whose sign is the code."""
        x = (features - self.shift) * self.scale
        if self.hidden is not None:
            x = self.dropout(torch.relu(self.hidden(x)))
        z: Tensor = self.hash_layer(x)
        return z


class HashNetwork(nn.Module):
    """Images ``(n, 3, s, s)`` to z ``(n, n_bits)``; ``features`` and ``hash`` are its two halves.

    With ``freeze_norm`` batch norm stays in evaluation mode while the rest trains, as weights with folded
    batch norm, or small batches, need it.
    """

    def __init__(self, config: NetworkConfig, *, freeze_norm: bool = False) -> None:
        super().__init__()
        self.config = config
        self.freeze_norm = freeze_norm
        self.backbone = build_backbone(config.backbone, same_padding=config.same_padding)
        self.head = HashHead(config.n_features, config.n_bits, hidden=config.hidden)

    def features(self, images: Tensor) -> Tensor:
        """Return the backbone's features ``(n, n_features)``."""
        features: Tensor = self.backbone(images)
        return features

    def hash(self, features: Tensor) -> Tensor:
        """Return z ``(n, n_bits)`` of features."""
        z: Tensor = self.head(features)
        return z

    def forward(self, images: Tensor) -> Tensor:
        """Return z ``(n, n_bits)`` of images."""
        return self.hash(self.features(images))

    def train(self, mode: bool = True) -> HashNetwork:
        """Set training mode, except for batch norm that is frozen."""
        super().train(mode)
        if self.freeze_norm:
            for module in self.backbone.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self


def build_network(
    config: NetworkConfig, *, weights: Path | str | None, generator: torch.Generator
) -> HashNetwork:
    """Return a network in evaluation mode: ``weights`` in the backbone, chance from ``generator`` elsewhere.

    ``weights`` is "torchvision", a .safetensors or .pth file, or None for a random backbone. Torch's global
    generator is left as it was.
    """
    seed = int(torch.randint(2**62, (1,), generator=generator))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = HashNetwork(config)
    if weights is not None:
        load_weights(network.backbone, config.backbone, weights)
    return network.eval()


def relaxed(z: Tensor, beta: float) -> Tensor:
    """Return the relaxed code tanh(beta z), which tends to sgn(z) as beta grows (HashNet, section 3.2)."""
    return torch.tanh(beta * z)
