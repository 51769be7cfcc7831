"""Real and learned codes: what bit selection and per-query radii save, and the times beside FAISS.

    python -m benchmarks.bench_real --prepared DIR [DIR ...]        what real_workloads has written there
    python -m benchmarks.bench_real --prepared DIR --only dhash64 --n 1e6

Every workload is built with bit selection and without it, and asked with the policies "auto" (substring
radii from the bucket counts of the query) and "uniform" (from means over the segment): median time inside the
engine, probes and candidates a query. Then the same questions go to FAISS, called from Python one query at a
time on one thread. Stored as results/real_<n>.json; exits with 1 if an answer differs from the linear scan.
"""

from __future__ import annotations

import argparse
import gc
import json
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measuring import median_ms, python_ns
from benchmarks.provenance import keep, provenance, size_of
from benchmarks.questions import Question
from benchmarks.real_workloads import described, load
from benchmarks.systems import systems
from benchmarks.workloads import Workload
from hashnet import _core
from hashnet.codes import Codes

RADII = (2, 4, 8)
KS = (1, 10, 100, 1000)
POLICIES: tuple[_core.Policy, ...] = ("auto", "uniform")
# Name of a question -> (k, radius) as the engine takes them: k = 0 is a radius search.
QUESTIONS = {f"radius {radius}": (0, radius) for radius in RADII} | {f"k {k}": (k, 0) for k in KS}


def main() -> None:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--prepared", type=Path, nargs="+", required=True, help="folders of real_workloads")
    parser.add_argument("--only", default=None, help="names, separated by commas")
    parser.add_argument("--n", type=float, default=1e7, help="rows; codes of images are repeated up to it")
    parser.add_argument("--queries", type=int, default=200, help="queries timed and explained, at most")
    parser.add_argument("--verify", type=int, default=50, help="queries compared with the linear scan")
    parser.add_argument("--faiss", action=argparse.BooleanOptionalAction, default=True, help="measure FAISS")
    parser.add_argument("--name", default=None, help="file name of the results")
    arguments = parser.parse_args()
    paths = sorted(path for folder in arguments.prepared for path in folder.glob("*.json"))
    if arguments.only is not None:
        paths = [path for path in paths if path.stem in arguments.only.split(",")]
    if not paths:
        parser.error("no prepared workload found; run python -m benchmarks.real_workloads first")
    n = int(arguments.n)
    figures = {}
    for path in paths:
        workload = load(path.parent, path.stem, n=n)
        prepared = json.loads(path.read_text(encoding="utf-8"))
        figures[path.stem] = {
            "prepared": prepared,
            **measure(workload, arguments.queries, arguments.verify, faiss=arguments.faiss),
        }
    protocol = {
        "n": n,
        "threads": 1,
        "queries": arguments.queries,
        "verified_queries": arguments.verify,
        "engine": "median milliseconds inside the engine; means of probes and candidates",
        "candidates": "a scan counts all codes",
        "candidates_saved": "ratios of the medians over queries, and of the means",
        "from_python": "median milliseconds of one query, called from Python",
    }
    result = {**provenance(("numpy", "faiss-cpu")), "protocol": protocol, "figures": figures}
    path = keep(arguments.name or f"real_{size_of(n)}", result)
    mismatches = sum(sum(figure["mismatches"].values()) for figure in figures.values())
    print(f"mismatches with the linear scan: {mismatches}; stored as {path}")
    raise SystemExit(1 if mismatches else 0)


def measure(workload: Workload, n_queries: int, n_verify: int, *, faiss: bool) -> dict[str, Any]:
    """Return what the codes look like, the four combinations, mismatches and times beside FAISS."""
    about = described(workload.codes)
    print(f"\n{workload.name}: {len(workload.codes):,} codes of {workload.n_bits} bits; {about}")
    queries = np.ascontiguousarray(workload.queries[:n_queries])
    engine: dict[str, Any] = {}
    mismatches = {}
    ms: dict[str, dict[str, Any]] = {question: {} for question in QUESTIONS}
    for select_bits in (False, True):
        name = "selected" if select_bits else "unselected"
        begin = time.perf_counter()
        segment = build(workload.codes, select_bits=select_bits)
        built = time.perf_counter() - begin
        if select_bits and segment.bit_order is None:
            # The same segment as without selection.
            engine[name] = {"bit_order": None}
            break
        searcher = _core.Searcher([segment])
        mismatches[name] = verify(searcher, workload.codes, workload.queries[:n_verify])
        engine[name] = {
            "build_s": round(built, 2),
            "bytes_per_code": round(segment.size / len(workload.codes), 2),
            "bit_order": None if segment.bit_order is None else segment.bit_order.tolist(),
            "substring_bits": [table["substring_bits"] for table in segment.tables],
            "mean_bucket": [[round(size, 2) for size in table["mean_bucket"]] for table in segment.tables],
            "questions": ask(searcher, queries),
        }
        for question, (k, radius) in QUESTIONS.items():
            ms[question]["hashnet"] = median_ms(python_ns(partial(answer, searcher, k, radius), queries))
    saved = savings(engine)
    show(engine, saved)
    if faiss:
        beside_faiss(workload.codes, queries, ms)
    gc.collect()
    return {
        "codes": about,
        "mismatches": mismatches,
        "engine": engine,
        "candidates_saved": saved,
        "from_python_ms": ms,
    }


def build(codes: Codes, *, select_bits: bool) -> _core.Segment:
    """Build a segment in memory, on one thread."""
    return _core.Segment.build(
        codes,
        None,
        0,
        "",
        1,
        memory=0,
        tables=0,
        directory_bits=0,
        select_bits=select_bits,
        progress=None,
    )


def answer(searcher: _core.Searcher | _core.FlatCodes, k: int, radius: int, queries: Codes) -> Any:
    """Answer one question of ``QUESTIONS``."""
    return searcher.search(queries, k, 1) if k else searcher.search_radius(queries, radius, 1)


def verify(searcher: _core.Searcher, codes: Codes, queries: Codes) -> int:
    """Count the answers that differ from the linear scan in an id, a distance or the order."""
    flat = _core.FlatCodes(codes)
    mismatches = 0
    for k, radius in QUESTIONS.values():
        for at in range(len(queries)):
            one = queries[at : at + 1]
            found, scanned = answer(searcher, k, radius, one), answer(flat, k, radius, one)
            mismatches += not all(map(np.array_equal, found, scanned))
    return mismatches


def ask(searcher: _core.Searcher, queries: Codes) -> dict[str, dict[str, Any]]:
    """Return time, probes and candidates of every question under every policy."""
    figures: dict[str, dict[str, Any]] = {}
    for question, (k, radius) in QUESTIONS.items():
        figures[question] = {}
        for policy in POLICIES:
            reports = [
                report
                for at in range(len(queries))
                for report in searcher.explain(queries[at : at + 1], k, radius, policy)
            ]
            ns = searcher.time_queries(queries, k, radius, policy)
            figures[question][policy] = {
                "ms": round(float(np.median(ns)) / 1e6, 5),
                "mean_ms": round(float(np.mean(ns)) / 1e6, 5),
                "probes": mean(report["probes"] for report in reports),
                "candidates": mean(report["candidates"] for report in reports),
                "median_candidates": float(np.median([report["candidates"] for report in reports])),
                "expected_candidates": mean(report["expected_candidates"] for report in reports),
                "scans": mean(report["scan"] for report in reports),
                "matches": mean(report["matches"] for report in reports),
            }
    return figures


def mean(values: Any) -> float:
    """Return the mean, rounded for the results."""
    return round(float(np.mean(list(values))), 2)


def savings(engine: dict[str, Any]) -> dict[str, dict[str, dict[str, float]]]:
    """Return how many times fewer candidates each choice reads at every question, by medians and by means.

    ``bits`` is bit selection, ``radii`` per-query radii (without selection), ``both`` the two together. A
    scan counts all codes, though it reads few of them where their order rules the others out: one query of
    fifteen that is scanned outweighs all others in a mean.
    """
    before = engine["unselected"]["questions"]
    after = engine["selected"].get("questions", before)
    saved: dict[str, dict[str, dict[str, float]]] = {}
    for question in QUESTIONS:
        saved[question] = {}
        for name, candidates in (("median", "median_candidates"), ("mean", "candidates")):
            plain, own = (max(before[question][policy][candidates], 1) for policy in ("uniform", "auto"))
            chosen, both = (max(after[question][policy][candidates], 1) for policy in ("uniform", "auto"))
            saved[question][name] = {
                "bits": round(plain / chosen, 2),
                "radii": round(plain / own, 2),
                "both": round(plain / both, 2),
            }
    return saved


def beside_faiss(codes: Codes, queries: Codes, ms: dict[str, dict[str, Any]]) -> None:
    """Add FAISS's times to ``ms``, the best of its systems and its ratio to hashnet."""
    others: dict[str, dict[str, float]] = {question: {} for question in QUESTIONS}
    for system in systems(codes, leave_out=("usearch",)):
        for question, (k, radius) in QUESTIONS.items():
            ask = system.ask(Question("k", k) if k else Question("radius", radius))
            if ask is not None:
                others[question][system.name] = median_ms(python_ns(ask, queries))
    for question, times in others.items():
        best = min(times, key=lambda name: times[name])
        ratio = round(times[best] / ms[question]["hashnet"], 2)
        ms[question] |= {**times, "best of FAISS": best, "ratio": ratio}
        print(f"  {question:>10}  {ms[question]}")


def show(engine: dict[str, Any], saved: dict[str, dict[str, dict[str, float]]]) -> None:
    """Print the four combinations."""
    for question in QUESTIONS:
        print(f"  {question:>10}  candidates saved {saved[question]}")
        for name, figures in engine.items():
            for policy, figure in figures.get("questions", {}).get(question, {}).items():
                print(
                    f"    {name:>12} {policy:>8}  {figure['ms']:.4f} ms  {figure['probes']:.0f} probes  "
                    f"{figure['candidates']:.0f} candidates (expected {figure['expected_candidates']:.0f})  "
                    f"{figure['matches']:.0f} matches  scans {figure['scans']:.2f}"
                )


if __name__ == "__main__":
    main()
