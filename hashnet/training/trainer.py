"""The trainer: stage by stage from relaxed codes to binary ones, resumable at every checkpoint."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hashnet.datasets import ImageSet
from hashnet.losses import Objective, TrainingSet, build_objective
from hashnet.models import Preprocessing, save_model
from hashnet.progress import NO_PROGRESS, Progress
from hashnet.training.config import TrainConfig
from hashnet.training.diagnostics import saturation
from hashnet.training.features import extract, load_features, save_features
from hashnet.training.forward import Forward
from hashnet.training.inputs import Inputs
from hashnet.training.optimization import Optimization, TrainingData, data_for
from hashnet.training.optimizer import given
from hashnet.training.pixels import load_pixels
from hashnet.training.task import FEATURES_FILE, STATE_FILE, TrainResult, TrainTask, prepare
from hashnet.training.trained_part import trained_part
from hashnet.training.validation import AT, MAP_KEY
from hashnet.training.warm_start import initial_network
from hashnet.training.world import ALONE, Stop, World, never, of_first, together

SHARED_PHASES = ("features", "read images")
"""Phases of the progress in which each process has a share of its own."""

_STANDARDIZE_ON = (
    4096  # images from whose features mean and deviation are taken, where they cost a forward pass
)


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
    task = prepare(images, indices, config, output=output, resume=resume, overwrite=overwrite)
    return task if isinstance(task, TrainResult) else run(images, task, progress=progress)


def run(
    images: ImageSet,
    task: TrainTask,
    *,
    world: World = ALONE,
    device: torch.device | None = None,
    progress: Progress = NO_PROGRESS,
    stop: Stop = never,
) -> TrainResult:
    """Do the task, from its checkpoint if there is one, as one of the processes of ``world``.

    Every process calls this with the same images and task, and an ``output`` on storage that all share;
    process 0 writes there. Each computes a share of every batch, while batches, augmentation, dropout and the
    pairs of the loss are those of one process: the loss follows the same curve up to rounding, whatever their
    number, and a checkpoint may be continued by another number. ``device`` overrides that of the settings.

    When ``stop`` says so in any process, all of them end with KeyboardInterrupt, in training behind a
    checkpoint. What ``progress`` hears in its phases ``SHARED_PHASES`` concerns the share of this process.
    """
    # Dropout draws from torch's global generator, which belongs to the caller.
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())), _threads_for(task.config):
        torch.manual_seed(task.config.seed)
        device = device or _device(task.config.device)
        return _Run(images, task, world=world, device=device, progress=progress, stop=stop).result()


class _Run:
    """One training from the first image to the written model, as one of the processes of a world."""

    def __init__(
        self,
        images: ImageSet,
        task: TrainTask,
        *,
        world: World,
        device: torch.device,
        progress: Progress,
        stop: Stop,
    ) -> None:
        self._images, self._task, self._config = images, task, task.config
        self._world, self._device, self._progress, self._stop = world, device, progress, stop
        self._state_path = task.scratch / STATE_FILE
        self._began = time.monotonic()
        self._network, self._head_is_trained = initial_network(task.config)
        self._network.to(device)
        size = given(task.config.image_size)
        self._preprocessing = Preprocessing(size, size)
        self._part = trained_part(self._network, task.config, n_images=len(task.rows))
        self._forward = Forward(self._part, task.config, device=device)

    def result(self) -> TrainResult:
        """Train and write the model."""
        config = self._config
        inputs = self._inputs()
        all_labels = self._images.labels
        if all_labels is None:
            raise ValueError("labels vanished from the image set while it was trained on")
        data = data_for(inputs, np.ascontiguousarray(all_labels[inputs.rows]), config)
        if self._part.standardizes and not self._head_is_trained:
            # Done together or not at all; a checkpoint has the outcome.
            seen = self._world.exchange("kept" if self._state_path.exists() else "")
            if not all(seen):
                self._standardize(data)
        objective = self._objective(data.labels)
        read_s = time.monotonic() - self._began
        optimization = Optimization(
            config,
            data,
            self._part,
            self._network.head,
            objective,
            forward=self._forward,
            world=self._world,
            progress=self._progress,
            stop=self._stop,
        )
        outcome = optimization.run(self._state_path, self._task.identity)
        weights = getattr(objective, "weights", None)
        metrics: dict[str, Any] = {
            "training": {
                "identity": self._task.identity,
                "n_images": len(data.labels),
                "n_classes": data.labels.shape[1],
                "pair_weights": None if weights is None else [weights.similar, weights.dissimilar],
                "rejects": [list(reject) for reject in inputs.rejects],
                "workers": self._world.size,
                "device": str(self._device),
                "torch": str(torch.__version__),
                "read_s": round(read_s, 3),
                "total_s": round(time.monotonic() - self._began, 3),
                "images_per_s": None if outcome.images_per_s is None else round(outcome.images_per_s, 2),
            },
            "stages": outcome.history,
        }
        if config.validation:
            metrics["validation"] = {
                "n": len(data.held_out_labels),
                "at": AT,
                "stage": outcome.kept["stage"],
                "map": outcome.kept[MAP_KEY],
                "stopped_early": outcome.history[-1]["iteration"] < given(config.iterations),
            }
        if objective.continues:
            metrics["sgn"] = self._saturation(data.inputs, objective, beta=outcome.kept["beta"])
        objective.finish(self._network.head)
        mark = together(self._world, lambda: self._save(metrics) if self._world.rank == 0 else "")
        return TrainResult(self._task.output, self._world.exchange(mark)[0], metrics)

    def _save(self, metrics: dict[str, Any]) -> str:
        mark = save_model(
            self._task.output,
            self._network.eval(),
            self._preprocessing,
            classes=self._images.classes,
            seed=self._config.seed,
            metrics=metrics,
            overwrite=True,
        )
        shutil.rmtree(self._task.scratch, ignore_errors=True)
        return mark

    def _inputs(self) -> Inputs:
        config, task, before = self._config, self._task, self._part.before
        if before is None or not self._part.cached:
            return load_pixels(
                self._images,
                task.rows,
                self._preprocessing,
                augment=config.augment or "none",
                seed=config.seed,
                max_error_rate=config.max_error_rate,
                device=self._device,
                scratch=task.scratch,
                progress=self._progress,
                workers=config.data_workers,
                world=self._world,
                stop=self._stop,
            )
        path = task.scratch / FEATURES_FILE
        # Asked by one for all: what one sees on shared storage another may not see yet.
        if self._world.exchange("kept" if path.exists() else "")[0]:
            return together(self._world, lambda: load_features(path, task.identity, device=self._device))
        inputs = extract(
            before,
            self._images,
            task.rows,
            self._preprocessing,
            max_error_rate=config.max_error_rate,
            progress=self._progress,
            world=self._world,
            stop=self._stop,
        )
        if self._world.rank == 0:
            save_features(path, inputs, task.identity)
        return inputs

    def _standardize(self, data: TrainingData) -> None:
        """Scale the features to mean 0 and deviation 1 over the training images, or many of them."""
        n = len(data.labels)
        places = np.arange(n)
        # Where only the head is trained they are all there already.
        if self._part.body is not None and n > _STANDARDIZE_ON:
            places = np.sort(np.random.default_rng((self._config.seed, 6)).choice(n, _STANDARDIZE_ON, False))
        width = self._network.config.n_features
        self._network.head.standardize(self._forward.features_at(places, data.inputs, self._world, width))

    def _objective(self, labels: NDArray[np.uint8]) -> Objective:
        """Return the objective of the method, alike in all processes, and form the head as it asks."""
        config = self._config
        training = TrainingSet(labels, config.n_bits, config.seed)
        objective = build_objective(config.method, training, config.loss_settings()).to(self._device)
        # What a numerical method found on one machine need not be what it finds on another.
        of_first(self._world, objective)
        objective.shape_head(self._network.head)
        return objective

    def _saturation(self, inputs: Inputs, objective: Objective, *, beta: float) -> dict[str, Any]:
        """Return how far the relaxed codes of all training images are from sgn codes."""
        objective.eval()
        z = self._forward.z_at(np.arange(len(inputs.rows)), inputs, self._world)
        return saturation(z, objective, beta=beta).to_json()


@contextmanager
def _threads_for(config: TrainConfig) -> Iterator[None]:
    """Compute with one thread where a step is too small to be shared out.

    250 steps on the digits took 13 s of CPU with one thread and 75 s with two on a busy machine, nearly all
    of it waiting for one another.
    """
    n_threads = torch.get_num_threads()
    small = config.backbone == "small_cnn" and given(config.image_size) <= 16
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
