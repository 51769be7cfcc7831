"""Train with several workers on Ray: the model of a local run, from shares of every batch."""

from __future__ import annotations

import logging
import os
import shutil
import time
import uuid
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import ray
import ray.train
import torch
from numpy.typing import NDArray
from ray.train.torch import TorchConfig, TorchTrainer

from hashnet.allocator import KEEP_FREED_MEMORY
from hashnet.datasets import ImageSet, open_images, open_protocol
from hashnet.errors import CollapseWarning, HashnetError
from hashnet.progress import MIN_INTERVAL_S, NO_PROGRESS, Progress
from hashnet.training import TrainConfig, TrainResult
from hashnet.training.process_group import ProcessGroup
from hashnet.training.task import prepare
from hashnet.training.trainer import run
from hashnet.training.world import ALONE, World, together

from .cluster import ray_cluster
from .train_events import Letter, Mailbox, MergedProgress, RelayedProgress
from .train_plan import (
    COLLECTIVE_TIMEOUT_S,
    TrainSpec,
    check_same_task,
    check_workers,
    resources_of,
    threads_of_worker,
    why_given_up,
    with_absolute_paths,
)
from .train_thread import Background

MAX_FAILURES = 3
RESIZE_INTERVAL_S = 60.0  # how often an elastic number of workers is compared with what the cluster has
_POLL_S = 0.2
_STOP_TIMEOUT_S = 60.0
_SAME_PRESS_S = 1.0


def train_with_ray(
    data: str | Path,
    output: str | Path,
    config: TrainConfig | None = None,
    *,
    indices: NDArray[np.int64] | None = None,
    image_root: str | Path | None = None,
    protocol: str | None = None,
    workers: int | tuple[int, int] = 2,
    max_failures: int = MAX_FAILURES,
    resume: bool = False,
    overwrite: bool = False,
    address: str | None = None,
    progress: Progress = NO_PROGRESS,
) -> TrainResult:
    """Train as ``hashnet.training.train`` does, with ``workers`` processes that share every batch.

    The loss follows the curve of a local run with the same settings, up to rounding; one worker gives its
    very fingerprint on the same hardware. ``(least, most)`` workers take what the cluster has, now and after
    every restart. Data, weights and output must lie on storage that all nodes share.

    ``indices`` number the images of ``data``, or those that the protocol named ``protocol`` makes of it (see
    ``hashnet.datasets.open_protocol``); without them all are trained on.

    When a worker dies, all are started again, at most ``max_failures`` times, and go on from the last
    checkpoint in ``output``, which may have been written by another number of workers, or by a local run.
    Ctrl-C makes the workers write a checkpoint and stop; a second one does not wait for them.

    A running Ray is used, else one is joined (``address``) or started for this call. Raises what ``train``
    raises, and HashnetError where workers fail more often.
    """
    least, most = check_workers(workers)
    images = _open(data, image_root=image_root, protocol=protocol)
    rows = np.arange(len(images)) if indices is None else indices
    task = prepare(images, rows, config, output=output, resume=resume, overwrite=overwrite)
    if isinstance(task, TrainResult):
        return task
    spec = TrainSpec(
        data=str(data) if data == "digits" else str(Path(data).absolute()),
        image_root=None if image_root is None else str(Path(image_root).absolute()),
        protocol=protocol,
        rows=task.rows,
        config=with_absolute_paths(task.config),
        output=str(Path(output).absolute()),
        identity=task.identity,
        threads=torch.get_num_threads(),
    )
    # The mark of a training under way: a worker that finds it does not take an older model for its result.
    new = not task.scratch.exists()
    task.scratch.mkdir(parents=True, exist_ok=True)
    try:
        with ray_cluster(address):
            merged = MergedProgress(progress, len(task.rows), warn=_warn)
            outcome = _drive(spec, (least, most), max_failures=max_failures, merged=merged)
    except BaseException:
        shutil.rmtree(task.scratch / _RAY_DIR, ignore_errors=True)
        if new and not any(task.scratch.iterdir()):
            task.scratch.rmdir()
        raise
    shutil.rmtree(task.scratch, ignore_errors=True)
    return TrainResult(Path(output), outcome.fingerprint, outcome.metrics)


_RAY_DIR = "ray"


def _open(data: str | Path, *, image_root: str | Path | None, protocol: str | None) -> ImageSet:
    if protocol is None:
        return open_images(data, image_root=image_root)
    return open_protocol(protocol, data=data, image_root=image_root).images


def _drive(
    spec: TrainSpec, workers: tuple[int, int], *, max_failures: int, merged: MergedProgress
) -> TrainResult:
    """Run the workers, report their progress, and return their result or raise what they ended with."""
    mailbox = ray.remote(num_cpus=0)(Mailbox).remote()
    trainer = _trainer(spec, workers, mailbox, max_failures=max_failures)
    # In a thread, because fit() in the main thread would take Ctrl-C for itself and end the process.
    fit = Background(trainer.fit, name="ray-train")
    try:
        while not fit.wait(_POLL_S):
            merged.receive(ray.get(mailbox.take.remote()))
        merged.receive(ray.get(mailbox.take.remote()))
    except KeyboardInterrupt:
        mailbox.stop.remote()
        if merged.heard:  # before that nothing was done that is worth keeping
            _await_stop(fit)
        raise
    finally:
        merged.finish()
    try:
        outcome = fit.result().return_value
    except ray.train.TrainingFailedError as error:
        failures = getattr(error, "worker_failures", None) or {0: error}
        told = {rank: str(failure) for rank, failure in failures.items()}
        raise HashnetError(why_given_up(told, max_failures=max_failures)) from error
    if isinstance(outcome, TrainResult):
        return outcome
    if isinstance(outcome, BaseException):
        raise outcome
    raise HashnetError(f"the workers ended without a result ({outcome!r})")


def _await_stop(fit: Background[Any]) -> None:
    """Wait for workers that were told to stop; a second Ctrl-C ends the waiting."""
    began = time.monotonic()
    while time.monotonic() - began < _STOP_TIMEOUT_S:
        try:
            if fit.wait(_POLL_S):
                return
        except KeyboardInterrupt:
            # Launchers pass on a Ctrl-C that the terminal has sent to their children already.
            if time.monotonic() - began > _SAME_PRESS_S:
                raise


def _trainer(spec: TrainSpec, workers: tuple[int, int], mailbox: Any, *, max_failures: int) -> TorchTrainer:
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    resources = resources_of(
        workers,
        device=spec.config.device,
        cpus=[node.get("CPU", 0.0) for node in nodes],
        gpus=[node.get("GPU", 0.0) for node in nodes],
    )
    least, most = workers
    # How often the controller looks at its workers: the end of every run, and of every worker, waits for it.
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.5")
    # Errors are raised; in the log they would stand a second time, with the stacks of the workers.
    logging.getLogger("ray.train").setLevel(logging.CRITICAL)
    return TorchTrainer(
        _work,
        train_loop_config={"spec": spec, "mailbox": mailbox},
        torch_config=TorchConfig(timeout_s=COLLECTIVE_TIMEOUT_S),
        scaling_config=ray.train.ScalingConfig(
            num_workers=most if least == most else (least, most),
            use_gpu=resources.gpu,
            elastic_resize_monitor_interval_s=RESIZE_INTERVAL_S,
            resources_per_worker={"CPU": resources.cpus, **({"GPU": 1} if resources.gpu else {})},
            # GPUs of one node are joined faster than nodes; CPUs of other nodes are not shared.
            placement_strategy="PACK" if resources.gpu else "SPREAD",
        ),
        run_config=ray.train.RunConfig(
            name=_RAY_DIR,
            storage_path=str(Path(spec.output) / "checkpoint"),
            failure_config=ray.train.FailureConfig(max_failures=max_failures),
            logging_config=ray.train.LoggingConfig(log_level="CRITICAL"),
            # Ray's threads are there before a worker could ask for it.
            worker_runtime_env={"env_vars": KEEP_FREED_MEMORY},
        ),
    )


def _work(config: dict[str, Any]) -> TrainResult | BaseException:
    """Train as one worker; return the result, or what all workers ended with.

    What is raised here is taken for the failure of a worker, and tried again.
    """
    spec: TrainSpec = config["spec"]
    mailbox = config["mailbox"]
    context = ray.train.get_context()
    on_gpu = ray.train.torch.get_device().type == "cuda"
    device = ray.train.torch.get_device() if on_gpu else torch.device("cpu")
    torch.set_num_threads(threads_of_worker(spec.threads, context.get_local_world_size()))
    world: World = ALONE if context.get_world_size() == 1 else ProcessGroup(device)
    attempt = world.exchange(uuid.uuid4().hex)[0]
    sent: list[Any] = []

    def send(letter: Letter) -> None:
        sent[:] = [mailbox.put.remote(letter)]

    progress = RelayedProgress(attempt, world.rank, send)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", CollapseWarning)
            warnings.showwarning = _relay(progress, warnings.showwarning)
            return _train(spec, world, device, progress, _Stopping(mailbox))
    except (HashnetError, ValueError, TypeError, KeyboardInterrupt) as error:
        return error
    finally:
        progress.flush()
        ray.get(sent)


def _train(
    spec: TrainSpec, world: World, device: torch.device, progress: Progress, stop: Callable[[], bool]
) -> TrainResult:
    def opened() -> Any:
        images = _open(spec.data, image_root=spec.image_root, protocol=spec.protocol)
        task = prepare(images, spec.rows, spec.config, output=spec.output, resume=True)
        if not isinstance(task, TrainResult):
            check_same_task(task.identity, spec.identity)
        return images, task

    images, task = together(world, opened)
    if isinstance(task, TrainResult):
        return task
    return run(images, task, world=world, device=device, progress=progress, stop=stop)


class _Stopping:
    """Whether the driver wants the workers to stop: asked twice a second, without waiting for the answer."""

    def __init__(self, mailbox: Any) -> None:
        self._mailbox = mailbox
        self._asked = mailbox.stopping.remote()
        self._next = time.monotonic()
        self._told = False

    def __call__(self) -> bool:
        if time.monotonic() < self._next:
            return self._told
        self._next = time.monotonic() + MIN_INTERVAL_S
        if self._asked is None:
            self._asked = self._mailbox.stopping.remote()
        elif ray.wait([self._asked], timeout=0)[0]:
            self._told = self._told or bool(ray.get(self._asked))
            self._asked = None
        return self._told


def _relay(progress: RelayedProgress, otherwise: Callable[..., Any]) -> Callable[..., Any]:
    def show(message: Any, category: type[Warning], *arguments: Any, **named: Any) -> None:
        if issubclass(category, CollapseWarning):
            progress.warn(str(message))
        else:
            otherwise(message, category, *arguments, **named)

    return show


def _warn(text: str) -> None:
    warnings.warn(text, CollapseWarning, stacklevel=2)
