"""The model directory: weights, configuration and metrics of a trained network, and its fingerprint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from hashnet.errors import DamagedError
from hashnet.files import write_atomically
from hashnet.models.card import CARD_FILE, CONFIG_FILE, METRICS_FILE, model_card
from hashnet.models.files import read_json
from hashnet.models.network import HashNetwork, NetworkConfig
from hashnet.models.preprocessing import Preprocessing

WEIGHTS_FILE = "model.safetensors"

_FORMAT = "hashnet-model"
_VERSION = 1


@dataclass(frozen=True)
class Model:
    """A trained network in evaluation mode with everything needed to turn images into its codes."""

    network: HashNetwork
    preprocessing: Preprocessing
    classes: tuple[str, ...]
    seed: int
    fingerprint: str
    metrics: dict[str, Any]

    @property
    def config(self) -> NetworkConfig:
        """The architecture."""
        return self.network.config

    @property
    def n_bits(self) -> int:
        """Length of a code in bits."""
        return self.network.config.n_bits

    def relaxed(self, batch: Tensor, *, names: Sequence[str] | None = None) -> Tensor:
        """Return z ``(n, n_bits)``, before tanh and sign, of preprocessed float32 ``(n, 3, size, size)``.

        Raises ValueError for a wrong shape and for NaN or infinite pixels, naming the image by ``names``
        or by its row.
        """
        self._check(batch, names)
        with torch.inference_mode():
            z: Tensor = self.network(batch)
        return z

    def features(self, batch: Tensor, *, names: Sequence[str] | None = None) -> Tensor:
        """Return the backbone's features ``(n, n_features)`` of a batch as ``relaxed`` takes it."""
        self._check(batch, names)
        with torch.inference_mode():
            return self.network.features(batch)

    def preprocess(self, images: Sequence[Any]) -> NDArray[np.float32]:
        """Return PIL images as one batch ``(n, 3, size, size)``."""
        size = self.preprocessing.size
        if not images:
            return np.empty((0, 3, size, size), dtype=np.float32)
        return np.stack([self.preprocessing(image) for image in images])

    def _check(self, batch: Tensor, names: Sequence[str] | None) -> None:
        size = self.preprocessing.size
        if batch.dtype != torch.float32 or batch.ndim != 4 or batch.shape[1:] != (3, size, size):
            raise ValueError(
                f"a batch must be float32 of shape (n, 3, {size}, {size}), got {batch.dtype} "
                f"{tuple(batch.shape)}; preprocess images with model.preprocessing"
            )
        finite = torch.isfinite(batch).flatten(1).all(dim=1)
        if not bool(finite.all()):
            row = int((~finite).nonzero()[0, 0])
            name = names[row] if names is not None else row
            raise ValueError(f"image {name} has NaN or infinite pixels; pixels must be finite")


def fingerprint(network: HashNetwork, preprocessing: Preprocessing) -> str:
    """Return "sha256:<hex>" over weights, architecture (with n_bits) and preprocessing: the code space."""
    return _fingerprint(network.state_dict(), network.config, preprocessing)


def save_model(
    directory: Path | str,
    network: HashNetwork,
    preprocessing: Preprocessing,
    *,
    classes: Sequence[str],
    seed: int,
    metrics: dict[str, Any],
    overwrite: bool = False,
) -> str:
    """Write a model directory and return its fingerprint; durable on return.

    Beside weights, configuration and metrics lies a model card made from them, README.md, for people only.
    The configuration is written last, so that a directory without it is not a model. An existing model is
    replaced only with ``overwrite``; otherwise FileExistsError.
    """
    directory = Path(directory)
    config_path = directory / CONFIG_FILE
    if config_path.exists() and not overwrite:
        raise FileExistsError(f"{directory} already holds a model; choose another output or overwrite it")
    directory.mkdir(parents=True, exist_ok=True)
    state = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
    mark = _fingerprint(state, network.config, preprocessing)
    config = {
        "format": _FORMAT,
        "version": _VERSION,
        "architecture": network.config.to_json(),
        "n_bits": network.config.n_bits,
        "preprocessing": preprocessing.to_json(),
        "classes": list(classes),
        "seed": seed,
        "fingerprint": mark,
    }
    config_path.unlink(missing_ok=True)
    write_atomically(directory / WEIGHTS_FILE, save_tensors(state))
    write_atomically(directory / METRICS_FILE, _json(metrics))
    write_atomically(directory / CARD_FILE, model_card(config, metrics).encode())
    write_atomically(config_path, _json(config))
    return mark


def load_model(directory: Path | str) -> Model:
    """Return the model of a directory, in evaluation mode on the CPU.

    Raises FileNotFoundError where there is no model, and DamagedError where a file is not what was
    written: the weights are checked against the fingerprint.
    """
    directory = Path(directory)
    config_path, weights_path = directory / CONFIG_FILE, directory / WEIGHTS_FILE
    if not config_path.is_file():
        raise FileNotFoundError(f"{directory} is not a model directory: it has no {CONFIG_FILE}; train one")
    values = read_json(config_path)
    try:
        if values["format"] != _FORMAT or values["version"] != _VERSION:
            raise ValueError(
                f"format {values['format']!r} version {values['version']!r}, "
                f"but {_FORMAT!r} version {_VERSION} is what this hashnet reads"
            )
        config = NetworkConfig.from_json(values["architecture"])
        preprocessing = Preprocessing.from_json(values["preprocessing"])
        classes = tuple(str(name) for name in values["classes"])
        mark, seed = str(values["fingerprint"]), int(values["seed"])
        if values["n_bits"] != config.n_bits:
            raise ValueError(f"n_bits {values['n_bits']} differs from the architecture's {config.n_bits}")
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedError(config_path, f"{type(error).__name__}: {error}") from error
    network = _load_network(weights_path, config)
    found = fingerprint(network, preprocessing)
    if found != mark:
        raise DamagedError(weights_path, f"its fingerprint is {found}, but {CONFIG_FILE} says {mark}")
    metrics_path = directory / METRICS_FILE
    metrics = read_json(metrics_path) if metrics_path.is_file() else {}
    return Model(network, preprocessing, classes, seed, mark, metrics)


def _load_network(path: Path, config: NetworkConfig) -> HashNetwork:
    try:
        state = load_tensors(path.read_bytes())
    except FileNotFoundError:
        raise DamagedError(path, "the file is missing") from None
    except (SafetensorError, ValueError) as error:
        raise DamagedError(path, f"not a safetensors file ({error})") from error
    with torch.device("meta"):
        network = HashNetwork(config)
    own = network.state_dict()
    for key, value in own.items():
        if key not in state or state[key].shape != value.shape or state[key].dtype != value.dtype:
            raise DamagedError(path, f"tensor {key} is missing or not {value.dtype} {tuple(value.shape)}")
    surplus = sorted(set(state) - set(own))
    if surplus:
        raise DamagedError(path, f"tensors {surplus[:5]} do not belong to the architecture")
    network.load_state_dict(state, assign=True)
    return network.eval()


def _fingerprint(state: dict[str, Tensor], config: NetworkConfig, preprocessing: Preprocessing) -> str:
    digest = hashlib.sha256()
    head = {
        "architecture": config.to_json(),
        "n_bits": config.n_bits,
        "preprocessing": preprocessing.to_json(),
    }
    digest.update(json.dumps(head, sort_keys=True, separators=(",", ":")).encode())
    for key in sorted(state):
        value = state[key].detach().cpu().contiguous()
        digest.update(f"\n{key} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.numpy().tobytes())
    return f"sha256:{digest.hexdigest()}"


def _json(values: dict[str, Any]) -> bytes:
    return (json.dumps(values, indent=2) + "\n").encode()
