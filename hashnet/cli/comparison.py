"""Methods, lengths and seeds compared on one set of features: one file a result, so that a rerun goes on."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hashnet.cli.compare_features import FeatureTable, extract, feature_identity, resolve
from hashnet.cli.output import plain
from hashnet.codes import Codes, Ids, check_n_bits
from hashnet.datasets import ImageSet
from hashnet.errors import DamagedError, HashnetError, ResumeError
from hashnet.evaluation import bit_statistics, evaluate
from hashnet.evaluation.feature_space import cosine_map, neighbour_recall, true_neighbours
from hashnet.files import write_atomically
from hashnet.progress import NO_PROGRESS, Progress
from hashnet.training import TrainConfig
from hashnet.training.methods import METHODS, fit_features

SETTINGS_FILE = "settings.json"
OURS = ("features", "results", "figures")
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
    """What is compared and how it is measured; ``seeds`` are those of the runs, ``seed`` that of split and
    shuffle.
    """

    methods: tuple[str, ...]
    bits: tuple[int, ...]
    seeds: tuple[int, ...]
    seed: int = 1
    at: int = 1000
    radius: int = 2
    max_error_rate: float = 0.05

    def __post_init__(self) -> None:
        for name in self.methods:
            if name not in METHODS:
                raise ValueError(f"--methods takes {', '.join(METHODS)}, separated by commas; got {name!r}")
        for n_bits in self.bits:
            check_n_bits(n_bits)
        for name in ("methods", "bits", "seeds"):
            if not getattr(self, name):
                raise ValueError(f"{name} must name at least one, got none")


class Job(NamedTuple):
    """One method at one length with one seed."""

    method: str
    n_bits: int
    seed: int

    @property
    def name(self) -> str:
        """Name of its files."""
        return f"{self.method}-{self.n_bits}-seed{self.seed}"


class CannotFitError(HashnetError):
    """A method does not fit these data at this length; the others go on."""


@dataclass(frozen=True)
class Result:
    """One method at one length with one seed: what ``results/NAME.json`` holds."""

    method: str
    n_bits: int
    seed: int
    fit_s: float
    encode_s: float
    evaluation: dict[str, Any] | None
    recall: dict[str, float] | None
    bits: dict[str, Any]

    @property
    def job(self) -> Job:
        """What it is the result of."""
        return Job(self.method, self.n_bits, self.seed)

    def figure(self, key: str) -> float | None:
        """Return a figure by its name in the evaluation, or ``recall@N``; None where it was not measured."""
        if key.startswith("recall@"):
            return (self.recall or {}).get(key.removeprefix("recall@"))
        return (self.evaluation or {}).get(key)


@dataclass
class Comparison:
    """All results, the features they stand on, what could not be done, and what no hashing reaches."""

    settings: CompareSettings
    protocol: dict[str, Any]
    images: ImageSet
    table: FeatureTable
    output: Path
    results: list[Result] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    cosine_map: float | None = None

    @property
    def labelled(self) -> bool:
        """Whether figures are by labels; else they are by neighbours in feature space."""
        return self.table.labels is not None

    @property
    def headline(self) -> tuple[str, str]:
        """The figure that ranks methods: its key and its name."""
        if self.labelled:
            return "map", f"MAP@{min(self.settings.at, self.table.n_database):,}"
        # Among 100 of a few hundred codes even bad ones would find most.
        n = 100 if self.table.n_database >= 2000 else NEIGHBOURS
        return f"recall@{n}", f"recall@{n} of the {NEIGHBOURS} nearest"

    def values(self, key: str) -> dict[str, dict[int, list[float]]]:
        """Return a figure as method title, bits, and one value a seed."""
        found: dict[str, dict[int, list[float]]] = {}
        for one in self.results:
            value = one.figure(key)
            if value is not None:
                of_method = found.setdefault(METHODS[one.method].title, {})
                of_method.setdefault(one.n_bits, []).append(value)
        return found

    def codes(self, result: Result) -> Codes:
        """Return the codes of database and queries that a result was measured on."""
        codes: Codes = np.load(self.output / "results" / f"{result.job.name}.npy", allow_pickle=False)
        return codes


def compare_methods(
    images: ImageSet,
    config: TrainConfig,
    settings: CompareSettings,
    output: Path,
    *,
    overwrite: bool = False,
    progress: Progress = NO_PROGRESS,
) -> Comparison:
    """Extract features, fit and measure every method at every length with every seed, and return all.

    Methods are trained on the database and measured on the queries. What is in ``output`` already is not
    done again; what was begun there with other data or settings raises ResumeError, unless ``overwrite``.
    Methods, lengths and seeds may be more, or others, from call to call.
    """
    methods, left_out = _possible(settings.methods, labelled=images.labels is not None)
    config = resolve(images, config)
    features = feature_identity(images, config, seed=settings.seed)
    identity = {**features, "at": settings.at, "radius": settings.radius, "seed": settings.seed}
    _claim(output, identity, overwrite=overwrite)
    table = extract(
        images,
        config,
        output / "features",
        identity=features,
        seed=settings.seed,
        max_error_rate=settings.max_error_rate,
        progress=progress,
    )
    protocol = {"source": images.source, **identity, **_sizes(table)}
    done = Comparison(settings, protocol, images, table, output, left_out=left_out)
    (output / "results").mkdir(exist_ok=True)
    truth = None
    if table.labels is None:
        if table.n_database < NEIGHBOURS:
            raise ValueError(
                f"without labels at least {NEIGHBOURS} database images are needed, as neighbours of a query, "
                f"got {table.n_database}; give more images"
            )
        truth = true_neighbours(table.query, table.database, NEIGHBOURS, progress=progress)
    else:
        done.cosine_map = _cosine_map(table, output / "results" / "cosine.json", settings.at, progress)
    jobs = [Job(m, b, s) for b in settings.bits for m in methods for s in settings.seeds]
    progress.start("compare", len(jobs))
    key = done.headline[0]
    for job in jobs:
        path = output / "results" / f"{job.name}.json"
        try:
            result = _stored(path) or _measure(done, job, truth, path)
        except CannotFitError as error:
            what = f"{METHODS[job.method].title}, {job.n_bits} bits, seed {job.seed}"
            done.left_out.append((what, str(error)))
            progress.advance()
            continue
        done.results.append(result)
        progress.advance(1, **{key: result.figure(key) or 0.0})
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
            said = ", ".join(f"{key}: {found.get(key)} -> {identity.get(key)}" for key in differing)
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


def _measure(done: Comparison, job: Job, truth: Ids | None, path: Path) -> Result:
    table, settings = done.table, done.settings
    began = time.perf_counter()
    try:
        fitted = fit_features(
            job.method, table.database, table.database_labels, n_bits=job.n_bits, seed=job.seed
        )
    except (ValueError, np.linalg.LinAlgError) as error:
        raise CannotFitError(str(error)) from error
    fitted_at = time.perf_counter()
    codes = fitted.encode(table.features)
    encoded_at = time.perf_counter()
    database, query = codes[: table.n_database], codes[table.n_database :]
    evaluation = recall = None
    if table.labels is None:
        if truth is not None:
            found = neighbour_recall(query, database, truth)
            recall = {str(n): value for n, value in found.items()}
    else:
        evaluation = evaluate(
            query,
            table.labels[table.n_database :],
            database,
            table.labels[: table.n_database],
            at=settings.at,
            radius=settings.radius,
            seed=settings.seed,
            data=done.images.source,
        ).to_json()
    result = Result(
        **job._asdict(),
        fit_s=round(fitted_at - began, 3),
        encode_s=round(encoded_at - fitted_at, 3),
        evaluation=evaluation,
        recall=recall,
        bits=bit_statistics(database).to_json(),
    )
    partial = path.with_suffix(".partial.npy")
    np.save(partial, codes, allow_pickle=False)
    partial.replace(path.with_suffix(".npy"))
    # The codes are there when the result is.
    write_atomically(path, (json.dumps(plain(asdict(result))) + "\n").encode())
    return _stored(path) or result


def _stored(path: Path) -> Result | None:
    if not path.exists() or not path.with_suffix(".npy").exists():
        return None
    try:
        return Result(**json.loads(path.read_bytes()))
    except (TypeError, ValueError) as error:
        raise DamagedError(path, f"{error}; delete it, and it is made again") from error


def _cosine_map(table: FeatureTable, path: Path, at: int, progress: Progress) -> float:
    if path.exists():
        return float(json.loads(path.read_bytes())["map"])
    labels = table.labels
    if labels is None:
        raise ValueError("MAP needs labels")
    n = table.n_database
    found = cosine_map(table.query, labels[n:], table.database, labels[:n], at=at, progress=progress)
    write_atomically(path, json.dumps({"map": found}).encode())
    return found


def _sizes(table: FeatureTable) -> dict[str, Any]:
    return {
        "n_database": table.n_database,
        "n_query": len(table.features) - table.n_database,
        "n_features": table.features.shape[1],
        "unreadable": len(table.rejects),
    }


def by_merit(done: Comparison) -> Iterator[tuple[str, int, float]]:
    """Yield (method title, bits, mean of the headline figure) from the best on."""
    means = [
        (title, n_bits, float(np.mean(runs)))
        for title, of_bits in done.values(done.headline[0]).items()
        for n_bits, runs in of_bits.items()
    ]
    yield from sorted(means, key=lambda one: (-one[2], one[1]))
