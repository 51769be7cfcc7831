"""Backbone weights: from torchvision, or from a .safetensors or .pth file that is checked key by key."""

from __future__ import annotations

from pathlib import Path
from pickle import UnpicklingError
from urllib.error import URLError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from hashnet.errors import DamagedError, HashnetError
from hashnet.models.torchvision_compat import torchvision_models

_SHOWN = 5


def load_weights(backbone: nn.Module, name: str, weights: Path | str) -> None:
    """Fill a backbone with ``weights``: "torchvision" or a file of torchvision's keys.

    Keys of the classifier that the backbone no longer has are ignored; every other key and shape must
    fit. Half-precision weights become float32.
    """
    state = _from_torchvision(name) if weights == "torchvision" else read_state(Path(weights))
    fit_state(backbone, state, source=f"{name} weights {weights}")


def read_state(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a .safetensors, .pth or .pt file; nothing but tensors is ever unpickled."""
    if not path.is_file():
        raise FileNotFoundError(f"weights file {path} does not exist; give a .safetensors or .pth file")
    if path.suffix == ".safetensors":
        try:
            return dict(load_file(path))
        except (SafetensorError, ValueError) as error:
            raise DamagedError(path, f"not a safetensors file ({error})") from error
    if path.suffix not in (".pth", ".pt"):
        raise ValueError(f"weights must be a .safetensors, .pth or .pt file, got {path}")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, UnpicklingError) as error:
        raise DamagedError(path, f"torch.load(weights_only=True) refuses it ({error})") from error
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise DamagedError(path, "it holds something else than a dict of tensors (a state_dict)")
    return state


def fit_state(module: nn.Module, state: dict[str, Tensor], *, source: str) -> None:
    """Load ``state`` into ``module``; ValueError for a key or shape that does not fit."""
    own = module.state_dict()
    # num_batches_tracked only steers the running average; converted files often lack it.
    missing = [key for key in own if key not in state and not key.endswith("num_batches_tracked")]
    surplus = [key for key in state if key not in own and not key.startswith(("classifier.", "fc."))]
    shapes = [
        f"{key} {tuple(state[key].shape)} instead of {tuple(value.shape)}"
        for key, value in own.items()
        if key in state and state[key].shape != value.shape
    ]
    faults = [
        f"{what}: {', '.join(keys[:_SHOWN])}"
        + (f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else "")
        for what, keys in (("missing", missing), ("not in the network", surplus), ("wrong shape", shapes))
        if keys
    ]
    if faults:
        raise ValueError(
            f"{source} does not fit: {'; '.join(faults)}; "
            "give weights of the same architecture with torchvision's keys"
        )
    chosen = {key: state[key].to(value.dtype) if key in state else value for key, value in own.items()}
    bad = [key for key, value in chosen.items() if not bool(torch.isfinite(value).all())]
    if bad:
        raise ValueError(f"{source} has NaN or infinite values in {', '.join(bad[:_SHOWN])}")
    module.load_state_dict(chosen)


def _from_torchvision(name: str) -> dict[str, Tensor]:
    if name == "small_cnn":
        raise ValueError("small_cnn has no weights in torchvision; train it from scratch with weights=None")
    weights = torchvision_models().get_model_weights(name)["IMAGENET1K_V1"]
    try:
        state: dict[str, Tensor] = weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except (URLError, OSError) as error:
        raise HashnetError(
            f"torchvision's weights of {name} could not be downloaded from {weights.url} ({error}); "
            "connect to the network, or fetch that file elsewhere and pass its path as weights"
        ) from error
    return state
