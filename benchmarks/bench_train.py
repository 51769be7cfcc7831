"""Training with workers on Ray beside a local run: images a second, start-up, and how far the losses part.

    python -m benchmarks.bench_train --workload resnet18 --name train_resnet18

Each workload is trained locally, with one worker, and with several, from one seed, `--repeats` times in
turn. Rates are of the training phase, figures at the ends of stages included, reading and start-up excluded;
the workers share the threads of the local run, and have its niceness (Ray's default is 15). Freed memory is
kept on both sides, as `hashnet train` has it. Differences are of the loss over a sample, at the end of each
stage.
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from benchmarks.provenance import keep, provenance
from hashnet.allocator import keep_freed_memory
from hashnet.datasets import open_images
from hashnet.training import TrainConfig, TrainResult, train


@dataclass(frozen=True)
class Workload:
    """Images of a pack, made here from a seed, and what is trained on them."""

    name: str
    n_images: int
    side: int
    config: TrainConfig


WORKLOADS = (
    Workload(
        "resnet18",
        256,
        32,
        TrainConfig(
            backbone="resnet18",
            n_bits=48,
            image_size=64,
            iterations=12,
            batch_size=64,
            stages=3,
            beta_max=1.5,
            beta_final=2.0,
            device="cpu",
        ),
    ),
    Workload(
        "small_cnn",
        1024,
        32,
        TrainConfig(
            n_bits=48,
            image_size=32,
            iterations=24,
            batch_size=128,
            stages=3,
            beta_max=1.5,
            beta_final=2.0,
            device="cpu",
        ),
    ),
    Workload(
        "head",
        2048,
        32,
        TrainConfig(
            n_bits=48,
            image_size=32,
            freeze_backbone=True,
            iterations=100,
            stages=10,
            device="cpu",
        ),
    ),
)
LABELS = 10
NICENESS = "RAY_worker_niceness"  # of the environment, read when Ray is loaded


def make_pack(path: Path, workload: Workload) -> None:
    """Write noisy images whose class is a colour, a brightness and a corner."""
    rng = np.random.default_rng(0)
    n, side = workload.n_images, workload.side
    labels = np.arange(n) % LABELS
    images = rng.integers(0, 120, (n, side, side, 3))
    half = side // 2
    for image, label in zip(images, labels, strict=True):
        row, column = half * (label % 2), half * (label // 2 % 2)
        image[row : row + half, column : column + half, label % 3] += 100
    files = [png(image) for image in images.astype(np.uint8)]
    offsets = np.cumsum([0, *map(len, files)], dtype=np.int64)
    np.savez(path, blob=np.frombuffer(b"".join(files), np.uint8), offsets=offsets, label=labels)


def png(image: NDArray[np.uint8]) -> bytes:
    """Return the image as a file."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, format="PNG")
    return file.getvalue()


def trained(path: Path, workload: Workload, workers: int, output: Path) -> tuple[TrainResult, float]:
    """Return the result and the seconds of the whole call; 0 workers are a local run."""
    rows = np.arange(workload.n_images)
    began = time.perf_counter()
    if workers == 0:
        result = train(open_images(path), rows, workload.config, output=output)
    else:
        from hashnet.distributed import train_with_ray

        result = train_with_ray(path, output, workload.config, indices=rows, workers=workers)
    return result, time.perf_counter() - began


def figures(workload: Workload, runs: list[tuple[TrainResult, float]], base: TrainResult) -> dict[str, Any]:
    """Return the medians of a way to train, and how far its losses are from those of ``base``."""
    facts = [result.metrics["training"] for result, _ in runs]
    config = facts[0]["identity"]
    images = config["iterations"] * min(config["batch_size"], workload.n_images)
    losses = np.array([[stage["loss_relaxed"] for stage in r.metrics["stages"]] for r in (runs[0][0], base)])
    return {
        "images_per_s": round(
            statistics.median(images / (one["total_s"] - one["read_s"]) for one in facts), 1
        ),
        "read_images_per_s": round(
            statistics.median(one["n_images"] / max(one["read_s"], 1e-3) for one in facts), 1
        ),
        "start_up_s": round(
            statistics.median(
                seconds - one["total_s"] for (_, seconds), one in zip(runs, facts, strict=True)
            ),
            1,
        ),
        "largest_loss_difference": float(np.abs(losses[0] - losses[1]).max()),
        "same_fingerprint": runs[0][0].fingerprint == base.fingerprint,
        "repeats_agree": len({result.fingerprint for result, _ in runs}) == 1,
    }


def main() -> None:
    """Train in every way, print and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--workload",
        nargs="+",
        choices=[one.name for one in WORKLOADS],
        default=[one.name for one in WORKLOADS],
        help="resnet18 and small_cnn train all of the network, head a head on features of small_cnn",
    )
    parser.add_argument("--name", default="train", help="file name of the results")
    arguments = parser.parse_args()

    keep_freed_memory()
    os.environ.setdefault(NICENESS, "0")
    from hashnet.distributed import ray_cluster

    workloads = [one for one in WORKLOADS if one.name in arguments.workload]
    ways = [0, *arguments.workers]
    result: dict[str, Any] = {
        "benchmark": "train",
        "protocol": {
            "threads": torch.get_num_threads(),
            "repeats": arguments.repeats,
            "niceness_of_workers": int(os.environ[NICENESS]),
            "figures": "medians; losses of the first repeat",
            "workloads": {
                one.name: {"n_images": one.n_images, "side": one.side, "config": asdict(one.config)}
                for one in workloads
            },
        },
        "figures": {},
    }
    with tempfile.TemporaryDirectory() as scratch, ray_cluster("local"):
        for workload in workloads:
            path = Path(scratch) / "pack.npz"
            make_pack(path, workload)
            runs: dict[int, list[tuple[TrainResult, float]]] = {way: [] for way in ways}
            for repeat in range(arguments.repeats):
                for way in ways:
                    output = Path(scratch) / f"{workload.name}-{way}-{repeat}"
                    runs[way].append(trained(path, workload, way, output))
            base = runs[0][0][0]
            for way in ways:
                name = "local" if way == 0 else f"{way} worker{'s' if way > 1 else ''}"
                measured = figures(workload, runs[way], base)
                result["figures"].setdefault(workload.name, {})[name] = measured
                print(
                    f"{workload.name:10} {name:10} {measured['images_per_s']:8.1f} images/s, "
                    f"start-up {measured['start_up_s']:5.1f} s, "
                    f"loss differs by {measured['largest_loss_difference']:.1e}"
                    f"{', same fingerprint' if measured['same_fingerprint'] else ''}",
                    flush=True,
                )
    keep(arguments.name, result | provenance(("numpy", "torch", "ray")))


if __name__ == "__main__":
    main()
