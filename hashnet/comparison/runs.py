"""One method at one length with one seed, measured once: a file for its figures, and one for its codes."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hashnet.codes import Codes, Ids, check_codes
from hashnet.comparison.features import Features
from hashnet.errors import DamagedError, HashnetError
from hashnet.evaluation import bit_statistics, evaluate
from hashnet.evaluation.feature_space import neighbour_recall
from hashnet.files import replacing, write_atomically
from hashnet.progress import NO_PROGRESS, Progress
from hashnet.training.methods import METHODS, fit_features

RADIUS = 2
"""The radius of precision within a Hamming ball that needs no saying."""


class Job(NamedTuple):
    """One method at one length with one seed."""

    method: str
    n_bits: int
    seed: int


class CannotFitError(HashnetError):
    """A method does not fit these data at this length; the others go on."""


@dataclass(frozen=True)
class Result:
    """What a run measured, as its file has it; the first eight fields say what it was a run of.

    ``evaluation`` is None without labels, ``recall`` (of the nearest features) with them. ``stages`` are
    those of a deep method's training (``StageMetrics``). None stands for what an earlier version of hashnet
    did not keep.
    """

    method: str
    n_bits: int
    seed: int
    settings: dict[str, Any]
    at: int
    features: str
    rows: str
    fit_s: float
    evaluation: dict[str, Any] | None
    radius: int = RADIUS
    encode_s: float | None = None
    recall: dict[str, float] | None = None
    bits: dict[str, Any] | None = None
    stages: list[dict[str, Any]] | None = None

    @property
    def job(self) -> Job:
        """What it is the result of."""
        return Job(self.method, self.n_bits, self.seed)

    @property
    def title(self) -> str:
        """The method's name as papers write it."""
        return METHODS[self.method].title

    def figure(self, key: str) -> float | None:
        """Return a figure by its name in the evaluation, or ``recall@N``; None where it was not measured."""
        if key.startswith("recall@"):
            return (self.recall or {}).get(key.removeprefix("recall@"))
        return (self.evaluation or {}).get(key)

    @property
    def bit_figures(self) -> Mapping[str, Any]:
        """Statistics of the bits of the database's codes."""
        return self.bits or (self.evaluation or {}).get("bits") or {}


class Runs:
    """Runs on one set of features, kept in a folder; what is there already is not measured again.

    A run is known by all that its figures depend on: method, length, seed, the method's settings, R, radius,
    the values of the features and the rows of the three sides. ``settings`` are those of methods by name,
    ``truth`` the nearest neighbours by features where there are no labels, ``source`` says what the data are.
    Without ``keep_codes`` the codes of new runs are given up.
    """

    def __init__(
        self,
        features: Features,
        folder: Path,
        *,
        at: int,
        radius: int = RADIUS,
        settings: Mapping[str, Mapping[str, Any]] | None = None,
        truth: Ids | None = None,
        source: str = "",
        keep_codes: bool = True,
    ) -> None:
        self._features, self._folder, self._source = features, folder, source
        self._at, self._radius, self._truth, self._keep_codes = at, radius, truth, keep_codes
        self._settings = settings or {}

    def identity(self, job: Job) -> dict[str, Any]:
        """Return what a run is known by, as JSON values."""
        identity: dict[str, Any] = {
            **job._asdict(),
            "settings": dict(self._settings.get(job.method, {})),
            "at": self._at,
            "features": self._features.mark,
            "rows": self._features.rows_mark,
        }
        # The usual radius is left out, as it was when there was no other: those runs stay what they are.
        return identity if self._radius == RADIUS else {**identity, "radius": self._radius}

    def path(self, job: Job) -> Path:
        """Return the file of a run; its codes lie beside it as .npy."""
        mark = hashlib.sha256(json.dumps(self.identity(job), sort_keys=True).encode()).hexdigest()[:16]
        return self._folder / f"{job.method}-{job.n_bits}-{job.seed}-{mark}.json"

    def get(self, job: Job, *, progress: Progress = NO_PROGRESS) -> Result:
        """Return the run, measured now if it was not before. Raises CannotFitError, and DamagedError."""
        path = self.path(job)
        return _read(path) if path.exists() else self._measure(job, path, progress)

    def whole(self, job: Job) -> tuple[Result, Codes, Codes]:
        """Return the run, and the codes of database and queries that it measured.

        A run of which only figures were kept is measured again, and replaced by what comes out.
        """
        path = self.path(job)
        result, codes_path = self.get(job), path.with_suffix(".npy")
        known = result.stages is not None or METHODS[job.method].shallow
        if not (known and codes_path.exists()):
            result = self._measure(job, path, NO_PROGRESS, keep_codes=True)
        n = len(self._features.database)
        try:
            codes: Codes = np.load(codes_path, allow_pickle=False)
            check_codes(codes, job.n_bits)
            if len(codes) != n + len(self._features.query):
                raise ValueError(f"it holds {len(codes)} codes for {n + len(self._features.query)} images")
        except (TypeError, ValueError, EOFError) as error:
            raise DamagedError(codes_path, f"{error}; delete it, and it is made again") from error
        return result, codes[:n], codes[n:]

    def _measure(self, job: Job, path: Path, progress: Progress, *, keep_codes: bool = False) -> Result:
        table, identity = self._features, self.identity(job)
        train, began = table.train, time.perf_counter()
        try:
            fitted = fit_features(
                job.method,
                table.values[train],
                None if table.labels is None else table.labels[train],
                n_bits=job.n_bits,
                seed=job.seed,
                settings=identity["settings"],
                progress=progress,
            )
        except (ValueError, np.linalg.LinAlgError) as error:
            raise CannotFitError(str(error)) from error
        fitted_at = time.perf_counter()
        database, query = (fitted.encode(table.values[side]) for side in (table.database, table.query))
        encoded_at = time.perf_counter()
        evaluation = recall = None
        if table.labels is not None:
            evaluation = evaluate(
                query,
                table.labels[table.query],
                database,
                table.labels[table.database],
                at=self._at,
                radius=self._radius,
                seed=job.seed,
                data=self._source,
            ).to_json()
        elif self._truth is not None:
            recall = {str(n): value for n, value in neighbour_recall(query, database, self._truth).items()}
        stages = getattr(fitted, "stages", None)
        result = Result(
            **{"radius": self._radius, **identity},
            fit_s=round(fitted_at - began, 3),
            evaluation=evaluation,
            encode_s=round(encoded_at - fitted_at, 3),
            recall=recall,
            bits=bit_statistics(database).to_json(),
            stages=None if stages is None else [stage.to_json() for stage in stages],
        )
        self._folder.mkdir(parents=True, exist_ok=True)
        if keep_codes or self._keep_codes:
            with replacing(path.with_suffix(".npy")) as temporary, temporary.open("wb") as file:
                np.save(file, np.concatenate([database, query]), allow_pickle=False)
        # The codes are there when the run is.
        write_atomically(path, (json.dumps(asdict(result)) + "\n").encode())
        return _read(path)


def _read(path: Path) -> Result:
    try:
        found = json.loads(path.read_bytes())
        if not isinstance(found, dict):
            raise TypeError(f"a run must be a JSON object, got {type(found).__name__}")
        known = {field.name for field in fields(Result)}
        return Result(**{name: value for name, value in found.items() if name in known})
    except (TypeError, ValueError) as error:
        raise DamagedError(path, f"{error}; delete it, and it is made again") from error
