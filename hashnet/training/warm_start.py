"""The network that a training begins with: random, with weights, or that of a trained model."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch

from hashnet.models import HashNetwork, NetworkConfig, build_network, load_model
from hashnet.training.config import TrainConfig


class InitialNetwork(NamedTuple):
    """A network, and whether its head is a trained one."""

    network: HashNetwork
    head_is_trained: bool


def completed_from_model(config: TrainConfig) -> TrainConfig:
    """Return the settings with what the model of ``init_from`` decides, where it is left open.

    ``same_padding`` belongs to its weights and is always taken from there. Raises ValueError if it has
    another backbone, FileNotFoundError if there is no model, DamagedError if it is damaged.
    """
    if config.init_from is None:
        return config
    model = load_model(config.init_from)
    if model.config.backbone != config.backbone:
        raise ValueError(
            f"init_from {config.init_from} has the backbone {model.config.backbone}, got backbone "
            f"{config.backbone}; set it to {model.config.backbone}, or begin at another model"
        )
    hidden = config.hidden
    if hidden is None and model.n_bits == config.n_bits:
        hidden = model.config.hidden
    return replace(
        config,
        same_padding=model.config.same_padding,
        hidden=hidden,
        image_size=model.preprocessing.size if config.image_size is None else config.image_size,
    )


def fingerprint_of_start(config: TrainConfig) -> str | None:
    """Return the fingerprint of the model that the training begins at."""
    return None if config.init_from is None else load_model(config.init_from).fingerprint


def initial_network(config: TrainConfig) -> InitialNetwork:
    """Return the network of complete settings, in evaluation mode on the CPU.

    With ``init_from`` the backbone is that of the model; the head as well where it has as many bits and as
    wide a hidden layer, else it is random.
    """
    generator = torch.Generator().manual_seed(config.seed)
    architecture = NetworkConfig(
        config.backbone, config.n_bits, hidden=config.hidden or 0, same_padding=config.same_padding
    )
    network = build_network(architecture, weights=config.weights, generator=generator)
    head_is_trained = False
    if config.init_from is not None:
        start = load_model(config.init_from).network
        network.backbone.load_state_dict(start.backbone.state_dict())
        head_is_trained = start.config == architecture
        if head_is_trained:
            network.head.load_state_dict(start.head.state_dict())
    network.freeze_norm = bool(config.freeze_norm)
    network.head.dropout.p = config.dropout or 0.0
    return InitialNetwork(network, head_is_trained)
