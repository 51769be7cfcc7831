"""Is the plan ever wrong by much? Every radius and many k, as planned, probing always, scanning always.

    python -m benchmarks.bench_planner
    python -m benchmarks.bench_planner --n 1e6 --real DIR simhash,tiny48     (see real_workloads.py)

The figure of a question is the median time of a query as planned over the lesser of the medians of probing
and scanning, on the same queries, with caches emptied before each pass; each query counts with its least
time, and a figure above the limit is measured again, twice at most. Probing is given up from the radius or k
on at which two queries take twice as long as by a scan. What the planner expected is set against what
happened. Stored as results/planner.json, with a plot.
"""

from __future__ import annotations

import argparse
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import hashnet
from benchmarks import plots
from benchmarks.measuring import empty_caches
from benchmarks.provenance import RESULTS, keep, provenance
from benchmarks.questions import Policy, Question
from benchmarks.workloads import Workload, make
from hashnet import _core
from hashnet.codes import Codes

SEED = 2
LIMIT = 1.2
# A ratio above the limit is measured again, all policies alike: where plan and scan are the same work it was
# up to 1.4 while something else ran on the machine.
TRIES = 3
GIVE_UP = 2.0
POLICIES: tuple[Policy, ...] = ("auto", "probe", "scan")
LEAST_QUERIES = 4
EXPLAINED = 12


def main() -> None:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", default="1e5,1e6,1e7", help="numbers of codes")
    parser.add_argument("--bits", type=int, default=64)
    parser.add_argument("--workloads", default="uniform,clustered", help="may be empty")
    parser.add_argument(
        "--real", nargs=2, metavar=("DIR", "NAMES"), help="prepared by benchmarks.real_workloads"
    )
    parser.add_argument("--queries", type=int, default=100, help="queries of a question, at most")
    parser.add_argument("--budget", type=float, default=0.5, help="seconds of one series of timings")
    parser.add_argument("--step", type=int, default=1, help="between radii")
    parser.add_argument("--name", default="planner")
    arguments = parser.parse_args()
    series: list[dict[str, Any]] = []
    result: dict[str, Any] = {
        **provenance(),
        "protocol": {
            "seed": SEED,
            "queries": arguments.queries,
            "limit": LIMIT,
            "ratio": "median as planned / min(median probing, median scanning), same queries, each with its "
            f"least time; up to {TRIES} times as many rounds where it is above the limit",
        },
        "series": series,
    }
    for n in (int(float(part)) for part in arguments.n.split(",")):
        workloads: list[Any] = [
            (make, (name, n, arguments.bits, 10_000), {"seed": SEED})
            for name in arguments.workloads.split(",")
            if name
        ]
        if arguments.real is not None:
            from benchmarks.real_workloads import load

            folder = Path(arguments.real[0])
            workloads += [(load, (folder, name), {"n": n}) for name in arguments.real[1].split(",")]
        for maker, positional, named in workloads:
            workload: Workload = maker(*positional, **named)
            rows = measure(workload, arguments.queries, arguments.budget, arguments.step)
            series.append(
                {"workload": workload.name, "n": len(workload.codes), "n_bits": workload.n_bits, "rows": rows}
            )
            # After each: a run that is stopped has stored what it measured.
            keep(arguments.name, result)
    plots.draw_planner(result, RESULTS / f"{arguments.name}.svg")
    worst = max(
        (row["ratio"], one["workload"], one["n"], row["question"]) for one in series for row in one["rows"]
    )
    print(f"worst: {worst[0]:.2f} on {worst[1]}, {worst[2]:,} codes, {worst[3]}; the goal is {LIMIT}")


def measure(workload: Workload, n_queries: int, budget_s: float, step: int) -> list[dict[str, Any]]:
    """Return a row for each question to one workload."""
    n, n_bits = len(workload.codes), workload.n_bits
    print(f"\n{workload.name}, {n:,} codes of {n_bits} bits", flush=True)
    index = hashnet.Index.in_memory(n_bits=n_bits)
    index.add(workload.codes)
    searcher = index._searcher
    queries = workload.queries[:n_queries]
    rows = []
    for asked in (
        [Question("radius", radius) for radius in range(0, n_bits + 1, step)],
        [Question("k", k) for k in ks(n)],
    ):
        probing = True
        for question in asked:
            row = compare(searcher, question, queries, budget_s, probing=probing)
            # Probing only gets dearer from here on, a scan hardly.
            probing = "probe ms" in row
            row |= explain(searcher, question, queries[: min(EXPLAINED, row["queries"])])
            rows.append(row)
            if row["ratio"] > LIMIT:
                show(row)
    print(f"  worst of {len(rows)}: ", end="")
    show(max(rows, key=lambda row: row["ratio"]))
    return rows


def ks(n: int) -> list[int]:
    """Return 1, 3, 10, 30 and on, up to half of ``n``, which is the last."""
    grid = [factor * 10**power for power in range(10) for factor in (1, 3) if factor * 10**power < n // 2]
    return [*grid, n // 2]


def compare(
    searcher: _core.Searcher, question: Question, queries: Codes, budget_s: float, *, probing: bool
) -> dict[str, Any]:
    """Time one question under each policy on the same queries."""
    policies = [policy for policy in POLICIES if probing or policy != "probe"]
    # As many queries as the slowest policy has time for; all in one call, so that each policy pays alike for
    # the memory of large answers.
    few = {policy: float(question.time(searcher, queries[:2], policy).min()) for policy in policies}
    if few.get("probe", 0.0) > GIVE_UP * few["scan"]:
        policies.remove("probe")
        del few["probe"]
    n = max(LEAST_QUERIES, min(len(queries), int(budget_s * 1e9 / max(few.values()))))
    times: dict[Policy, list[NDArray[np.float64]]] = {policy: [] for policy in policies}
    for _ in range(TRIES):
        typical = add_rounds(times, searcher, question, queries[:n])
        milliseconds = {policy: float(np.median(ns)) / 1e6 for policy, ns in typical.items()}
        better = min(ms for policy, ms in milliseconds.items() if policy != "auto")
        if milliseconds["auto"] <= LIMIT * better:
            break
    row: dict[str, Any] = {"question": question.name, "queries": n, "rounds": len(times["auto"])}
    row |= {f"{policy} ms": round(ms, 5) for policy, ms in milliseconds.items()}
    row["ratio"] = round(milliseconds["auto"] / better, 3)
    # Against a choice for each query by itself, which no median shows.
    best = np.min([ns for policy, ns in typical.items() if policy != "auto"], axis=0)
    row["ratio of sums"] = round(float(typical["auto"].sum() / best.sum()), 3)
    return row


def add_rounds(
    times: dict[Policy, list[NDArray[np.float64]]],
    searcher: _core.Searcher,
    question: Question,
    queries: Codes,
) -> dict[Policy, NDArray[np.float64]]:
    """Add rounds to ``times`` of each policy; return the least nanoseconds of each query in all of them."""
    # One round for every order, so that each policy comes after each other one equally often: with rotations
    # of one order probing always followed the plan, which asks for the same buckets. Two policies have two
    # orders, too few. A query counts with its least time: neighbours on the machine only slow it down, and do
    # so unevenly.
    for order in tuple(permutations(times)) * (2 if len(times) == 2 else 1):
        for policy in order:
            empty_caches()
            times[policy].append(question.time(searcher, queries, policy))
    return {policy: np.min(np.array(rounds), axis=0) for policy, rounds in times.items()}


def explain(searcher: _core.Searcher, question: Question, queries: Codes) -> dict[str, Any]:
    """Return how often a scan was made, and medians of what happened over what was expected."""
    scans: list[bool] = []
    ratios: dict[str, list[float]] = {"probes": [], "candidates": [], "us": []}
    for at in range(len(queries)):
        for report in searcher.explain(queries[at : at + 1], question.k, question.radius, "auto"):
            scans.append(report["scan"])
            expected_us = report["expected_scan_us"] if report["scan"] else report["expected_probing_us"]
            pairs = {"us": (report["us"], expected_us)}
            if not report["scan"]:
                pairs["probes"] = (report["probes"], report["expected_probes"])
                pairs["candidates"] = (report["candidates"], report["expected_candidates"])
            for name, (actual, expected) in pairs.items():
                if expected > 0:
                    ratios[name].append(actual / expected)
    row: dict[str, Any] = {"scans": round(float(np.mean(scans)), 2)}
    for name, values in ratios.items():
        row[f"{name} over expected"] = round(float(np.median(values)), 3) if values else None
    return row


def show(row: dict[str, Any]) -> None:
    """Print one row."""
    print(
        f"  {row['question']:>10}: {row['ratio']:.2f}x; planned {row['auto ms']} ms, "
        f"probing {row.get('probe ms', 'given up')}, scanning {row['scan ms']}; "
        f"scans {row['scans']:.0%}, time over expected {row['us over expected']}",
        flush=True,
    )


if __name__ == "__main__":
    main()
