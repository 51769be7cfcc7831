"""Do methods change places when blocks of the backbone are trained with the head, or all of it?

    python -m benchmarks.finetune --protocol tinyimagenet100 --data tinyimagenet100_jpeg.npz \
        --weights mobilenet_v2_imagenet_fp16.safetensors --work DIR --blocks 0 1 --iterations 250

Every method has the same head, steps and batches, and the rates that ``reproduce --tune`` chose for it;
``--blocks`` are trained besides, counted from the last: none, some or all. Trained on and searched are the
protocol's training rows but for a validation part, which asks, as in ``reproduce --tune``. With ``--queries``
the protocol's own queries ask its own database. Each run is a folder in ``--work``: a training that was
interrupted goes on where it was. Stored as results/finetune_<protocol>.json.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.provenance import keep, provenance
from benchmarks.reproduce import (
    add_source,
    chosen_settings,
    held_out,
    one_run,
    opened,
)
from hashnet.codes import Codes
from hashnet.comparison import Features
from hashnet.datasets import ImageSet
from hashnet.encoding import Encoder
from hashnet.evaluation import evaluate, mean_interval
from hashnet.files import write_atomically
from hashnet.progress import Progress, make_progress
from hashnet.training import TrainConfig, train
from hashnet.training.config import frozen_defaults

ALL = "all"
METHODS = "hashnet,hashnet-sgn,dhn,cnnh,csq,orthohash"
OWN = (
    "backbone",
    "image_size",
    "same_padding",
    "iterations",
    "augment",
    "micro_batch",
    "backbone_lr_factor",
    "device",
)
FIGURES = ("map", "map_tie_aware", "precision_within")


class Trial(NamedTuple):
    """What is trained."""

    method: str
    blocks: int | str
    n_bits: int
    seed: int
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Bench:
    """What all trials share: images, who asks whom, and R."""

    images: ImageSet
    sides: Features
    at: int
    options: argparse.Namespace
    progress: Progress


def main() -> None:
    """Train every method with every number of blocks, then print and store."""
    options = _options()
    progress = make_progress(options.progress)
    protocol, features = opened(options, progress)
    sides = features if options.queries else held_out(features)
    at = protocol.at if options.queries else options.tune_at
    bench = Bench(protocol.images, sides, at, options, progress)
    chosen = chosen_settings(options)
    found: dict[str, Any] = {}
    for method in options.methods.split(","):
        settings = chosen.get(method, {"settings": {}})["settings"]
        for blocks in options.blocks:
            for n_bits in options.bits:
                runs = [run(bench, Trial(method, blocks, n_bits, seed, settings)) for seed in options.seeds]
                figures = {
                    name: [round(value, 4) for value in mean_interval([one[name] for one in runs])]
                    for name in FIGURES
                }
                found.setdefault(method, {}).setdefault(str(blocks), {})[str(n_bits)] = figures
                print(f"{method:12} blocks {blocks}, {n_bits} bits: {figures}", flush=True)
    result = {
        "benchmark": "finetune",
        "protocol": options.protocol,
        "measured_by": f"MAP@{at}, tie-aware as well, and P@H<=2 of {len(sides.query)} "
        f"{'queries' if options.queries else 'validation rows'} on {len(sides.database)} rows, "
        f"seeds {options.seeds}: mean, low, high",
        "trained": f"{options.iterations} steps, {options.backbone} at {options.image_size} px, blocks at "
        f"{options.backbone_lr_factor} times the rate of the head, augmentation {options.augment}",
        "settings": {method: chosen[method]["settings"] for method in found if method in chosen},
        "figures": found,
        **provenance(("numpy", "torch", "torchvision", "pillow")),
    }
    keep(f"finetune_{options.protocol}", result)


def run(bench: Bench, trial: Trial) -> dict[str, Any]:
    """Train, encode and evaluate, or return what an earlier call with the same settings stored."""
    options, sides = bench.options, bench.sides
    if trial.blocks == 0:
        frozen = one_run(
            sides,
            trial.method,
            trial.n_bits,
            trial.seed,
            settings={**trial.settings, "iterations": options.iterations},
            at=bench.at,
            folder=options.work / "finetune",
            progress=bench.progress,
        )
        evaluation: dict[str, Any] = frozen["evaluation"]
        return evaluation
    config = config_of(trial, options)
    identity = {**config.identity(), "at": bench.at, "mark": sides.mark, "rows": sides.rows_mark}
    mark = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]
    name = f"{trial.method}_{trial.blocks}_{trial.n_bits}_{trial.seed}_{mark}"
    folder = options.work / "finetune" / name
    path = folder.with_suffix(".json")
    if not path.exists():
        rows = sides.rows[sides.train]
        train(bench.images, rows, config, output=folder, resume=True, progress=bench.progress)
        codes = encoded(bench, folder)
        evaluation = evaluate(
            codes["query"],
            sides.side_labels(sides.query),
            codes["database"],
            sides.side_labels(sides.database),
            at=bench.at,
            seed=trial.seed,
        ).to_json()
        write_atomically(path, (json.dumps(evaluation) + "\n").encode())
    stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return stored


def config_of(trial: Trial, options: argparse.Namespace) -> TrainConfig:
    """Return the settings of a trial: those of training the head alone, and blocks besides."""
    settings = {
        **frozen_defaults(trial.method),
        **trial.settings,
        "train_last_blocks": None if trial.blocks == ALL else trial.blocks,
        "weights": str(options.weights),
    }
    for name in OWN:
        settings[name] = getattr(options, name)
    return TrainConfig(method=trial.method, n_bits=trial.n_bits, seed=trial.seed, **settings)


def encoded(bench: Bench, model: Path) -> dict[str, Codes]:
    """Return the codes of both sides."""
    encoder = Encoder.load(model, device=bench.options.device)
    found = {}
    for name, places in (("database", bench.sides.database), ("query", bench.sides.query)):
        bench.progress.start(f"encode {name}", len(places))
        rows = encoder.encode_image_set(bench.images, bench.sides.rows[places], progress=bench.progress)
        bench.progress.finish()
        if rows.rejects:
            raise ValueError(f"{len(rows.rejects)} images cannot be read, the first is {rows.rejects[0]}")
        found[name] = rows.codes
    return found


def _blocks(text: str) -> int | str:
    return ALL if text == ALL else int(text)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_source(parser)
    parser.add_argument("--methods", default=METHODS, help="by comma")
    parser.add_argument(
        "--blocks", type=_blocks, nargs="+", default=[0, 1], help="how many are trained; 0, a number, or all"
    )
    parser.add_argument("--bits", type=int, nargs="+", default=[48])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--iterations", type=int, default=500)
    parser.add_argument("--augment", choices=("none", "shift", "flip"), default="none")
    parser.add_argument("--micro-batch", type=int, help="images that the network sees at once")
    parser.add_argument("--backbone-lr-factor", type=float, default=0.1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--queries", action="store_true", help="the protocol's queries ask its database")
    parser.add_argument("--tune-at", type=int, default=100, help="R of validation rows")
    return parser.parse_args()


if __name__ == "__main__":
    main()
