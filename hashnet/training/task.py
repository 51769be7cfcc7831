"""What a training is asked for: checked and complete before anything is computed, and plain to send on."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashnet.datasets import ImageSet, read_batch
from hashnet.errors import HashnetError, ResumeError
from hashnet.models import load_model
from hashnet.training.checkpoint import check_identity, load_checkpoint
from hashnet.training.config import TrainConfig
from hashnet.training.events import check_tensorboard
from hashnet.training.warm_start import completed_from_model, fingerprint_of_start

CHECKPOINT_DIR = "checkpoint"
STATE_FILE = "state.safetensors"
FEATURES_FILE = "features.safetensors"


@dataclass(frozen=True)
class TrainResult:
    """A finished model directory, the fingerprint of its code space, and what ``metrics.json`` holds."""

    model_dir: Path
    fingerprint: str
    metrics: dict[str, Any]


@dataclass(frozen=True)
class TrainTask:
    """Rows of an image set, complete settings, where to write, and all that the codes depend on."""

    rows: NDArray[np.int64]
    config: TrainConfig
    output: Path
    identity: dict[str, Any]

    @property
    def scratch(self) -> Path:
        """The directory of checkpoints, which goes when the model is written."""
        return self.output / CHECKPOINT_DIR


def prepare(
    images: ImageSet,
    indices: NDArray[np.int64],
    config: TrainConfig | None,
    *,
    output: Path | str,
    resume: bool = False,
    overwrite: bool = False,
) -> TrainTask | TrainResult:
    """Check what ``train`` is asked for and complete the settings; return the result if there is one already.

    Raises what ``train`` raises for wrong arguments; what ``overwrite`` gives up is removed.
    """
    output = Path(output)
    check_tensorboard((config or TrainConfig()).tensorboard)
    rows = _check_indices(images, indices)
    config = completed(images, rows, config or TrainConfig())
    identity = _identity(images, rows, config)
    finished = _look_at(output, identity, resume=resume, overwrite=overwrite)
    return TrainTask(rows, config, output, identity) if finished is None else finished


def completed(images: ImageSet, rows: NDArray[np.int64], config: TrainConfig) -> TrainConfig:
    """Return the settings with which a training on the images at ``rows`` would run."""
    config = completed_from_model(config)
    return config.resolved(image_side=_first_side(images, rows), n_images=len(rows))


def _check_indices(images: ImageSet, indices: NDArray[np.int64]) -> NDArray[np.int64]:
    if images.labels is None:
        raise ValueError(
            f"training needs labels, and image set {images.name!r} has none; "
            "give a folder with a sub-folder for each class, or a list file with labels"
        )
    rows = np.asarray(indices)
    if rows.ndim != 1 or rows.dtype.kind not in "iu" or len(rows) < 2:
        raise ValueError(
            f"indices must be at least two row numbers (n,), got {rows.dtype} of shape {rows.shape}"
        )
    if int(rows.min()) < 0 or int(rows.max()) >= len(images):
        raise ValueError(
            f"indices must be from 0 to {len(images) - 1}, got {int(rows.min())} to {int(rows.max())}"
        )
    if len(np.unique(rows)) != len(rows):
        raise ValueError("indices must be distinct: an image paired with itself would count as similar")
    return rows.astype(np.int64)


def _first_side(images: ImageSet, rows: NDArray[np.int64]) -> int:
    """Return the shorter side of the first image that can be read."""
    for row in rows:
        batch = read_batch(images, [int(row)])
        if batch.images:
            return min(batch.images[0].size)
    raise HashnetError(f"none of the {len(rows)} images can be read; check the paths")


def _identity(images: ImageSet, rows: NDArray[np.int64], config: TrainConfig) -> dict[str, Any]:
    """Return everything the trained codes depend on, as plain JSON values."""
    data = hashlib.sha256(images.identity().encode())
    data.update(rows.tobytes())
    data.update(np.ascontiguousarray(images.labels).tobytes())
    identity = {**config.identity(), "data": f"sha256:{data.hexdigest()}"}
    if config.weights not in (None, "torchvision"):
        path = Path(str(config.weights))
        if not path.is_file():
            raise FileNotFoundError(f"weights file {path} does not exist; give a .safetensors or .pth file")
        with path.open("rb") as file:
            identity["weights_sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
    if config.init_from is not None:
        identity["init_from_fingerprint"] = fingerprint_of_start(config)
    return identity


def _look_at(
    output: Path, identity: Mapping[str, Any], *, resume: bool, overwrite: bool
) -> TrainResult | None:
    """Return the result if the model is already there, and make sure nothing is lost unasked."""
    has_model = (output / "config.json").exists()
    checkpoint = output / CHECKPOINT_DIR
    if resume and checkpoint.exists():
        # Both files are checked here, before anything is computed.
        if (checkpoint / STATE_FILE).exists():
            load_checkpoint(checkpoint / STATE_FILE, identity=identity)
        return None
    if resume and has_model:
        model = load_model(output)
        found = model.metrics.get("training", {}).get("identity")
        if found is None:
            raise ResumeError(f"{output} holds a model without its settings; train into another directory")
        check_identity(found, identity, path=output)
        return TrainResult(output, model.fingerprint, model.metrics)
    if (has_model or checkpoint.exists()) and not (overwrite or resume):
        what = "a model" if has_model else "the checkpoint of an interrupted training"
        raise FileExistsError(
            f"{output} already holds {what}; resume it, choose another output, or overwrite it"
        )
    if checkpoint.exists():
        shutil.rmtree(checkpoint)
    return None
