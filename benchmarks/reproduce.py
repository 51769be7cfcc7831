"""All methods of the paper's comparison on one protocol: tables with intervals, figures, one page.

    python -m benchmarks.reproduce --protocol tinyimagenet100 --data tinyimagenet100_jpeg.npz \
        --weights mobilenet_v2_imagenet_fp16.safetensors --work DIR

Features of a frozen backbone are computed once; every method learns on the same features of the protocol's
training rows, with settings chosen on a validation part of these rows (``--tune``; kept in
learning_settings.json). Each run is a file in ``--work``: a run that was interrupted goes on where it was.
Stored as results/reproduce_<protocol>.json and .html.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.learning_grids import GRIDS
from benchmarks.learning_pages import write_page
from benchmarks.provenance import RESULTS, keep, provenance
from benchmarks.published import PUBLISHED
from hashnet.datasets import ProtocolData, open_protocol
from hashnet.evaluation import evaluate, mean_interval
from hashnet.files import replacing, write_atomically
from hashnet.models import NetworkConfig, Preprocessing, build_network
from hashnet.progress import Progress, make_progress
from hashnet.training import extract_features
from hashnet.training.methods import METHODS, fit_features

SETTINGS = Path(__file__).with_name("learning_settings.json")
# Rows of each class that choose settings; queries never do.
VALIDATION_PER_CLASS = 30


@dataclass(frozen=True)
class Features:
    """Features of the images that could be read, with labels, and where each side's rows are among them."""

    values: NDArray[np.float32]
    labels: NDArray[np.uint8]
    train: NDArray[np.int64]
    database: NDArray[np.int64]
    query: NDArray[np.int64]
    mark: str


def main() -> None:
    """Tune or run, then print and store."""
    options = _options()
    progress = make_progress(options.progress)
    options.work.mkdir(parents=True, exist_ok=True)
    protocol = open_protocol(options.protocol, data=options.data)
    features = protocol_features(protocol, options, progress)
    methods = options.methods.split(",") if options.methods else list(METHODS)
    if options.tune:
        tune(features, methods, options, progress)
        return
    settings = json.loads(SETTINGS.read_text(encoding="utf-8")) if SETTINGS.exists() else {}
    chosen = settings.get(options.protocol, settings.get(options.settings_of, {}))
    runs: dict[str, dict[int, list[dict[str, Any]]]] = {}
    for method in methods:
        for n_bits in options.bits:
            for seed in options.seeds:
                run = one_run(
                    features,
                    method,
                    n_bits,
                    seed,
                    settings=chosen.get(method, {}).get("settings", {}),
                    at=protocol.at,
                    folder=options.work / "runs",
                    progress=progress,
                )
                runs.setdefault(method, {}).setdefault(n_bits, []).append(run)
                show(run)
    result = {
        "benchmark": "reproduce",
        # The file is known by its checksum; where it lies is nobody's business.
        "protocol": protocol.describe() | {"data": options.data.name},
        "features": {
            "backbone": options.backbone,
            "weights": options.weights.name,
            "image_size": options.image_size,
            "same_padding": options.same_padding,
            "mark": features.mark,
        },
        "settings": chosen,
        "seeds": options.seeds,
        "figures": {
            method: {bits: summary(of) for bits, of in by_bits.items()} for method, by_bits in runs.items()
        },
        "published": PUBLISHED,
        **provenance(("numpy", "scipy", "scikit-learn", "torch", "torchvision", "pillow")),
    }
    name = f"reproduce_{options.protocol}"
    keep(name, result)
    write_page(RESULTS / f"{name}.html", result, runs)


def protocol_features(protocol: ProtocolData, options: argparse.Namespace, progress: Progress) -> Features:
    """Return the backbone's features of every image of the protocol, computed once."""
    network = build_network(
        NetworkConfig(options.backbone, 64, same_padding=options.same_padding),
        weights=options.weights,
        generator=torch.Generator().manual_seed(0),
    )
    preprocessing = Preprocessing(options.image_size, options.image_size)
    needed = np.unique(np.concatenate([protocol.train, protocol.database, protocol.query]))
    path = options.work / f"features_{options.backbone}_{options.image_size}.npz"
    if not path.exists():
        inputs = extract_features(network, protocol.images, needed, preprocessing, progress=progress)
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, features=inputs.features.numpy(), rows=inputs.rows)
    stored = np.load(path)
    values, rows = stored["features"], stored["rows"]
    places = {side: _places(rows, getattr(protocol, side)) for side in ("train", "database", "query")}
    mark = hashlib.sha256(values.tobytes()).hexdigest()[:16]
    return Features(values, protocol.labels[rows], mark=mark, **places)


def _places(rows: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    at = np.searchsorted(rows, wanted)
    at[at == len(rows)] = 0
    found: NDArray[np.int64] = at[rows[at] == wanted]
    return found


def one_run(
    features: Features,
    method: str,
    n_bits: int,
    seed: int,
    *,
    settings: Mapping[str, Any],
    at: int,
    folder: Path,
    progress: Progress,
) -> dict[str, Any]:
    """Fit, encode and evaluate, or return what an earlier call with the same settings stored."""
    identity = {
        "method": method,
        "n_bits": n_bits,
        "seed": seed,
        "settings": dict(settings),
        "at": at,
        "features": features.mark,
        "rows": hashlib.sha256(
            b"".join(rows.tobytes() for rows in (features.train, features.database, features.query))
        ).hexdigest()[:16],
    }
    name = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
    path = folder / f"{method}-{n_bits}-{seed}-{name}.json"
    if path.exists():
        stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return stored
    began = time.perf_counter()
    fitted = fit_features(
        method,
        features.values[features.train],
        features.labels[features.train],
        n_bits=n_bits,
        seed=seed,
        settings=settings,
        progress=progress,
    )
    fit_s = time.perf_counter() - began
    evaluation = evaluate(
        fitted.encode(features.values[features.query]),
        features.labels[features.query],
        fitted.encode(features.values[features.database]),
        features.labels[features.database],
        at=at,
        seed=seed,
        progress=progress,
    )
    run = {**identity, "fit_s": round(fit_s, 2), "evaluation": evaluation.to_json()}
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(run).encode())
    return run


def show(run: Mapping[str, Any]) -> None:
    """Print one run."""
    figures = run["evaluation"]
    print(
        f"{run['method']:12} {run['n_bits']:4} bits, seed {run['seed']}: "
        f"MAP@{figures['at']} {figures['map']:.4f}, tie-aware {figures['map_tie_aware']:.4f}, "
        f"P@H<=2 {figures['precision_within']:.4f}"
        f" ({run['fit_s']:.0f} s)",
        flush=True,
    )


def summary(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return each figure's mean over seeds, its 95% interval, and the interval over queries of each seed."""
    figures: dict[str, Any] = {}
    for name in ("map", "map_tie_aware", "precision_within", "empty_balls"):
        values = [run["evaluation"][name] for run in runs]
        figures[name] = {
            "mean over seeds, low, high": [round(value, 4) for value in mean_interval(values)],
            "seeds": [round(value, 4) for value in values],
        }
        intervals = [run["evaluation"]["intervals"].get(name) for run in runs]
        if all(intervals):
            figures[name]["over queries, low, high"] = [
                [round(one["low"], 4), round(one["high"], 4)] for one in intervals
            ]
    figures["fit_s"] = round(statistics.median(run["fit_s"] for run in runs), 1)
    return figures


def tune(features: Features, methods: Sequence[str], options: argparse.Namespace, progress: Progress) -> None:
    """Choose each method's settings on a validation part of the training rows, and keep all figures."""
    train, validation = validation_split(features)
    held = Features(features.values, features.labels, train, train, validation, features.mark)
    kept = json.loads(SETTINGS.read_text(encoding="utf-8")) if SETTINGS.exists() else {}
    of_protocol = kept.setdefault(options.protocol, {})
    for method in methods:
        tried = []
        for settings in GRIDS[method]:
            run = one_run(
                held,
                method,
                options.tune_bits,
                options.seeds[0],
                settings=settings,
                at=options.tune_at,
                folder=options.work / "tuning",
                progress=progress,
            )
            tried.append({"settings": settings, "map": round(run["evaluation"]["map_tie_aware"], 4)})
            print(f"{method:12} {settings}: {tried[-1]['map']:.4f} ({run['fit_s']:.0f} s)", flush=True)
        best = max(tried, key=lambda one: one["map"])
        of_protocol[method] = {
            "settings": best["settings"],
            "chosen_by": f"tie-aware MAP@{options.tune_at} of {len(validation)} validation rows on the "
            f"{len(train)} others, {options.tune_bits} bits, seed {options.seeds[0]}",
            "tried": tried,
        }
        SETTINGS.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def validation_split(features: Features) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the training rows without, and those of, a validation part: 30 of each class by first label."""
    rng = np.random.default_rng(0)
    order = rng.permutation(features.train)
    first = features.labels[order].argmax(axis=1)
    taken = np.zeros(len(order), dtype=bool)
    for label in np.unique(first):
        taken[np.flatnonzero(first == label)[:VALIDATION_PER_CLASS]] = True
    return np.sort(order[~taken]), np.sort(order[taken])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--protocol", required=True, help="tinyimagenet100, cifar10 or mosaic")
    parser.add_argument("--data", type=Path, required=True, help="image pack of the protocol")
    parser.add_argument("--weights", type=Path, required=True, help="weights of the backbone, .safetensors")
    parser.add_argument("--work", type=Path, required=True, help="folder for features and runs")
    parser.add_argument("--backbone", default="mobilenet_v2")
    parser.add_argument("--image-size", type=int, default=128)
    parser.add_argument("--same-padding", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--methods", default="", help="some of them, by comma; default: all")
    parser.add_argument("--bits", type=int, nargs="+", default=[16, 32, 48, 64])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--settings-of", default="tinyimagenet100", help="whose settings, if it has none")
    parser.add_argument("--tune", action="store_true", help="choose settings on validation rows, and stop")
    parser.add_argument("--tune-bits", type=int, default=48)
    parser.add_argument("--tune-at", type=int, default=100, help="R; a class has few validation neighbours")
    parser.add_argument("--progress", choices=("auto", "bar", "json", "none"), default="auto")
    return parser.parse_args()


if __name__ == "__main__":
    main()
