"""All methods of the paper's comparison on one protocol: tables with intervals, figures, one page.

    python -m benchmarks.reproduce --protocol tinyimagenet100 --data tinyimagenet100_jpeg.npz \
        --weights mobilenet_v2_imagenet_fp16.safetensors --work DIR

Features of a frozen backbone are computed once; every method learns on the same features of the protocol's
training rows, with settings chosen on a validation part of these rows (``--tune``; kept in
learning_settings.json). Each run is a file in ``--work``: a run that was interrupted goes on where it was.
Stored as results/reproduce_<protocol>.json and figures beside it; the page goes to ``--page``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.learning_grids import CHANGES, GRIDS, SETTINGS_OF
from benchmarks.learning_pages import SHOWN_BITS, shown_training, write_page
from benchmarks.provenance import RESULTS, keep, provenance
from benchmarks.published import PUBLISHED
from hashnet.comparison import (
    CompareSettings,
    Comparison,
    Features,
    Job,
    Result,
    Runs,
    extract,
    feature_identity,
    measure_methods,
    protocol_sides,
)
from hashnet.datasets import ProtocolData, open_protocol
from hashnet.evaluation import evaluate, mean_interval
from hashnet.progress import Progress, make_progress
from hashnet.training import TrainConfig
from hashnet.training.methods import METHODS

SETTINGS = Path(__file__).with_name("learning_settings.json")
# Rows of each class that choose settings; queries never do.
VALIDATION_PER_CLASS = 30


def main() -> None:
    """Tune or run, then print and store."""
    options = _options()
    progress = make_progress(options.progress)
    protocol, features = opened(options, progress)
    methods = options.methods.split(",") if options.methods else list(METHODS)
    if options.tune or options.changes:
        (tune if options.tune else changes)(features, methods, options, progress)
        return
    chosen = chosen_settings(options)
    if options.unseen:
        unseen(features, methods, chosen, options)
        return
    asked = CompareSettings(
        methods=tuple(methods),
        bits=tuple(options.bits),
        seeds=tuple(options.seeds),
        at=protocol.at,
        settings={method: one["settings"] for method, one in chosen.items()},
        merit="map_tie_aware",
    )
    # The file is known by its checksum; where it lies is nobody's business.
    described = protocol.describe() | {"data": options.data.name}
    backbone = {
        "backbone": options.backbone,
        "weights": options.weights.name,
        "image_size": options.image_size,
        "same_padding": options.same_padding,
        "mark": features.mark,
    }
    done = measure_methods(
        protocol.images,
        features,
        asked,
        options.work / "runs",
        protocol={
            "source": options.data.name,
            "protocol": described,
            **backbone,
            "at": asked.at,
            "radius": asked.radius,
        },
        watch=show,
        progress=progress,
    )
    for what, why in done.left_out:
        print(f"left out {what}: {why}", file=sys.stderr)
    result = {
        "benchmark": "reproduce",
        "protocol": described,
        "features": backbone,
        "settings": chosen,
        "seeds": options.seeds,
        "cosine_map": None if done.cosine_map is None else round(done.cosine_map, 4),
        "figures": figures(done),
        "left_out": [{"what": what, "why": why} for what, why in done.left_out],
        "training": {"n_bits": SHOWN_BITS, "stages": shown_training(done)},
        "published": PUBLISHED,
        **provenance(("numpy", "scipy", "scikit-learn", "torch", "torchvision", "pillow")),
    }
    name = f"reproduce_{options.protocol}"
    keep(name, result)
    page = options.page or options.work / f"{name}.html"
    write_page(page, RESULTS, name, result, done)
    print(f"page: {page}", file=sys.stderr)


def opened(options: argparse.Namespace, progress: Progress) -> tuple[ProtocolData, Features]:
    """Return the data of the protocol and their features; the folder for runs is there then."""
    options.work.mkdir(parents=True, exist_ok=True)
    protocol = open_protocol(options.protocol, data=options.data)
    return protocol, protocol_features(protocol, options, progress)


def protocol_features(protocol: ProtocolData, options: argparse.Namespace, progress: Progress) -> Features:
    """Return the backbone's features of every image of the protocol, computed once."""
    sides = protocol_sides(protocol)
    config = TrainConfig(
        backbone=options.backbone,
        weights=str(options.weights),
        freeze_backbone=True,
        same_padding=options.same_padding,
        image_size=options.image_size,
        device="cpu",
    )
    identity = feature_identity(protocol.images, config, sides)
    # Other data or settings have a folder of their own; runs are known by the values of the features.
    mark = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:8]
    name = f"features_{options.protocol}_{options.backbone}_{options.image_size}_{mark}"
    return extract(
        protocol.images,
        config,
        sides,
        options.work / name,
        identity=identity,
        seed=0,
        max_error_rate=0.0,
        progress=progress,
    )


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
    runs = Runs(features, folder, at=at, settings={method: settings}, keep_codes=False)
    return asdict(runs.get(Job(method, n_bits, seed), progress=progress))


def show(run: Result) -> None:
    """Print one run."""
    print(
        f"{run.method:12} {run.n_bits:4} bits, seed {run.seed}: "
        f"MAP@{run.at} {run.figure('map'):.4f}, tie-aware {run.figure('map_tie_aware'):.4f}, "
        f"P@H<=2 {run.figure('precision_within'):.4f}"
        f" ({run.fit_s:.0f} s)",
        flush=True,
    )


def figures(done: Comparison) -> dict[str, dict[int, dict[str, Any]]]:
    """Return what is stored of every method and length."""
    found: dict[str, dict[int, list[Result]]] = {}
    for run in done.results:
        found.setdefault(run.method, {}).setdefault(run.n_bits, []).append(run)
    return {
        method: {bits: summary(found[method][bits]) for bits in done.settings.bits if bits in found[method]}
        for method in done.settings.methods
        if method in found
    }


def summary(runs: Sequence[Result]) -> dict[str, Any]:
    """Return each figure's mean over seeds, its 95% interval, and the interval over queries of each seed."""
    figures: dict[str, Any] = {}
    for name in ("map", "map_tie_aware", "precision_within", "empty_balls"):
        evaluations = [run.evaluation or {} for run in runs]
        values = [one[name] for one in evaluations]
        figures[name] = {
            "mean over seeds, low, high": [round(value, 4) for value in mean_interval(values)],
            "seeds": [round(value, 4) for value in values],
        }
        intervals = [one["intervals"].get(name) for one in evaluations]
        if all(intervals):
            figures[name]["over queries, low, high"] = [
                [round(one["low"], 4), round(one["high"], 4)] for one in intervals
            ]
    figures["fit_s"] = round(statistics.median(run.fit_s for run in runs), 1)
    return figures


def tune(features: Features, methods: Sequence[str], options: argparse.Namespace, progress: Progress) -> None:
    """Choose each method's settings on a validation part of the training rows, and keep all figures."""
    held = held_out(features)
    for method in [name for name in methods if name in GRIDS]:
        tried: list[dict[str, Any]] = []
        best: dict[str, Any] = {"settings": {}}
        for line in GRIDS[method]:
            for changed in line:
                tried.append(trial(held, method, {**best["settings"], **changed}, options, progress))
            best = max(tried, key=lambda one: one["map"])
        # Another process may have kept another method meanwhile.
        kept = kept_settings()
        kept.setdefault(options.protocol, {})[method] = {
            "settings": best["settings"],
            "chosen_by": said_of_trials(held, options),
            "tried": tried,
        }
        SETTINGS.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def changes(
    features: Features, methods: Sequence[str], options: argparse.Namespace, progress: Progress
) -> None:
    """Measure every change of ``CHANGES`` alone, on the validation part, and store all figures."""
    held = held_out(features)
    result = {
        "benchmark": "reproduce --changes",
        "protocol": options.protocol,
        "measured_by": said_of_trials(held, options),
        "changes": {
            method: [trial(held, method, changed, options, progress) for changed in CHANGES]
            for method in methods
        },
        **provenance(("numpy", "torch")),
    }
    keep(f"changes_{options.protocol}", result)


def unseen(
    features: Features,
    methods: Sequence[str],
    chosen: Mapping[str, Any],
    options: argparse.Namespace,
) -> None:
    """Learn on half of the training rows; ask the queries for these rows, and for the other half; store both.

    Where the database is what was trained on, a method that learns its rows by heart is right there as well.
    """
    learned, other = halves(features)
    asked = Features(
        features.values,
        features.labels,
        learned,
        np.concatenate([learned, other]),
        features.query,
        features.mark,
    )
    parts = {"learned": slice(0, len(learned)), "unseen": slice(len(learned), None)}
    found: dict[str, Any] = {}
    for method in methods:
        settings = chosen.get(method, {"settings": {}})["settings"]
        runs = Runs(asked, options.work / "unseen", at=options.tune_at, settings={method: settings})
        figures: dict[str, list[Any]] = {name: [] for name in parts}
        for seed in options.seeds:
            _, database, query = runs.whole(Job(method, options.tune_bits, seed))
            for name, part in parts.items():
                labels = features.side_labels(asked.database[part])
                figures[name].append(
                    evaluate(
                        query,
                        features.side_labels(asked.query),
                        np.ascontiguousarray(database[part]),
                        labels,
                        at=options.tune_at,
                        seed=seed,
                    ).to_json()
                )
        found[method] = {
            name: {
                figure: [round(value, 4) for value in mean_interval([one[figure] for one in ones])]
                for figure in ("map_tie_aware", "precision_within")
            }
            for name, ones in figures.items()
        }
        print(f"{method:12} {found[method]}", flush=True)
    result = {
        "benchmark": "reproduce --unseen",
        "protocol": options.protocol,
        "measured_by": f"tie-aware MAP@{options.tune_at} and P@H<=2 of {len(features.query)} queries, "
        f"{options.tune_bits} bits, seeds {options.seeds}: mean, low, high",
        "rows": {"learned": len(learned), "unseen": len(other)},
        "settings": {method: chosen[method]["settings"] for method in methods if method in chosen},
        "figures": found,
        **provenance(("numpy", "scipy", "scikit-learn", "torch")),
    }
    keep(f"unseen_{options.protocol}", result)


def held_out(features: Features) -> Features:
    """Return the training rows as database, a validation part of them as queries."""
    train, validation = validation_split(features)
    return Features(features.values, features.labels, train, train, validation, features.mark, features.rows)


def trial(
    held: Features, method: str, settings: Mapping[str, Any], options: argparse.Namespace, progress: Progress
) -> dict[str, Any]:
    """Measure a method with these settings; return the figures that decide."""
    run = one_run(
        held,
        method,
        options.tune_bits,
        options.seeds[0],
        settings=in_format(method, settings, options),
        at=options.tune_at,
        folder=options.work / "tuning",
        progress=progress,
    )
    found = {
        "settings": settings,
        "map": round(run["evaluation"]["map_tie_aware"], 4),
        "precision_within": round(run["evaluation"]["precision_within"], 4),
    }
    print(f"{method:12} {settings}: {found['map']:.4f}, {found['precision_within']:.4f}", flush=True)
    return found


def said_of_trials(held: Features, options: argparse.Namespace) -> str:
    """Return by what trials are measured."""
    return (
        f"tie-aware MAP@{options.tune_at} of {len(held.query)} validation rows on the "
        f"{len(held.train)} others, {options.tune_bits} bits, seed {options.seeds[0]}"
    )


def kept_settings() -> dict[str, Any]:
    """Return the chosen settings by protocol and method, with the figures that chose them."""
    found: dict[str, Any] = json.loads(SETTINGS.read_text(encoding="utf-8")) if SETTINGS.exists() else {}
    return found


def chosen_settings(options: argparse.Namespace) -> dict[str, Any]:
    """Return the settings to use, by method."""
    settings = kept_settings()
    chosen = dict(settings.get(options.protocol, settings.get(options.settings_of, {})))
    chosen |= {method: chosen[other] for method, other in SETTINGS_OF.items() if other in chosen}
    if options.amp == "on":
        for method in METHODS:
            one = chosen.get(method, {"settings": {}, "chosen_by": "the defaults of the method"})
            chosen[method] = {**one, "settings": in_format(method, one["settings"], options)}
    return chosen


def in_format(method: str, settings: Mapping[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """Return the settings of ``method`` with the number format that was asked for, where it has one."""
    asked = options.amp == "on" and not METHODS[method].shallow
    return {**settings, "amp": "on"} if asked else dict(settings)


def validation_split(features: Features) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the training rows without, and those of, a validation part: 30 of each class by first label."""
    return _split(features, lambda n: VALIDATION_PER_CLASS)


def halves(features: Features) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the training rows in two halves, of each class by first label."""
    return _split(features, lambda n: n // 2)


def _split(features: Features, taken_of: Callable[[int], int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    rng = np.random.default_rng(0)
    order = rng.permutation(features.train)
    first = features.side_labels(order).argmax(axis=1)
    taken = np.zeros(len(order), dtype=bool)
    for label in np.unique(first):
        rows = np.flatnonzero(first == label)
        taken[rows[: taken_of(len(rows))]] = True
    return np.sort(order[~taken]), np.sort(order[taken])


def add_source(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which images are used, through which backbone, and where runs are kept."""
    parser.add_argument("--protocol", required=True, help="tinyimagenet100, cifar10 or mosaic")
    parser.add_argument("--data", type=Path, required=True, help="image pack of the protocol")
    parser.add_argument("--weights", type=Path, required=True, help="weights of the backbone, .safetensors")
    parser.add_argument("--work", type=Path, required=True, help="folder for features and runs")
    parser.add_argument("--backbone", default="mobilenet_v2")
    parser.add_argument("--image-size", type=int, default=128)
    parser.add_argument("--same-padding", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--amp", choices=("on", "off"), default="off", help="bfloat16 in deep methods' steps")
    parser.add_argument("--settings-of", default="tinyimagenet100", help="whose settings, if it has none")
    parser.add_argument("--progress", choices=("auto", "bar", "json", "none"), default="auto")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_source(parser)
    parser.add_argument("--page", type=Path, help="page to write; default: reproduce_PROTOCOL.html in --work")
    parser.add_argument("--methods", default="", help="some of them, by comma; default: all")
    parser.add_argument("--bits", type=int, nargs="+", default=[16, 32, 48, 64])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--tune", action="store_true", help="choose settings on validation rows, and stop")
    parser.add_argument("--changes", action="store_true", help="measure changes of --methods, each alone")
    parser.add_argument("--unseen", action="store_true", help="search rows that were not trained on as well")
    parser.add_argument("--tune-bits", type=int, default=48, help="of --tune, --changes and --unseen")
    parser.add_argument("--tune-at", type=int, default=100, help="R; a class has few validation neighbours")
    return parser.parse_args()


if __name__ == "__main__":
    main()
