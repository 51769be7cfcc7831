"""Checkpoints of a training run: one safetensors file, replaced atomically, from which it goes on exactly."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from hashnet.errors import DamagedError, ResumeError
from hashnet.files import replacing, sync_directory

_FORMAT = "hashnet-checkpoint-1"


@dataclass(frozen=True)
class Checkpoint:
    """State after ``iteration`` steps: tensors by name, and plain JSON values.

    The sampler has no state of its own: its batches follow from seed and iteration.
    """

    iteration: int
    tensors: dict[str, Tensor]
    values: dict[str, Any]

    def group(self, name: str) -> dict[str, Tensor]:
        """Return the tensors of a group that ``save_checkpoint`` was given, by their own names."""
        return _part(self.tensors, f"{name}.")


def save_tensors(path: Path, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
    """Replace ``path`` by tensors and JSON values, durable on return; a kill leaves old or new."""
    plain: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        value = tensor.detach().cpu().contiguous()
        # Tied or sliced tensors share memory, which safetensors refuses.
        shares = value.untyped_storage().nbytes() != value.numel() * value.element_size()
        known = any(value.data_ptr() == other.data_ptr() for other in plain.values())
        plain[name] = value.clone() if shares or known else value
    text = json.dumps(dict(values), sort_keys=True)
    metadata = {"format": _FORMAT, "values": text, "sha256": _digest(plain, text)}
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        save_file(plain, temporary, metadata=metadata)
    sync_directory(path.parent)


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return what ``save_tensors`` wrote; DamagedError if the file is not that, to the bit."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except (SafetensorError, ValueError, OSError) as error:
        if not path.is_file():
            raise FileNotFoundError(f"checkpoint {path} does not exist") from error
        raise DamagedError(path, f"not a safetensors file ({error})") from error
    text = metadata.get("values", "")
    if metadata.get("format") != _FORMAT or metadata.get("sha256") != _digest(tensors, text):
        raise DamagedError(path, "its checksum or format does not fit; delete it to start afresh")
    values: dict[str, Any] = json.loads(text)
    return tensors, values


def save_checkpoint(
    path: Path,
    *,
    iteration: int,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    identity: Mapping[str, Any],
    history: list[dict[str, Any]],
    groups: Mapping[str, Mapping[str, Tensor]] | None = None,
) -> None:
    """Write the state after ``iteration`` steps: model, optimizer and the states of torch's generators.

    ``groups`` are further tensors, by the name of their group; their names must not begin as those of others.
    """
    further = {f"{group}.{name}": value for group, of in (groups or {}).items() for name, value in of.items()}
    tensors = further | {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    state = optimizer.state_dict()
    scalars: dict[str, Any] = {}
    for parameter, entries in state["state"].items():
        for name, value in entries.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer.{parameter}.{name}"] = value
            else:
                scalars[f"{parameter}.{name}"] = value
    tensors["rng.cpu"] = torch.random.get_rng_state()
    if torch.cuda.is_available():
        tensors["rng.cuda"] = torch.cuda.get_rng_state()
    save_tensors(
        path,
        tensors,
        {
            "iteration": iteration,
            "identity": dict(identity),
            "history": history,
            "optimizer_groups": state["param_groups"],
            "optimizer_scalars": scalars,
        },
    )


def load_checkpoint(path: Path, *, identity: Mapping[str, Any]) -> Checkpoint:
    """Return a checkpoint of a run with the same ``identity``, else raise ResumeError."""
    tensors, values = load_tensors(path)
    check_identity(values["identity"], identity, path=path)
    return Checkpoint(int(values["iteration"]), tensors, values)


def check_identity(found: Mapping[str, Any], wanted: Mapping[str, Any], *, path: Path) -> None:
    """Raise ResumeError unless a run at ``path`` was started with the settings and data of this one."""
    # Through JSON, as the stored one went: tuples and lists are one there.
    wanted = json.loads(json.dumps(dict(wanted)))
    differing = [
        f"{name} was {found.get(name)!r}, is {wanted.get(name)!r}"
        for name in sorted({*found, *wanted})
        if found.get(name) != wanted.get(name)
    ]
    if differing:
        raise ResumeError(
            f"{path} belongs to another run: {'; '.join(differing)}; resume with the same settings and data, "
            "or train into another directory"
        )


def restore(checkpoint: Checkpoint, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Put model, optimizer and torch's generators into the state of the checkpoint."""
    model.load_state_dict(_part(checkpoint.tensors, "model."))
    state: dict[int, dict[str, Any]] = {}
    for name, tensor in _part(checkpoint.tensors, "optimizer.").items():
        parameter, entry = name.split(".", 1)
        state.setdefault(int(parameter), {})[entry] = tensor
    for name, value in checkpoint.values["optimizer_scalars"].items():
        parameter, entry = name.split(".", 1)
        state.setdefault(int(parameter), {})[entry] = value
    optimizer.load_state_dict({"state": state, "param_groups": checkpoint.values["optimizer_groups"]})
    torch.random.set_rng_state(checkpoint.tensors["rng.cpu"])
    if torch.cuda.is_available() and "rng.cuda" in checkpoint.tensors:
        torch.cuda.set_rng_state(checkpoint.tensors["rng.cuda"])


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _digest(tensors: Mapping[str, Tensor], text: str) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(f"\n{name} {value.dtype} {tuple(value.shape)}\n".encode())
        array = value.numpy()
        # Not copied: features may take a gigabyte.
        digest.update(array.reshape(-1).view(np.uint8).data if array.size else b"")
    return digest.hexdigest()
