"""The trainer: stage by stage from relaxed codes to binary ones, resumable at every checkpoint."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hashnet.datasets import ImageSet
from hashnet.errors import HashnetError
from hashnet.losses import Objective, TrainingSet, build_objective
from hashnet.models import HashNetwork, NetworkConfig, Preprocessing, build_network, save_model
from hashnet.progress import NO_PROGRESS, Progress
from hashnet.training.checkpoint import load_checkpoint, restore, save_checkpoint
from hashnet.training.config import TrainConfig
from hashnet.training.diagnostics import StageMetrics, measure, saturation, warn_of_collapse
from hashnet.training.features import extract_features, load_features, save_features
from hashnet.training.inputs import READ_AT_ONCE, Inputs
from hashnet.training.pixels import load_pixels
from hashnet.training.sampler import BatchSampler
from hashnet.training.schedule import betas, lr_factor, stage_of
from hashnet.training.task import FEATURES_FILE, STATE_FILE, TrainResult, TrainTask, prepare
from hashnet.training.whole_batch import see_whole_batch
from hashnet.training.world import ALONE, Stop, World, never, of_first, share, share_counts, together

T = TypeVar("T")

SHARED_PHASES = ("features", "read images")
"""Phases of the progress in which each process has a share of its own."""

_LOOK_EVERY = 10  # iterations between two looks at the loss, each of which waits for the device


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
        config = task.config
        self._state_path = task.scratch / STATE_FILE
        self._began = time.monotonic()
        generator = torch.Generator().manual_seed(config.seed)
        architecture = NetworkConfig(
            config.backbone, config.n_bits, hidden=config.hidden or 0, same_padding=config.same_padding
        )
        self._network = build_network(architecture, weights=config.weights, generator=generator)
        self._network.freeze_norm = bool(config.freeze_norm)
        self._network.head.dropout.p = config.dropout or 0.0
        self._network.to(device)
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
        objective = self._objective(labels)
        read_s = time.monotonic() - self._began
        history = self._optimize(inputs, torch.from_numpy(labels).float().to(self._device), objective)
        weights = getattr(objective, "weights", None)
        metrics = {
            "training": {
                "identity": self._task.identity,
                "n_images": len(labels),
                "n_classes": labels.shape[1],
                "pair_weights": None if weights is None else [weights.similar, weights.dissimilar],
                "rejects": [list(reject) for reject in inputs.rejects],
                "workers": self._world.size,
                "device": str(self._device),
                "torch": str(torch.__version__),
                "read_s": round(read_s, 3),
                "total_s": round(time.monotonic() - self._began, 3),
            },
            "stages": history,
        }
        if objective.continues:
            metrics["sgn"] = self._saturation(inputs, objective, beta=history[-1]["beta"])
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
        config, task = self._config, self._task
        if not config.freeze_backbone:
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
                world=self._world,
                stop=self._stop,
            )
        path = task.scratch / FEATURES_FILE
        # Asked by one for all: what one sees on shared storage another may not see yet.
        if self._world.exchange("kept" if path.exists() else "")[0]:
            return together(self._world, lambda: load_features(path, task.identity, device=self._device))
        inputs = extract_features(
            self._network,
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

    def _objective(self, labels: NDArray[np.uint8]) -> Objective:
        """Return the objective of the method, alike in all processes, and form the head as it asks."""
        config = self._config
        training = TrainingSet(labels, config.n_bits, config.seed)
        objective = build_objective(config.method, training, config.loss_settings()).to(self._device)
        # What a numerical method found on one machine need not be what it finds on another.
        of_first(self._world, objective)
        objective.shape_head(self._network.head)
        return objective

    def _optimize(self, inputs: Inputs, labels: Tensor, objective: Objective) -> list[dict[str, Any]]:
        config, world = self._config, self._world
        iterations = _set(config.iterations)
        schedule = _schedule(config, objective)
        sampler = BatchSampler(len(labels), batch_size=_set(config.batch_size), seed=config.seed)
        if sampler.batch_size < world.size:
            raise ValueError(
                f"a batch of {sampler.batch_size} images leaves some of {world.size} workers nothing; take "
                "fewer workers or a larger batch"
            )
        see_whole_batch(self._trained, world, batch_size=sampler.batch_size)
        counts = share_counts(sampler.batch_size, world)
        part = share(sampler.batch_size, rank=world.rank, size=world.size)
        learned = nn.ModuleDict({"network": self._trained, "objective": objective})
        optimizer, rates = _optimizer(self._network, objective, config)
        sample = self._sample(len(labels))
        start, history = self._restored(learned, optimizer)
        replica = world.replicate(self._trained)
        # Its loss is that of the whole batch in every process, so the mean gradient over them is that of one.
        criterion = world.replicate(objective) if list(objective.parameters()) else objective
        if not history:
            first = self._measure(inputs, labels, objective, sample, beta=schedule[0], stage=-1, iteration=0)
            history.append(first.to_json())
        self._progress.start("train", iterations)
        self._progress.advance(start)
        for iteration in range(start, iterations):
            stage = stage_of(iteration, iterations=iterations, stages=config.stages)
            factor = lr_factor(iteration, iterations=iterations, decay=config.lr_decay)
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * factor
            places = sampler.batch(iteration)
            places_there = torch.from_numpy(places).to(self._device)
            replica.train()
            criterion.train()
            z = world.gather(self._z(replica, inputs.batch(places, iteration=iteration, part=part)), counts)
            value = criterion(z, labels[places_there], places_there, schedule[stage])
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
                    inputs, labels, objective, sample, beta=schedule[stage], stage=stage, iteration=done
                )
                history.append(metrics.to_json())
                if world.rank == 0:
                    warn_of_collapse(
                        metrics,
                        n_bits=config.n_bits,
                        n_classes=labels.shape[1],
                        silent_loss=objective.silent_loss,
                    )
            stopped = self._stopped(done)
            if (stopped or done % config.checkpoint_every == 0) and done < iterations and world.rank == 0:
                save_checkpoint(
                    self._state_path,
                    iteration=done,
                    model=learned,
                    optimizer=optimizer,
                    identity=self._task.identity,
                    history=history,
                )
            if stopped and done < iterations:
                raise KeyboardInterrupt
        self._progress.finish()
        return history

    def _restored(
        self, learned: nn.Module, optimizer: torch.optim.Optimizer
    ) -> tuple[int, list[dict[str, Any]]]:
        """Return the iterations done and the figures so far, both of the checkpoint if there is one."""
        iteration, history = 0, []
        if self._state_path.exists():
            checkpoint = load_checkpoint(self._state_path, identity=self._task.identity)
            restore(checkpoint, learned, optimizer)
            iteration, history = checkpoint.iteration, list(checkpoint.values["history"])
        seen = self._world.exchange(str(iteration))
        if len(set(seen)) > 1:
            # A network file system may show a new file late: a reason to begin again, not to go on.
            raise OSError(
                f"workers see checkpoints of different iterations ({', '.join(seen)}) in {self._state_path}; "
                "is the output on storage that all share?"
            )
        return iteration, history

    def _stopped(self, done: int) -> bool:
        """Return whether any process was asked to stop; on a GPU not in every step, since it waits for it."""
        if self._stop is never and self._world.size == 1:
            return False
        look = self._device.type == "cpu" or done % _LOOK_EVERY == 0
        return look and self._world.any(self._stop())

    def _z(self, forward: nn.Module, x: Tensor) -> Tensor:
        """Return z in float32, computed in bfloat16 where that is asked for and the device has it."""
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
        objective: Objective,
        sample: NDArray[np.int64],
        *,
        beta: float,
        stage: int,
        iteration: int,
    ) -> StageMetrics:
        objective.eval()
        z = self._z_at(sample, inputs)
        places = torch.from_numpy(sample).to(self._device)
        return measure(z, labels[places], places, objective, beta=beta, stage=stage, iteration=iteration)

    def _saturation(self, inputs: Inputs, objective: Objective, *, beta: float) -> dict[str, Any]:
        """Return how far the relaxed codes of all training images are from sgn codes."""
        objective.eval()
        z = self._z_at(np.arange(len(inputs.rows)), inputs)
        return saturation(z, objective, beta=beta).to_json()

    def _z_at(self, places: NDArray[np.int64], inputs: Inputs) -> Tensor:
        """Return z of plain inputs, in evaluation mode, computed in shares and gathered."""
        self._trained.eval()
        world = self._world
        part = share(len(places), rank=world.rank, size=world.size, unit=READ_AT_ONCE)
        with torch.inference_mode():
            parts = [torch.empty((0, self._config.n_bits), device=self._device)]
            for begin in range(part.start, part.stop, READ_AT_ONCE):
                some = places[begin : min(begin + READ_AT_ONCE, part.stop)]
                parts.append(self._z(self._trained, inputs.batch(some, iteration=None)))
            return world.gather(torch.cat(parts), share_counts(len(places), world, unit=READ_AT_ONCE))


def _schedule(config: TrainConfig, objective: Objective) -> tuple[float, ...]:
    """Return beta of each stage."""
    if not objective.continues:
        return (1.0,) * config.stages
    return betas(config.stages, beta_max=config.beta_max, beta_final=config.beta_final)


def _optimizer(
    network: HashNetwork, objective: Objective, config: TrainConfig
) -> tuple[torch.optim.Optimizer, list[float]]:
    """Return the optimizer and the first learning rate of each of its groups."""
    lr, decay = _set(config.lr), _set(config.weight_decay)
    groups: list[dict[str, Any]] = [{"params": list(network.head.parameters())}]
    rates = [lr]
    if not config.freeze_backbone:
        groups.append({"params": list(network.backbone.parameters())})
        rates.append(lr * _set(config.backbone_lr_factor))
    if own := list(objective.parameters()):
        groups.append({"params": own})
        rates.append(lr)
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
