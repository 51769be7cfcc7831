"""The steps of a training: from its checkpoint if there is one, stage by stage, to what is kept of it."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hashnet.errors import HashnetError
from hashnet.losses import Objective
from hashnet.progress import Progress
from hashnet.training.averaging import WeightAverage
from hashnet.training.checkpoint import load_checkpoint, restore, save_checkpoint
from hashnet.training.config import TrainConfig
from hashnet.training.diagnostics import StageMetrics, measure, warn_of_collapse
from hashnet.training.events import Events
from hashnet.training.forward import Forward, compiled
from hashnet.training.inputs import Inputs, in_order
from hashnet.training.micro_batches import MicroBatches
from hashnet.training.optimizer import build_optimizer, given
from hashnet.training.sampler import BatchSampler
from hashnet.training.schedule import betas, stage_of
from hashnet.training.trained_part import TrainedPart
from hashnet.training.validation import (
    MAP_KEY,
    BestStage,
    Subset,
    best_stage,
    database_sample,
    is_over,
    retrieval_map,
    split_for_validation,
)
from hashnet.training.whole_batch import see_whole_batch
from hashnet.training.world import Stop, World, never, share, share_counts

_LOOK_EVERY = 10  # iterations between two looks at the loss, each of which waits for the device


@dataclass(frozen=True)
class TrainingData:
    """Inputs to train on with their multi-hot labels, and such that are held out (perhaps none)."""

    inputs: Inputs
    labels: NDArray[np.uint8]
    held_out: Inputs
    held_out_labels: NDArray[np.uint8]


class Outcome(NamedTuple):
    """Figures of all stages, those of the stage that was kept, and the images a second of the steps."""

    history: list[dict[str, Any]]
    kept: dict[str, Any]
    images_per_s: float | None


class Optimization:
    """Everything that a training changes while it runs; every process of the world has one."""

    def __init__(
        self,
        config: TrainConfig,
        data: TrainingData,
        part: TrainedPart,
        head: nn.Module,
        objective: Objective,
        *,
        forward: Forward,
        world: World,
        progress: Progress,
        stop: Stop,
    ) -> None:
        self._config, self._data, self._part, self._objective = config, data, part, objective
        self._forward, self._world, self._progress, self._stop = forward, world, progress, stop
        self._device = forward.device
        self._labels = torch.from_numpy(data.labels).float().to(self._device)
        self._iterations = given(config.iterations)
        self._schedule = _schedule(config, objective)
        n = len(data.labels)
        self._sampler = BatchSampler(n, batch_size=given(config.batch_size), seed=config.seed)
        size = self._sampler.batch_size
        if size < world.size:
            raise ValueError(
                f"a batch of {size} images leaves some of {world.size} workers nothing; take "
                "fewer workers or a larger batch"
            )
        self._batch_part = see_whole_batch(
            part.module, world, batch_size=size, micro_batch=config.micro_batch
        )
        self._learned = nn.ModuleDict({"network": part.module, "objective": objective})
        self._optimizer, self._rates = build_optimizer(head, part.body, objective, config)
        self._average = WeightAverage(part.module, decay=config.ema)
        self._best = BestStage(self._learned)
        self._history: list[dict[str, Any]] = []
        # Large enough for steady figures, small enough to cost little beside a stage.
        sampled = min(n, 2048 if part.cached else 512)
        chosen = np.random.default_rng((config.seed, 2)).choice(n, sampled, replace=False)
        self._sample = np.sort(chosen).astype(np.int64)
        self._step_s, self._steps = 0.0, 0

    def run(self, state_path: Path, identity: dict[str, Any]) -> Outcome:
        """Go through all iterations, or as many as patience allows, and leave what is kept in the network."""
        start = self._restored(state_path, identity)
        module = compiled(self._part.module) if self._config.compile else self._part.module
        replica = self._world.replicate(module)
        # Its loss is that of the whole batch in every process, so the mean gradient over them is that of one.
        has_own = bool(list(self._objective.parameters()))
        criterion = self._world.replicate(self._objective) if has_own else self._objective
        micro = MicroBatches(replica, self._world, size=self._config.micro_batch, part=self._batch_part)
        if not self._history:
            self._record(self._measured(stage=-1, iteration=0))
        events = Events(self._config.tensorboard if self._world.rank == 0 else None, resumed_at=start)
        self._progress.start("train", self._iterations)
        self._progress.advance(start)
        with closing(self._batches(start)) as batches, closing(events):
            began = time.monotonic()
            for iteration, places, x in batches:
                stage = self._stage_of(iteration)
                beta = self._schedule[stage]
                lr = self._rates.set_for(iteration)
                there = torch.from_numpy(places).to(self._device)
                replica.train()
                criterion.train()
                self._optimizer.zero_grad(set_to_none=True)
                value = micro.backward(
                    partial(self._forward.z, replica),
                    self._forward.enter(x),
                    share_counts(len(places), self._world),
                    partial(self._loss, criterion, there, beta),
                )
                self._optimizer.step()
                done = iteration + 1
                self._average.update(done)
                ended = done == self._iterations or self._stage_of(done) != stage
                if ended or done % _LOOK_EVERY == 0:
                    loss = float(value)
                    _check_finite(loss, done)
                    self._progress.advance(loss=loss, beta=beta)
                else:
                    self._progress.advance()
                self._steps += 1
                self._step_s += time.monotonic() - began
                if ended or done % _LOOK_EVERY == 0:
                    rate = self._images_per_s() or 0.0
                    events.step(done, loss=loss, beta=beta, lr=lr, images_per_s=rate)
                if ended:
                    self._end_stage(stage, done, events)
                    if self._is_over():
                        break
                self._keep(state_path, identity, done)
                began = time.monotonic()
        self._progress.finish()
        return Outcome(self._history, self._take_what_is_kept(), self._images_per_s())

    def _loss(self, criterion: nn.Module, places: Tensor, beta: float, z: Tensor) -> Tensor:
        value: Tensor = criterion(z, self._labels[places], places, beta)
        return value

    def _batches(self, start: int) -> Generator[tuple[int, NDArray[np.int64], Tensor], None, None]:
        """Yield iteration, places, and the inputs of this process's share, prepared ahead by threads."""
        part = share(self._sampler.batch_size, rank=self._world.rank, size=self._world.size)

        def prepared(at: tuple[int, NDArray[np.int64]]) -> tuple[int, NDArray[np.int64], Tensor]:
            iteration, places = at
            return iteration, places, self._data.inputs.batch(places, iteration=iteration, part=part)

        wanted = ((iteration, self._sampler.batch(iteration)) for iteration in range(start, self._iterations))
        workers = self._config.data_workers
        return in_order(prepared, wanted, workers=workers, ahead=workers + 1)

    def _stage_of(self, iteration: int) -> int:
        return stage_of(iteration, iterations=self._iterations, stages=self._config.stages)

    def _end_stage(self, stage: int, done: int, events: Events) -> None:
        with self._average.applied():
            metrics = self._measured(stage=stage, iteration=done)
            found = self._record(metrics)
            if self._config.validation:
                self._best.consider(self._history)
        events.stage(metrics, n_bits=self._config.n_bits, validation_map=found)
        if self._world.rank == 0:
            warn_of_collapse(
                metrics,
                n_bits=self._config.n_bits,
                n_classes=self._labels.shape[1],
                silent_loss=self._objective.silent_loss,
            )

    def _measured(self, *, stage: int, iteration: int) -> StageMetrics:
        self._objective.eval()
        z = self._forward.z_at(self._sample, self._data.inputs, self._world)
        places = torch.from_numpy(self._sample).to(self._device)
        beta = self._schedule[max(stage, 0)]
        return measure(
            z, self._labels[places], places, self._objective, beta=beta, stage=stage, iteration=iteration
        )

    def _record(self, metrics: StageMetrics) -> float | None:
        """Add the figures to the history, with the MAP on the images held out if there are any."""
        figures = metrics.to_json()
        found = None
        if self._config.validation:
            data, sample = self._data, database_sample(len(self._data.labels), seed=self._config.seed)
            asked = self._relaxed(np.arange(len(data.held_out_labels)), data.held_out, metrics.beta)
            held = self._relaxed(sample, data.inputs, metrics.beta)
            found = retrieval_map(asked, data.held_out_labels, held, data.labels[sample])
            figures[MAP_KEY] = found
        self._history.append(figures)
        return found

    def _relaxed(self, places: NDArray[np.int64], inputs: Inputs, beta: float) -> Tensor:
        with torch.inference_mode():
            return self._objective.relax(self._forward.z_at(places, inputs, self._world), beta)

    def _is_over(self) -> bool:
        return bool(self._config.validation) and is_over(self._history, patience=self._config.patience)

    def _take_what_is_kept(self) -> dict[str, Any]:
        if self._config.validation:
            self._best.apply()
            return dict(best_stage(self._history))
        self._average.apply()
        return self._history[-1]

    def _images_per_s(self) -> float | None:
        return self._steps * self._sampler.batch_size / self._step_s if self._step_s else None

    def _keep(self, state_path: Path, identity: dict[str, Any], done: int) -> None:
        """Write a checkpoint if it is time, and end by KeyboardInterrupt behind it if that was asked for."""
        stopped = self._stopped(done)
        if done == self._iterations:
            return
        if (stopped or done % self._config.checkpoint_every == 0) and self._world.rank == 0:
            save_checkpoint(
                state_path,
                iteration=done,
                model=self._learned,
                optimizer=self._optimizer,
                identity=identity,
                history=self._history,
                groups={"average": self._average.state(), "best": self._best.state()},
            )
        if stopped:
            raise KeyboardInterrupt

    def _restored(self, state_path: Path, identity: dict[str, Any]) -> int:
        """Take the state of the checkpoint if there is one, and return the iterations done."""
        iteration = 0
        if state_path.exists():
            checkpoint = load_checkpoint(state_path, identity=identity)
            restore(checkpoint, self._learned, self._optimizer)
            self._average.restore(checkpoint.group("average"))
            self._best.restore(checkpoint.group("best"))
            iteration, self._history = checkpoint.iteration, list(checkpoint.values["history"])
        seen = self._world.exchange(str(iteration))
        if len(set(seen)) > 1:
            # A network file system may show a new file late: a reason to begin again, not to go on.
            raise OSError(
                f"workers see checkpoints of different iterations ({', '.join(seen)}) in {state_path}; "
                "is the output on storage that all share?"
            )
        return iteration

    def _stopped(self, done: int) -> bool:
        """Return whether any process was asked to stop; on a GPU not in every step, since it waits for it."""
        if self._stop is never and self._world.size == 1:
            return False
        look = self._device.type == "cpu" or done % _LOOK_EVERY == 0
        return look and self._world.any(self._stop())


def data_for(inputs: Inputs, labels: NDArray[np.uint8], config: TrainConfig) -> TrainingData:
    """Return ``inputs`` and their labels, less what the settings hold out of training."""
    split = split_for_validation(len(labels), share=config.validation, seed=config.seed)
    return TrainingData(
        Subset(inputs, split.train) if config.validation else inputs,
        labels[split.train],
        Subset(inputs, split.held_out),
        labels[split.held_out],
    )


def _schedule(config: TrainConfig, objective: Objective) -> tuple[float, ...]:
    """Return beta of each stage."""
    if not objective.continues:
        return (1.0,) * config.stages
    return betas(config.stages, beta_max=config.beta_max, beta_final=config.beta_final)


def _check_finite(loss: float, iteration: int) -> None:
    if not np.isfinite(loss):
        raise HashnetError(f"the loss became {loss} by iteration {iteration}; lower lr and train afresh")
