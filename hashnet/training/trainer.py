"""The trainer: stage by stage from relaxed codes to binary ones, resumable at every checkpoint."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hashnet.datasets import ImageSet, read_batch
from hashnet.errors import HashnetError, ResumeError
from hashnet.losses import HashNetLoss, pair_weights
from hashnet.models import (
    HashNetwork,
    NetworkConfig,
    Preprocessing,
    build_network,
    load_model,
    relaxed,
    save_model,
)
from hashnet.progress import NO_PROGRESS, Progress
from hashnet.training.checkpoint import check_identity, load_checkpoint, restore, save_checkpoint
from hashnet.training.config import TrainConfig
from hashnet.training.diagnostics import StageMetrics, measure, warn_of_collapse
from hashnet.training.features import extract_features, load_features, save_features
from hashnet.training.inputs import Inputs, load_pixels
from hashnet.training.sampler import BatchSampler
from hashnet.training.schedule import betas, lr_factor, stage_of

T = TypeVar("T")

CHECKPOINT_DIR = "checkpoint"

_STATE_FILE = "state.safetensors"
_FEATURES_FILE = "features.safetensors"
_LOOK_EVERY = 10  # iterations between two looks at the loss, each of which waits for the device


@dataclass(frozen=True)
class TrainResult:
    """A finished model directory, the fingerprint of its code space, and what ``metrics.json`` holds."""

    model_dir: Path
    fingerprint: str
    metrics: dict[str, Any]


def train(
    images: ImageSet,
    indices: NDArray[np.int64],
    config: TrainConfig | None = None,
    *,
    output: Path | str,
    progress: Progress = NO_PROGRESS,
    resume: bool = False,
    overwrite: bool = False,
) -> TrainResult:
    """Train on the images at ``indices`` and write a model directory.

    While it runs, ``output/checkpoint`` holds the state of the last ``checkpoint_every`` iterations; after
    an interruption of any kind ``resume=True`` goes on from there, and on one CPU ends at the same codes.
    It raises ResumeError where settings or data differ, and starts afresh where there is no checkpoint.
    Without ``resume`` an output that holds a model or a checkpoint is refused (FileExistsError), unless
    ``overwrite``. Images that cannot be read are left out and listed in the metrics.

    A CollapseWarning is issued when the codes of a stage say nothing.
    """
    config = config or TrainConfig()
    output = Path(output)
    rows = _check_indices(images, indices)
    config = config.resolved(image_side=_first_side(images, rows), n_images=len(rows))
    identity = _identity(images, rows, config)
    finished = _look_at(output, identity, resume=resume, overwrite=overwrite)
    if finished is not None:
        return finished
    # Dropout draws from torch's global generator, which belongs to the caller.
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())), _threads_for(config):
        torch.manual_seed(config.seed)
        return _Run(images, rows, config=config, output=output, identity=identity, progress=progress).result()


class _Run:
    """One training from the first image to the written model."""

    def __init__(
        self,
        images: ImageSet,
        rows: NDArray[np.int64],
        *,
        config: TrainConfig,
        output: Path,
        identity: dict[str, Any],
        progress: Progress,
    ) -> None:
        self._images, self._rows, self._config = images, rows, config
        self._output, self._identity, self._progress = output, identity, progress
        self._state_path = output / CHECKPOINT_DIR / _STATE_FILE
        self._device = _device(config.device)
        self._began = time.monotonic()
        generator = torch.Generator().manual_seed(config.seed)
        architecture = NetworkConfig(
            config.backbone, config.n_bits, hidden=config.hidden or 0, same_padding=config.same_padding
        )
        self._network = build_network(architecture, weights=config.weights, generator=generator)
        self._network.freeze_norm = bool(config.freeze_norm)
        self._network.head.dropout = config.dropout or 0.0
        self._network.to(self._device)
        size = _set(config.image_size)
        self._preprocessing = Preprocessing(size, size)
        self._trained: nn.Module = self._network.head if config.freeze_backbone else self._network

    def result(self) -> TrainResult:
        """Train and write the model."""
        inputs = self._inputs()
        all_labels = self._images.labels
        if all_labels is None:
            raise ValueError("labels vanished from the image set while it was trained on")
        labels = np.ascontiguousarray(all_labels[inputs.rows])
        if not self._state_path.exists() and self._config.freeze_backbone:
            self._network.head.standardize(inputs.batch(np.arange(len(labels)), iteration=None))
        weights = pair_weights(labels) if self._config.weighted else None
        loss = HashNetLoss(self._config.n_bits, alpha=self._config.alpha, weights=weights).to(self._device)
        read_s = time.monotonic() - self._began
        history = self._optimize(inputs, torch.from_numpy(labels).float().to(self._device), loss)
        metrics = {
            "training": {
                "identity": self._identity,
                "n_images": len(labels),
                "n_classes": labels.shape[1],
                "pair_weights": None if weights is None else [weights.similar, weights.dissimilar],
                "rejects": [list(reject) for reject in inputs.rejects],
                "device": str(self._device),
                "torch": str(torch.__version__),
                "read_s": round(read_s, 3),
                "total_s": round(time.monotonic() - self._began, 3),
            },
            "stages": history,
        }
        fingerprint = save_model(
            self._output,
            self._network.eval(),
            self._preprocessing,
            classes=self._images.classes,
            seed=self._config.seed,
            metrics=metrics,
            overwrite=True,
        )
        shutil.rmtree(self._output / CHECKPOINT_DIR, ignore_errors=True)
        return TrainResult(self._output, fingerprint, metrics)

    def _inputs(self) -> Inputs:
        config = self._config
        if not config.freeze_backbone:
            return load_pixels(
                self._images,
                self._rows,
                self._preprocessing,
                augment=config.augment or "none",
                seed=config.seed,
                max_error_rate=config.max_error_rate,
                device=self._device,
                scratch=self._output / CHECKPOINT_DIR,
                progress=self._progress,
            )
        path = self._output / CHECKPOINT_DIR / _FEATURES_FILE
        if path.exists():
            return load_features(path, self._identity, device=self._device)
        inputs = extract_features(
            self._network,
            self._images,
            self._rows,
            self._preprocessing,
            max_error_rate=config.max_error_rate,
            progress=self._progress,
        )
        save_features(path, inputs, self._identity)
        return inputs

    def _optimize(self, inputs: Inputs, labels: Tensor, loss: HashNetLoss) -> list[dict[str, Any]]:
        config = self._config
        iterations = _set(config.iterations)
        schedule = betas(config.stages, beta_max=config.beta_max, beta_final=config.beta_final)
        sampler = BatchSampler(len(labels), batch_size=_set(config.batch_size), seed=config.seed)
        optimizer, rates = _optimizer(self._network, config)
        sample = self._sample(len(labels))
        history: list[dict[str, Any]] = []
        start = 0
        if self._state_path.exists():
            checkpoint = load_checkpoint(self._state_path, identity=self._identity)
            restore(checkpoint, self._trained, optimizer)
            start, history = checkpoint.iteration, list(checkpoint.values["history"])
        if not history:
            first = self._measure(inputs, labels, loss, sample, beta=schedule[0], stage=-1, iteration=0)
            history.append(first.to_json())
        self._progress.start("train", iterations)
        self._progress.advance(start)
        for iteration in range(start, iterations):
            stage = stage_of(iteration, iterations=iterations, stages=config.stages)
            factor = lr_factor(iteration, iterations=iterations, decay=config.lr_decay)
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * factor
            places = sampler.batch(iteration)
            self._trained.train()
            z = self._forward(inputs.batch(places, iteration=iteration))
            value = loss(relaxed(z, schedule[stage]), labels[torch.from_numpy(places).to(self._device)])
            optimizer.zero_grad(set_to_none=True)
            value.backward()
            optimizer.step()
            done = iteration + 1
            ended = done == iterations or stage_of(done, iterations=iterations, stages=config.stages) != stage
            if ended or done % _LOOK_EVERY == 0:
                _check_finite(float(value.detach()), done)
                self._progress.advance(loss=float(value.detach()), beta=schedule[stage])
            else:
                self._progress.advance()
            if ended:
                metrics = self._measure(
                    inputs, labels, loss, sample, beta=schedule[stage], stage=stage, iteration=done
                )
                history.append(metrics.to_json())
                warn_of_collapse(metrics, n_bits=config.n_bits, n_classes=labels.shape[1])
            if done % config.checkpoint_every == 0 and done < iterations:
                save_checkpoint(
                    self._state_path,
                    iteration=done,
                    model=self._trained,
                    optimizer=optimizer,
                    identity=self._identity,
                    history=history,
                )
        self._progress.finish()
        return history

    def _forward(self, x: Tensor) -> Tensor:
        """Return z in float32, computed in bfloat16 where that is asked for and the device has it."""
        forward = self._network.hash if self._config.freeze_backbone else self._network
        on = self._config.amp and self._device.type == "cuda"
        with torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=on):
            z: Tensor = forward(x)
        return z.float()

    def _sample(self, n: int) -> NDArray[np.int64]:
        # Large enough for steady figures, small enough to cost little beside a stage.
        size = min(n, 2048 if self._config.freeze_backbone else 512)
        chosen = np.random.default_rng((self._config.seed, 2)).choice(n, size, replace=False)
        return np.sort(chosen).astype(np.int64)

    def _measure(
        self,
        inputs: Inputs,
        labels: Tensor,
        loss: HashNetLoss,
        sample: NDArray[np.int64],
        *,
        beta: float,
        stage: int,
        iteration: int,
    ) -> StageMetrics:
        self._trained.eval()
        with torch.inference_mode():
            parts = [
                self._forward(inputs.batch(sample[start : start + 64], iteration=None))
                for start in range(0, len(sample), 64)
            ]
            chosen = labels[torch.from_numpy(sample).to(self._device)]
            return measure(torch.cat(parts), chosen, loss, beta=beta, stage=stage, iteration=iteration)


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
    return identity


def _look_at(
    output: Path, identity: Mapping[str, Any], *, resume: bool, overwrite: bool
) -> TrainResult | None:
    """Return the result if the model is already there, and make sure nothing is lost unasked."""
    has_model = (output / "config.json").exists()
    checkpoint = output / CHECKPOINT_DIR
    if resume and checkpoint.exists():
        # Both files are checked here, before anything is computed.
        if (checkpoint / _STATE_FILE).exists():
            load_checkpoint(checkpoint / _STATE_FILE, identity=identity)
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


def _optimizer(network: HashNetwork, config: TrainConfig) -> tuple[torch.optim.Optimizer, list[float]]:
    """Return the optimizer and the first learning rate of each of its groups."""
    lr, decay = _set(config.lr), _set(config.weight_decay)
    groups: list[dict[str, Any]] = [{"params": list(network.head.parameters())}]
    rates = [lr]
    if not config.freeze_backbone:
        groups.append({"params": list(network.backbone.parameters())})
        rates.append(lr * _set(config.backbone_lr_factor))
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=lr, momentum=0.9, weight_decay=decay), rates
    return torch.optim.AdamW(groups, lr=lr, weight_decay=decay), rates


@contextmanager
def _threads_for(config: TrainConfig) -> Iterator[None]:
    """Compute with one thread where a step is too small to be shared out.

    250 steps on the digits took 13 s of CPU with one thread and 75 s with two on a busy machine, nearly all
    of it waiting for one another.
    """
    n_threads = torch.get_num_threads()
    small = config.backbone == "small_cnn" and _set(config.image_size) <= 16
    try:
        if small:
            torch.set_num_threads(1)
        yield
    finally:
        torch.set_num_threads(n_threads)


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device {name!r} is not there: torch sees no CUDA device; use 'cpu' or 'auto'")
    return device


def _check_finite(loss: float, iteration: int) -> None:
    if not np.isfinite(loss):
        raise HashnetError(f"the loss became {loss} by iteration {iteration}; lower lr and train afresh")


def _set(value: T | None) -> T:
    if value is None:
        raise ValueError("a setting was left open; use TrainConfig.resolved")
    return value
