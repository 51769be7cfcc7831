"""LSH, ITQ and HashNet on the same frozen features of Tiny-ImageNet-100, over several seeds.

    python -m benchmarks.bench_learning --data tinyimagenet100_jpeg.npz \
        --weights mobilenet_v2_imagenet_fp16.safetensors

Database = training set = split 0, queries = split 1, MobileNetV2 at 128 pixels with SAME padding, database
shuffled by the seed. LSH and ITQ take the features; HashNet trains its head on them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.provenance import keep, provenance
from hashnet.baselines import ITQ, LSH
from hashnet.codes import Codes, pack
from hashnet.datasets import ImageSet, open_images, split
from hashnet.evaluation import Evaluation, evaluate
from hashnet.models import load_model
from hashnet.progress import Progress, make_progress
from hashnet.training import FeatureInputs, TrainConfig, extract_features, train

FIGURES = ("map", "map_tie_aware", "precision_within", "empty_balls")


def settings(arguments: argparse.Namespace, n_bits: int, seed: int) -> TrainConfig:
    """Return the training settings of one run: the defaults for a frozen backbone."""
    return TrainConfig(
        backbone="mobilenet_v2",
        n_bits=n_bits,
        weights=str(arguments.weights),
        freeze_backbone=True,
        same_padding=True,
        image_size=128,
        hidden=arguments.hidden,
        seed=seed,
    )


def all_features(model_dir: Path, images: ImageSet, progress: Progress) -> FeatureInputs:
    """Return the features of every image by the backbone of a trained model."""
    model = load_model(model_dir)
    return extract_features(
        model.network, images, np.arange(len(images)), model.preprocessing, progress=progress
    )


def head_codes(model_dir: Path, features: torch.Tensor) -> Codes:
    """Return the codes that a trained model gives to features of its backbone."""
    model = load_model(model_dir)
    with torch.inference_mode():
        return pack(model.network.eval().hash(features).numpy())


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return mean and standard deviation of each figure over the seeds."""
    figures: dict[str, Any] = {}
    for name in FIGURES:
        values = [run[name] for run in runs]
        figures[name] = {
            "mean": round(statistics.mean(values), 4),
            "sd": round(statistics.stdev(values), 4) if len(values) > 1 else 0.0,
        }
    return figures


def short(evaluation: Evaluation, seconds: float) -> dict[str, Any]:
    """Return the figures of a run, without the curves."""
    values = evaluation.to_json()
    kept = {name: values[name] for name in (*FIGURES, "precision_at", "seed", "at", "radius")}
    return {**kept, "distinct_codes": evaluation.bits.distinct_codes, "fit_seconds": round(seconds, 1)}


def main() -> None:
    """Train, encode, evaluate, print and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="image pack with labels and split")
    parser.add_argument("--weights", type=Path, required=True, help="MobileNetV2 weights, .safetensors")
    parser.add_argument("--bits", type=int, nargs="+", default=[48])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--at", type=int, default=1000)
    parser.add_argument("--hidden", type=int, default=None, help="width of the head's hidden layer; 0: none")
    parser.add_argument("--output", type=Path, default=None, help="keep the models here")
    parser.add_argument("--name", default="learning_tinyimagenet100", help="file name of the results")
    parser.add_argument("--progress", choices=("auto", "bar", "json", "none"), default="auto")
    arguments = parser.parse_args()
    progress = make_progress(arguments.progress)
    images = open_images(arguments.data)
    if images.labels is None:
        parser.error(f"{arguments.data} has no labels; MAP needs them")
    parts = split(images)

    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.output or Path(scratch)
        inputs: FeatureInputs | None = None
        runs: dict[str, list[dict[str, Any]]] = {}
        for n_bits in arguments.bits:
            for seed in arguments.seeds:
                model_dir = folder / f"hashnet-{n_bits}-{seed}"
                began = time.perf_counter()
                config = settings(arguments, n_bits, seed)
                train(images, parts.database, config, output=model_dir, resume=True, progress=progress)
                trained = time.perf_counter() - began
                if inputs is None:
                    inputs = all_features(model_dir, images, progress)
                for name, codes, seconds in (
                    ("HashNet", head_codes(model_dir, inputs.features), trained),
                    *baselines(inputs.features.numpy(), parts.database, n_bits, seed),
                ):
                    evaluation = evaluate(
                        codes[parts.query],
                        images.labels[parts.query],
                        codes[parts.database],
                        images.labels[parts.database],
                        at=arguments.at,
                        seed=seed,
                    )
                    runs.setdefault(f"{name} {n_bits}", []).append(short(evaluation, seconds))
                    print(
                        f"{name:8} {n_bits:4} bits, seed {seed}: MAP@{evaluation.at} {evaluation.map:.4f}, "
                        f"tie-aware {evaluation.map_tie_aware:.4f}, "
                        f"P@H<=2 {evaluation.precision_within:.4f} ({seconds:.0f} s)",
                        flush=True,
                    )
        settings_used = json.loads((model_dir / "metrics.json").read_text(encoding="utf-8"))

    result = {
        "benchmark": "learning",
        "protocol": {
            "data": arguments.data.name,
            "weights": arguments.weights.name,
            "n_database": len(parts.database),
            "n_queries": len(parts.query),
            "train": "the database",
            "similar": "at least one shared label",
            "features": "MobileNetV2, frozen, 128 px, SAME padding, 1280-d",
            "at": arguments.at,
            "seeds": arguments.seeds,
            "database_order": "shuffled by the seed",
        },
        "hashnet_settings": settings_used["training"]["identity"],
        "figures": {name: summary(of) for name, of in runs.items()},
        "runs": runs,
        **provenance(("numpy", "torch", "torchvision", "pillow", "scikit-learn")),
    }
    keep(arguments.name, result)


def baselines(
    features: NDArray[np.float32], database: NDArray[np.int64], n_bits: int, seed: int
) -> list[tuple[str, Codes, float]]:
    """Return (name, codes of all features, seconds) of LSH and ITQ, fitted to the database."""
    results: list[tuple[str, Codes, float]] = []
    for name, method in (("LSH", LSH(n_bits, seed=seed)), ("ITQ", ITQ(n_bits, seed=seed))):
        began = time.perf_counter()
        codes = method.fit(features[database]).encode(features)
        results.append((name, codes, time.perf_counter() - began))
    return results


if __name__ == "__main__":
    main()
