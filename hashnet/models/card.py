"""The model card: what a model is, how it was trained, how good it is and how to use it, as Markdown.

It is made anew from config.json and metrics.json and read by nobody but people: deleting or editing it
changes nothing, and it has no part in the fingerprint.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePath
from typing import Any

from hashnet.files import write_atomically
from hashnet.models.files import read_json

CARD_FILE = "README.md"
CONFIG_FILE = "config.json"
METRICS_FILE = "metrics.json"

EVALUATIONS = "evaluations"
"""The part of metrics.json that keeps the figures of the model."""

PROTOCOL = "protocol"
"""The part of what metrics.json says of the training that keeps the protocol of the training images."""

_SHOWN_CLASSES = 20
# What tells two evaluations apart: figures of one protocol replace each other.
_PROTOCOL = ("data", "n_queries", "n_database", "at", "radius", "seed", "similarity")
_LAST_STAGE = (
    ("loss_relaxed", "loss on relaxed codes, at the end"),
    ("loss_sgn", "loss on sgn codes, at the end"),
    ("gap", "mean distance of a relaxed bit from its sign"),
    ("sample", "images looked at, at the end"),
    ("distinct_codes", "distinct codes among them"),
    ("constant_bits", "constant bits among them"),
)
_FIGURES = (
    ("map", "MAP@{at}"),
    ("map_tie_aware", "MAP@{at}, tie-aware"),
    ("map_within", "MAP@H≤{radius}"),
    ("precision_within", "P@H≤{radius}"),
    ("recall_within", "recall, H≤{radius}"),
    ("empty_balls", "empty balls, H≤{radius}"),
)


def model_card(config: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    """Return the card of a model directory, whose two JSON files are given."""
    architecture, training = config["architecture"], metrics.get("training", {})
    settings = training.get("identity", {})
    method = settings.get("method", "hashnet")
    lines = [
        f"# {architecture['backbone']}, {config['n_bits']} bits",
        "",
        f"Images to binary codes of {config['n_bits']} bits, to be compared by Hamming distance: a network "
        f"trained with the method {method} by hashnet. This page is written by hashnet from `{CONFIG_FILE}` "
        f"and `{METRICS_FILE}`.",
        "",
        *_table(_what(config)),
        "",
        "## Training",
        "",
        *_training(metrics),
        "## Settings",
        "",
        *_settings(settings),
        "",
        "## Figures",
        "",
        *_evaluations(metrics.get(EVALUATIONS, [])),
        "## Use",
        "",
        "```sh",
        "hashnet hash photos/ --model MODEL                      # the codes of your own images",
        "hashnet hash photos/ --model MODEL --index photos.hnx   # ready to be searched",
        "hashnet search photos.hnx --model MODEL --image cat.jpg",
        "hashnet export MODEL --onnx model.onnx                  # for other runtimes",
        "```",
        "",
        "```python",
        "from hashnet.encoding import Encoder",
        "",
        'codes = Encoder.load("MODEL").encode(images)  # PIL images to packed codes, uint8',
        "```",
        "",
        "`MODEL` is this directory. Codes of models with different fingerprints cannot be compared. What the "
        "backbone's weights and the training images permit holds for this model as well.",
        "",
    ]
    return "\n".join(lines)


def write_card(directory: Path | str) -> Path:
    """Write the card of a model directory and return its path; DamagedError for files that hold no JSON."""
    directory = Path(directory)
    metrics = directory / METRICS_FILE
    card = model_card(read_json(directory / CONFIG_FILE), read_json(metrics) if metrics.is_file() else {})
    target = directory / CARD_FILE
    write_atomically(target, card.encode())
    return target


def record_evaluation(directory: Path | str, evaluation: Mapping[str, Any]) -> None:
    """Keep figures (``Evaluation.to_json()``) in a model's metrics.json and card.

    Figures of the same protocol are replaced, others are kept beside. Of the data only the last part of the
    path is kept, for models are handed on. The fingerprint stays.
    """
    directory = Path(directory)
    config = read_json(directory / CONFIG_FILE)
    path = directory / METRICS_FILE
    metrics = read_json(path) if path.is_file() else {}
    found = {**evaluation, "data": PurePath(str(evaluation.get("data", ""))).name}
    others = [one for one in metrics.get(EVALUATIONS, []) if not _same_protocol(one, found)]
    metrics[EVALUATIONS] = [*others, found]
    write_atomically(path, (json.dumps(metrics, indent=2) + "\n").encode())
    write_atomically(directory / CARD_FILE, model_card(config, metrics).encode())


def record_protocol(directory: Path | str, description: Mapping[str, Any], *, n_rows: int) -> None:
    """Keep the protocol that a model was trained by in its metrics.json and card.

    ``description`` is that of the protocol with its checksum (``ProtocolData.describe()``), ``n_rows`` the
    number of training rows that were taken from it. Of the data only the last part of the path is kept. The
    fingerprint stays.
    """
    directory = Path(directory)
    config = read_json(directory / CONFIG_FILE)
    path = directory / METRICS_FILE
    metrics = read_json(path) if path.is_file() else {}
    found = {**description, "data": PurePath(str(description.get("data", ""))).name, "n_rows": n_rows}
    metrics["training"] = {**metrics.get("training", {}), PROTOCOL: found}
    write_atomically(path, (json.dumps(metrics, indent=2) + "\n").encode())
    write_atomically(directory / CARD_FILE, model_card(config, metrics).encode())


def training_protocol(metrics: Mapping[str, Any]) -> str | None:
    """Return in one line the protocol that a model was trained by, None where none is recorded."""
    found = metrics.get("training", {}).get(PROTOCOL)
    if not isinstance(found, Mapping):
        return None
    repaired = ", repaired" if found.get("repaired") else ""
    n_rows = f"{found.get('n_rows', 0):,} training rows"
    return f"{found.get('protocol')}{repaired}, {n_rows}, {found.get('checksum')}"


def _what(config: Mapping[str, Any]) -> list[tuple[str, Any]]:
    architecture, preprocessing, classes = config["architecture"], config["preprocessing"], config["classes"]
    head = f"{architecture['hidden']} ReLU units, then " if architecture["hidden"] else ""
    padding = ", padding as in TensorFlow" if architecture["same_padding"] else ""
    names = ", ".join(classes[:_SHOWN_CLASSES])
    more = f" and {len(classes) - _SHOWN_CLASSES:,} more" if len(classes) > _SHOWN_CLASSES else ""
    return [
        ("backbone", f"{architecture['backbone']}{padding}"),
        ("head", f"{head}{config['n_bits']} bits by their sign"),
        (
            "input",
            f"RGB, the shorter side resized to {preprocessing['resize']}, the centre of "
            f"{preprocessing['size']} x {preprocessing['size']} pixels, mean {_few(preprocessing['mean'])}, "
            f"std {_few(preprocessing['std'])}",
        ),
        ("classes", f"{len(classes):,}: {names}{more}" if classes else "none"),
        ("seed", config["seed"]),
        ("fingerprint", config["fingerprint"]),
    ]


def _settings(settings: Mapping[str, Any]) -> list[str]:
    if not settings:
        return ["Not recorded."]
    shown = {**settings, "weights": settings.get("weights") or "random start"}
    rows = [(name, value) for name, value in shown.items() if value is not None]
    return [*_table(rows), "", "Settings that do not apply to the method are left out."]


def _training(metrics: Mapping[str, Any]) -> list[str]:
    training, stages = metrics.get("training", {}), metrics.get("stages", [])
    if not training:
        return ["Nothing is recorded of the training.", ""]
    rows: list[tuple[str, Any]] = []
    if "n_images" in training:
        rows.append(("images", f"{training['n_images']:,} of {training['n_classes']:,} classes"))
        rows.append(("unreadable images left out", len(training.get("rejects", []))))
    if by := training_protocol(metrics):
        recipe = training[PROTOCOL]
        rows += [
            ("protocol", by),
            ("protocol's split", recipe.get("split", "")),
            ("known data", "yes" if recipe.get("known_data") else "no"),
            *(("fault of the data", fault) for fault in recipe.get("faults", [])),
        ]
    if training.get("pair_weights"):
        similar, dissimilar = training["pair_weights"]
        rows.append(("weights of similar and dissimilar pairs", f"{similar:.4g} and {dissimilar:.4g}"))
    rows += [(name, training[name]) for name in ("device", "workers", "torch") if name in training]
    if "total_s" in training:
        rows.append(("seconds", training["total_s"]))
    if stages:
        last = stages[-1]
        rows += [(name, last[key]) for key, name in _LAST_STAGE if last.get(key) is not None]
    if saturated := metrics.get("sgn"):
        rows.append(
            (
                "codes of tanh and of sgn that differ",
                f"{saturated['differing_codes']:,} of all {saturated['n']:,}",
            )
        )
    return [*_table(rows), ""]


def _evaluations(evaluations: list[Mapping[str, Any]]) -> list[str]:
    if not evaluations:
        return [
            "Not evaluated yet: `hashnet evaluate --model MODEL --data DATA --card` writes them here.",
            "",
        ]
    lines: list[str] = []
    for one in evaluations:
        intervals = one.get("intervals") or {}
        rows = []
        for key, name in _FIGURES:
            if key in one:
                rows.append((name.format(**one), f"{one[key]:.4f}{_interval(intervals.get(key))}"))
        lines += [
            f"### {_plain(one.get('data') or 'unnamed data')}",
            "",
            *_table(rows),
            "",
            *_protocol(one),
            "",
        ]
    return lines


def _protocol(one: Mapping[str, Any]) -> list[str]:
    order = "the order given" if one.get("seed") is None else f"shuffled with seed {one['seed']}"
    notes = one.get("notes") or {}
    # What the card says elsewhere.
    known = ("model", "trained by")
    noted = "; ".join(f"{_plain(name)}: {_plain(v)}" for name, v in notes.items() if name not in known)
    said = (
        f"{one['n_queries']:,} queries, a database of {one['n_database']:,} ({order}); similar means "
        f"{one.get('similarity', 'at least one shared label')}. MAP as published divides by the relevant "
        "items among the first R; the tie-aware one is its mean over all orders of equal distances."
    )
    if recipe := one.get("recipe"):
        said = f"Protocol {_plain(recipe.get('protocol'))}, {_plain(recipe.get('checksum'))}: {said}"
    interval = " The brackets hold 95% confidence intervals over queries." if one.get("intervals") else ""
    return [said + interval + (f" {noted}." if noted else "")]


def _interval(interval: Any) -> str:
    if isinstance(interval, Mapping) and {"low", "high"} <= set(interval):
        return f" [{interval['low']:.4f}, {interval['high']:.4f}]"
    if isinstance(interval, list | tuple) and len(interval) == 2:
        return f" [{interval[0]:.4f}, {interval[1]:.4f}]"
    return ""


def _same_protocol(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    def protocol(one: Mapping[str, Any]) -> list[Any]:
        split = (one.get("notes") or {}).get("split")
        return [split, one.get("recipe") or {}, *(one.get(name) for name in _PROTOCOL)]

    return protocol(a) == protocol(b)


def _table(rows: Iterable[tuple[str, Any]]) -> list[str]:
    return ["| | |", "|---|---|", *(f"| {_plain(name)} | {_plain(value)} |" for name, value in rows)]


def _plain(value: Any) -> str:
    """Return a value as one line that cannot end a table cell, a heading or begin markup."""
    if isinstance(value, float):
        value = f"{value:.6g}"
    if isinstance(value, list | tuple):
        value = _few(value)
    text = " ".join(str(value).split()).replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"([\\|*`\[\]])", r"\\\1", text)


def _few(values: Iterable[Any]) -> str:
    return ", ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values)
