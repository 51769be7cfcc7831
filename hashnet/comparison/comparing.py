"""Methods, lengths and seeds compared on one set of features; what was measured before is not done again."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hashnet.codes import check_n_bits
from hashnet.comparison.features import Features, extract, feature_identity, resolve
from hashnet.comparison.runs import RADIUS, CannotFitError, Job, Result, Runs
from hashnet.comparison.sides import Sides
from hashnet.datasets import ImageSet
from hashnet.errors import DamagedError, HashnetError, ResumeError
from hashnet.evaluation.feature_space import cosine_map, true_neighbours
from hashnet.files import write_atomically
from hashnet.progress import NO_PROGRESS, Progress
from hashnet.training import TrainConfig
from hashnet.training.methods import METHODS

SETTINGS_FILE = "settings.json"
RUNS = "runs"
OURS = ("features", RUNS, "figures")
COLUMN_NAMES = {
    "map": "MAP@{at}",
    "map_tie_aware": "MAP@{at}, tie-aware",
    "precision_within": "P@H<={radius}",
    "recall_within": "recall, H<={radius}",
    "empty_balls": "empty balls",
    **{f"recall@{n}": f"recall@{n}" for n in (10, 100, 1000)},
}
"""The figures of a report by their key."""

NEIGHBOURS = 10
"""Without labels: how many nearest features count as the true neighbours of a query."""


@dataclass(frozen=True)
class CompareSettings:
    """What is compared and how it is measured.

    ``seeds`` are those of the runs: of the method, and of the order of the database among equal distances.
    ``at`` is R of MAP@R. ``settings`` are those of methods by name, their defaults where there are none.
    ``merit`` is the figure that ranks methods where there are labels.
    """

    methods: tuple[str, ...]
    bits: tuple[int, ...]
    seeds: tuple[int, ...]
    at: int = 1000
    radius: int = RADIUS
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    merit: str = "map"

    def __post_init__(self) -> None:
        for name in self.methods:
            if name not in METHODS:
                raise ValueError(f"--methods takes {', '.join(METHODS)}, separated by commas; got {name!r}")
        for n_bits in self.bits:
            check_n_bits(n_bits)
        for name in ("methods", "bits", "seeds"):
            if not getattr(self, name):
                raise ValueError(f"{name} must name at least one, got none")
        if self.at < 1 or self.radius < 0:
            raise ValueError(f"at must be >= 1 and radius >= 0, got {self.at} and {self.radius}")
        if self.merit not in ("map", "map_tie_aware"):
            raise ValueError(f"merit must be map or map_tie_aware, got {self.merit!r}")


@dataclass
class Comparison:
    """All results, the features they stand on, what could not be done, and what no hashing reaches.

    ``protocol`` says, as JSON values, what the figures depend on.
    """

    settings: CompareSettings
    protocol: dict[str, Any]
    images: ImageSet
    features: Features
    runs: Runs
    results: list[Result] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    cosine_map: float | None = None

    @property
    def labelled(self) -> bool:
        """Whether figures are by labels; else they are by neighbours in feature space."""
        return self.features.labels is not None

    @property
    def headline(self) -> tuple[str, str]:
        """The figure that ranks methods: its key and its name."""
        n_database = len(self.features.database)
        if self.labelled:
            tie_aware = ", tie-aware" if self.settings.merit == "map_tie_aware" else ""
            return self.settings.merit, f"MAP@{min(self.settings.at, n_database):,}{tie_aware}"
        # Among 100 of a few hundred codes even bad ones would find most.
        n = 100 if n_database >= 2000 else NEIGHBOURS
        return f"recall@{n}", f"recall@{n} of the {NEIGHBOURS} nearest"

    def values(self, key: str) -> dict[str, dict[int, list[float]]]:
        """Return a figure as method title, bits, and one value a seed."""
        found: dict[str, dict[int, list[float]]] = {}
        for one in self.results:
            value = one.figure(key)
            if value is not None:
                found.setdefault(one.title, {}).setdefault(one.n_bits, []).append(value)
        return found

    def first_seed(self) -> dict[int, dict[str, Result]]:
        """Return the results of the first seed by bits and method title, shortest first."""
        found: dict[int, dict[str, Result]] = {}
        for one in self.results:
            if one.seed == self.settings.seeds[0]:
                found.setdefault(one.n_bits, {})[one.title] = one
        return dict(sorted(found.items()))

    def by_merit(self) -> Iterator[tuple[str, int, float]]:
        """Yield (method title, bits, mean of the headline figure) from the best on."""
        means = [
            (title, n_bits, float(np.mean(runs)))
            for title, of_bits in self.values(self.headline[0]).items()
            for n_bits, runs in of_bits.items()
        ]
        yield from sorted(means, key=lambda one: (-one[2], one[1]))


def compare_methods(
    images: ImageSet,
    sides: Sides,
    config: TrainConfig,
    settings: CompareSettings,
    output: Path,
    *,
    seed: int = 1,
    max_error_rate: float = 0.05,
    overwrite: bool = False,
    progress: Progress = NO_PROGRESS,
) -> Comparison:
    """Extract features, fit and measure every method at every length with every seed, and return all.

    What is in ``output`` already is not done again; what was begun there with other data or settings raises
    ResumeError, unless ``overwrite``. Methods, lengths and seeds may be more, or others, from call to call.
    ``seed`` is that of a backbone without weights.
    """
    _possible(settings.methods, labelled=images.labels is not None)
    config = resolve(images, config)
    features = feature_identity(images, config, sides)
    identity = {**features, "at": settings.at, "radius": settings.radius, "seed": seed}
    _claim(output, identity, overwrite=overwrite)
    table = extract(
        images,
        config,
        sides,
        output / "features",
        identity=features,
        seed=seed,
        max_error_rate=max_error_rate,
        progress=progress,
    )
    return measure_methods(images, table, settings, output / RUNS, protocol=identity, progress=progress)


def measure_methods(
    images: ImageSet,
    features: Features,
    settings: CompareSettings,
    folder: Path,
    *,
    protocol: Mapping[str, Any],
    watch: Callable[[Result], None] | None = None,
    progress: Progress = NO_PROGRESS,
) -> Comparison:
    """Fit and measure every method at every length with every seed on features that are given.

    Runs are kept in ``folder`` (``Runs``) and taken from there. A method that does not fit the data is left
    out, with its reason. ``watch`` is told every result. Raises HashnetError where nothing could be fitted.
    """
    methods, left_out = _possible(settings.methods, labelled=features.labels is not None)
    folder.mkdir(parents=True, exist_ok=True)
    truth, cosine = None, None
    if features.labels is None:
        if len(features.database) < NEIGHBOURS:
            raise ValueError(
                f"without labels at least {NEIGHBOURS} database images are needed, as neighbours of a query, "
                f"got {len(features.database)}; give more images"
            )
        asked, held = features.values[features.query], features.values[features.database]
        truth = true_neighbours(asked, held, NEIGHBOURS, progress=progress)
    else:
        cosine = _cosine_map(features, folder, settings.at, progress)
    runs = Runs(
        features,
        folder,
        at=settings.at,
        radius=settings.radius,
        settings=settings.settings,
        truth=truth,
        source=images.source,
    )
    said = {"source": images.source, **protocol, **_sizes(features)}
    done = Comparison(settings, said, images, features, runs, left_out=left_out, cosine_map=cosine)
    jobs = [Job(m, b, s) for b in settings.bits for m in methods for s in settings.seeds]
    progress.start("compare", len(jobs))
    key = done.headline[0]
    for job in jobs:
        try:
            result = runs.get(job)
        except CannotFitError as error:
            what = f"{METHODS[job.method].title}, {job.n_bits} bits, seed {job.seed}"
            done.left_out.append((what, str(error)))
            progress.advance()
            continue
        done.results.append(result)
        progress.advance(1, **{key: result.figure(key) or 0.0})
        if watch is not None:
            watch(result)
    progress.finish()
    if not done.results:
        raise HashnetError("no method could be fitted: " + "; ".join(": ".join(one) for one in done.left_out))
    return done


def _possible(methods: Sequence[str], *, labelled: bool) -> tuple[list[str], list[tuple[str, str]]]:
    kept = [name for name in dict.fromkeys(methods) if labelled or not METHODS[name].needs_labels]
    if not kept:
        free = ", ".join(name for name, method in METHODS.items() if not method.needs_labels)
        raise ValueError(f"the images have no labels, which {', '.join(methods)} need; take {free}")
    missing = [name for name in methods if name not in kept]
    return kept, [(METHODS[name].title, "it learns from labels, and there are none") for name in missing]


def _claim(output: Path, identity: Mapping[str, Any], *, overwrite: bool) -> None:
    """Make ``output`` the place of this comparison, or raise rather than mix it with anything else."""
    path = output / SETTINGS_FILE
    if path.exists():
        try:
            found = json.loads(path.read_bytes())
        except ValueError as error:
            raise DamagedError(path, f"not JSON ({error})") from error
        differing = sorted(key for key in {*found, *identity} if found.get(key) != identity.get(key))
        if not differing:
            return
        if not overwrite:
            said = ", ".join(
                f"{key}: {_short(found.get(key))} -> {_short(identity.get(key))}" for key in differing
            )
            raise ResumeError(
                f"{output} was made with other data or settings ({said}); choose another --output, or "
                "replace it with --overwrite"
            )
        for name in OURS:
            shutil.rmtree(output / name, ignore_errors=True)
    elif output.is_dir() and any(output.iterdir()):
        raise FileExistsError(f"{output} holds files that are not of a comparison; choose another --output")
    output.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(dict(identity), indent=2) + "\n").encode())


def _short(value: Any) -> Any:
    """Return what stands for a setting in a message: of a protocol its name and checksum."""
    return f"{value.get('protocol')} {value.get('checksum')}" if isinstance(value, Mapping) else value


def _cosine_map(features: Features, folder: Path, at: int, progress: Progress) -> float:
    of = json.dumps([at, features.mark, features.rows_mark])
    path = folder / f"cosine-{hashlib.sha256(of.encode()).hexdigest()[:16]}.json"
    if path.exists():
        return float(json.loads(path.read_bytes())["map"])
    query, database = features.query, features.database
    found = cosine_map(
        features.values[query],
        features.side_labels(query),
        features.values[database],
        features.side_labels(database),
        at=at,
        progress=progress,
    )
    write_atomically(path, json.dumps({"map": found}).encode())
    return found


def _sizes(features: Features) -> dict[str, Any]:
    return {
        "n_database": len(features.database),
        "n_query": len(features.query),
        "n_train": len(features.train),
        "n_features": features.values.shape[1],
        "unreadable": len(features.rejects),
    }
