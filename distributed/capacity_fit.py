"""The constants of the search model from measurements, by least squares of relative errors: no Ray.

Kept beside the model because checking it means fitting it again without some of the measurements.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .capacity_model import Question, SearchConstants, Workload, memory_share, work_of


@dataclass(frozen=True)
class Measurement:
    """One query in the engine on one thread: median, 99th percentile over that; and rate in batches."""

    n_codes: int
    question: Question
    engine_ns: float
    tail: float
    batch_qps: float


def measurements_of(result: dict[str, Any]) -> list[Measurement]:
    """Return the measurements in a result of `python -m benchmarks.bench_search`."""
    n_codes, n_bits = result["protocol"]["n"], result["protocol"]["n_bits"]
    found = []
    workloads: tuple[Workload, ...] = ("uniform", "clustered")
    for workload in workloads:
        for name, figures in result["figures"].get(workload, {}).items():
            kind, _, value = name.partition(" ")
            if kind not in ("radius", "k"):
                continue
            radius, k = (int(value), None) if kind == "radius" else (None, int(value))
            question = Question(n_bits, workload, radius=radius, k=k)
            engine_ns = figures["engine ms"] * 1e6
            tail = figures["engine 99th percentile ms"] / figures["engine ms"]
            found.append(
                Measurement(n_codes, question, engine_ns, tail, figures["batch queries/s, 1 thread"])
            )
    return found


def fit_search(measurements: Sequence[Measurement], *, scan_ns: float) -> SearchConstants:
    """Return the constants whose relative errors have the least squares; none is negative.

    Radii give all constants but the factors of growing a radius. What is promised of k-NN times is how far
    the farthest is off, so each factor is the one for which that is least, over the k of its workload.
    """
    radii = [one for one in measurements if one.question.radius is not None]
    rows = np.array([_row(one) for one in radii])
    costs = _least_squares(rows / np.array([[one.engine_ns] for one in radii]))
    call, cached, probe, candidate, match = costs.tolist()
    return SearchConstants(
        call,
        cached,
        max(probe, cached),
        candidate,
        match,
        growing_uniform=_growing(measurements, costs, "uniform"),
        growing_clustered=_growing(measurements, costs, "clustered"),
        scan_ns=scan_ns,
    )


def _growing(measurements: Sequence[Measurement], costs: NDArray[np.float64], workload: Workload) -> float:
    logs = [
        math.log(one.engine_ns / float(_row(one) @ costs))
        for one in measurements
        if one.question.k is not None and one.question.workload == workload
    ]
    return math.exp((min(logs) + max(logs)) / 2) if logs else 1.0


def _row(one: Measurement) -> NDArray[np.float64]:
    work, share = work_of(one.question, one.n_codes), memory_share(one.n_codes)
    return np.array([1.0, work.probes * (1 - share), work.probes * share, work.candidates, work.matches])


def _least_squares(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return x >= 0 that brings ``rows @ x`` closest to 1: the best of all choices of which are zero."""
    n = rows.shape[1]
    best, least = np.zeros(n), math.inf
    for choice in range(1, 1 << n):
        kept = [column for column in range(n) if choice >> column & 1]
        x, *_ = np.linalg.lstsq(rows[:, kept], np.ones(len(rows)), rcond=None)
        error = float(np.square(rows[:, kept] @ x - 1).sum())
        if (x >= 0).all() and error < least:
            best, least = np.zeros(n), error
            best[kept] = x
    return best
