"""Images a second of the training loop over those of the bare step: how much of the device the loop uses.

    python -m benchmarks.bench_training_loop --cifar10 cifar10.npz --tinyimagenet tinyimagenet100.npz

The bare step is forward, loss, backward and optimizer on one tensor that is ready, in a plain loop. The loop
is ``hashnet.training.train`` with all it does between steps: batches are drawn, augmented, normalised and
moved, the learning rate is set, losses are looked at, checkpoints are written as by default. Both are
measured in turn, `--repeats` times, from the tenth step on; a ratio is of neighbours, and the median is kept.
The figures at the end of a stage belong to neither; their seconds are told apart, since what they are of a
training depends on how long its stages are.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import warnings
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.provenance import keep, provenance
from hashnet.allocator import keep_freed_memory
from hashnet.datasets import ImageSet, open_images, split
from hashnet.errors import CollapseWarning
from hashnet.losses import TrainingSet, build_objective
from hashnet.training import TrainConfig, train
from hashnet.training.forward import Forward
from hashnet.training.optimizer import build_optimizer, given
from hashnet.training.task import completed
from hashnet.training.trained_part import trained_part
from hashnet.training.warm_start import initial_network

FIRST = 10  # steps before the clock starts; the loop looks at the loss in every tenth


@dataclass(frozen=True)
class Workload:
    """Images of a pack, and what is trained on them."""

    name: str
    pack: str
    n_images: int
    config: TrainConfig


BASE = TrainConfig(n_bits=48, stages=1)
WORKLOADS = (
    Workload("small_cnn", "cifar10", 10_000, replace(BASE, image_size=32, batch_size=128, iterations=60)),
    Workload(
        "mobilenet_v2",
        "tinyimagenet",
        4_000,
        replace(BASE, backbone="mobilenet_v2", image_size=64, batch_size=64, iterations=30, freeze_norm=True),
    ),
    Workload(
        "resnet18",
        "tinyimagenet",
        4_000,
        replace(BASE, backbone="resnet18", image_size=64, batch_size=64, iterations=30),
    ),
    Workload(
        "mobilenet_v2, last 3 blocks",
        "tinyimagenet",
        4_000,
        replace(
            BASE,
            backbone="mobilenet_v2",
            image_size=128,
            batch_size=256,
            iterations=50,
            train_last_blocks=3,
            freeze_norm=True,
        ),
    ),
)


class Clock:
    """Progress that notes when the steps were done whose loss was looked at, and when the phase ended."""

    def __init__(self) -> None:
        self._what = ""
        self._done = 0
        self.seen: list[tuple[int, float]] = []
        self.ended = 0.0

    def start(self, what: str, total: int | None) -> None:
        """Note which phase begins."""
        self._what, self._done = what, 0

    def advance(self, done: int = 1, **figures: float) -> None:
        """Note the time of a step that waited for the device."""
        self._done += done
        if self._what == "train" and "loss" in figures:
            self.seen.append((self._done, time.perf_counter()))

    def finish(self) -> None:
        """Note the end of the phase."""
        self.ended = time.perf_counter()


def loop_rate(
    images: ImageSet, rows: NDArray[np.int64], config: TrainConfig, output: Path
) -> tuple[float, float]:
    """Return the images a second of the training loop, and the seconds of the figures after a stage."""
    clock = Clock()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CollapseWarning)  # these runs are too short to learn
        train(images, rows, config, output=output, progress=clock)
    (first, began), (last, ended) = clock.seen[0], clock.seen[-1]
    return given(config.batch_size) * (last - first) / (ended - began), clock.ended - ended


def bare_rate(images: ImageSet, rows: NDArray[np.int64], config: TrainConfig, device: torch.device) -> float:
    """Return the images a second of the step alone, on one batch that is ready on the device."""
    torch.manual_seed(0)
    network, _ = initial_network(config)
    network.to(device)
    part = trained_part(network, config, n_images=len(rows))
    forward = Forward(part, config, device=device)
    labels = np.ascontiguousarray(given(images.labels)[rows])
    objective = build_objective(config.method, TrainingSet(labels, config.n_bits)).to(device)
    optimizer, rates = build_optimizer(network.head, part.body, objective, config)
    size, side = given(config.batch_size), given(config.image_size)
    x = torch.randn((size, 3, side, side), device=device)
    if part.cached:
        with torch.no_grad():
            x = given(part.before)(x)
    places = torch.arange(size, device=device)
    of_batch = torch.from_numpy(labels[:size]).float().to(device)
    rates.set_for(0)
    part.module.train()
    objective.train()

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        value: torch.Tensor = objective(forward.z(part.module, forward.enter(x)), of_batch, places, 1.0)
        value.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    for _ in range(FIRST):
        step()
    _wait(device)
    began = time.perf_counter()
    for _ in range(given(config.iterations) - FIRST):
        step()
    _wait(device)
    return size * (given(config.iterations) - FIRST) / (time.perf_counter() - began)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def measured(workload: Workload, images: ImageSet, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of a workload for each number of data workers."""
    device = torch.device(arguments.device)
    rows = split(images, seed=0).database
    rows = np.sort(np.random.default_rng(0).choice(rows, min(workload.n_images, len(rows)), replace=False))
    config = completed(images, rows, replace(workload.config, device=arguments.device))
    figures: dict[str, Any] = {"bare_images_per_s": [], "loop": {}}
    with tempfile.TemporaryDirectory() as scratch:
        for repeat in range(arguments.repeats):
            for workers in arguments.data_workers:
                bare = bare_rate(images, rows, config, device)
                output = Path(scratch) / f"{workers}-{repeat}"
                rate, stage_s = loop_rate(images, rows, replace(config, data_workers=workers), output)
                figures["bare_images_per_s"].append(bare)
                of_workers = figures["loop"].setdefault(
                    str(workers), {"images_per_s": [], "ratio": [], "stage_end_s": []}
                )
                of_workers["images_per_s"].append(rate)
                of_workers["ratio"].append(rate / bare)
                of_workers["stage_end_s"].append(stage_s)
    figures["bare_images_per_s"] = round(statistics.median(figures["bare_images_per_s"]), 1)
    for workers, of_workers in figures["loop"].items():
        ratios = of_workers["ratio"]
        figures["loop"][workers] = {
            "images_per_s": round(statistics.median(of_workers["images_per_s"]), 1),
            "ratio": round(statistics.median(ratios), 3),
            "ratio_range": [round(min(ratios), 3), round(max(ratios), 3)],
            "stage_end_s": round(statistics.median(of_workers["stage_end_s"]), 2),
        }
        told = figures["loop"][workers]
        print(
            f"{workload.name:28} {workers} data workers: loop {told['images_per_s']:8.1f} images/s, "
            f"bare {figures['bare_images_per_s']:8.1f}, ratio {told['ratio']:.3f}",
            flush=True,
        )
    return figures


def main() -> None:
    """Measure, print and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--cifar10", type=Path, required=True, help="image pack of CIFAR-10")
    parser.add_argument("--tinyimagenet", type=Path, required=True, help="image pack of Tiny-ImageNet")
    parser.add_argument("--workload", nargs="+", choices=[one.name for one in WORKLOADS], default=None)
    parser.add_argument("--data-workers", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--name", default=None, help="file name of the results")
    arguments = parser.parse_args()
    keep_freed_memory()
    chosen = [one for one in WORKLOADS if arguments.workload is None or one.name in arguments.workload]
    packs = {name: open_images(getattr(arguments, name)) for name in {one.pack for one in chosen}}
    device = torch.device(arguments.device)
    result = {
        "benchmark": "training loop",
        "protocol": {
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
            "threads": torch.get_num_threads(),
            "repeats": arguments.repeats,
            "figures": "medians; a ratio is of a loop and the bare step measured just before",
            "workloads": {one.name: {"n_images": one.n_images, **asdict(one.config)} for one in chosen},
        },
        "figures": {one.name: measured(one, packs[one.pack], arguments) for one in chosen},
        **provenance(("numpy", "torch", "torchvision", "pillow")),
    }
    keep(arguments.name or f"training_loop_{device.type}", result)


if __name__ == "__main__":
    main()
