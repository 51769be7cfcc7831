"""hashnet against every exact binary index of FAISS: radius and k-NN, one query at a time.

    python -m benchmarks.bench_search                 1e7 codes of 64 bits, uniform and clustered
    python -m benchmarks.bench_search --n 1e6 --queries 200

First every answer of hashnet to ``--verify`` queries is compared with the linear scan, byte for byte; then
all systems answer the same questions in the same run, on one thread, called from Python. Read the ratios:
times vary with the machine's load. Stored as results/search_<n>_<bits>.json.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

import hashnet
from benchmarks.provenance import keep, provenance
from benchmarks.systems import System, faiss_systems
from benchmarks.workloads import WORKLOADS, Workload
from hashnet import _core
from hashnet.codes import Codes

RADII = (2, 4, 8)
KS = (1, 10, 100, 1000)
SEED = 1
# What a system may take for one question; then the median is over the queries that it did answer.
BUDGET_S = 8.0
LEAST_QUERIES = 5


def main() -> None:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=float, default=1e7, help="number of codes")
    parser.add_argument("--bits", type=int, default=64)
    parser.add_argument("--queries", type=int, default=1000, help="queries timed, at most")
    parser.add_argument("--verify", type=int, default=1000, help="queries compared with the linear scan")
    parser.add_argument("--workloads", default="uniform,clustered")
    arguments = parser.parse_args()
    n, n_bits = int(arguments.n), arguments.bits
    figures = {}
    for name in arguments.workloads.split(","):
        workload = WORKLOADS[name](n, n_bits, max(arguments.queries, arguments.verify), seed=SEED)
        figures[name] = measure(workload, arguments.queries, arguments.verify)
    protocol = {
        "n": n,
        "n_bits": n_bits,
        "seed": SEED,
        "threads": 1,
        "queries": arguments.queries,
        "statistic": "median milliseconds of one query, called from Python",
        "verified_queries": arguments.verify,
        "workloads": {name: WORKLOADS[name].__doc__ for name in figures},
    }
    result = {**provenance(("numpy", "faiss-cpu")), "protocol": protocol, "figures": figures}
    path = keep(f"search_{n:.0e}_{n_bits}".replace("+0", ""), result)
    mismatches = sum(sum(figure["mismatches"].values()) for figure in figures.values())
    print(f"mismatches with the linear scan: {mismatches}; stored as {path}")
    raise SystemExit(1 if mismatches else 0)


def measure(workload: Workload, n_queries: int, n_verify: int) -> dict[str, Any]:
    """Return build cost, mismatches, milliseconds of every system and question, and the ratios."""
    print(f"\n{workload.name}, {len(workload.codes):,} codes of {workload.n_bits} bits")
    index = hashnet.Index.in_memory(n_bits=workload.n_bits)
    begin = time.perf_counter()
    index.add(workload.codes, threads=1)
    build_s = time.perf_counter() - begin
    bytes_per_code = index.stats().bytes_per_code
    mismatches = verify(index, workload.codes, workload.queries[:n_verify])
    print(f"hashnet: built in {build_s:.1f} s, {bytes_per_code:.1f} bytes a code; mismatches {mismatches}")
    systems = faiss_systems(workload.codes)
    rows: dict[str, dict[str, Any]] = {}
    queries = workload.queries[:n_queries]
    ask: Callable[..., Any]
    for radius in RADII:
        ask = partial(_ask_radius, index, radius)
        rows[f"radius {radius}"] = row(ask, [(system, system.radius(radius)) for system in systems], queries)
    for k in KS:
        ask = partial(_ask_nearest, index, k)
        rows[f"k {k}"] = row(ask, [(system, system.nearest(k)) for system in systems], queries)
    rows["batch of 1,000, queries/s"] = throughput(index, queries)
    show(rows)
    built = {system.name: round(system.build_s, 2) for system in systems}
    del systems
    gc.collect()
    return {
        "build_s": {"hashnet": round(build_s, 2), **built},
        "bytes_per_code": round(bytes_per_code, 2),
        "mismatches": mismatches,
        "ms": rows,
    }


def verify(index: hashnet.Index, codes: Codes, queries: Codes) -> dict[str, int]:
    """Count the queries whose answer differs from the linear scan in an id, a distance or the order."""
    mismatches = {}
    for radius in RADII:
        found = index.search_radius(queries, radius)
        scanned = hashnet.Balls(*_core.scan_radius(codes, queries, radius, 2))
        mismatches[f"radius {radius}"] = sum(
            not _equal(found.ball(q), scanned.ball(q)) for q in range(len(queries))
        )
    for k in KS:
        neighbors = index.search(queries, k)
        distances, ids = _core.scan_search(codes, queries, k, 2)
        same = (neighbors.distances == distances).all(axis=1) & (neighbors.ids == ids).all(axis=1)
        mismatches[f"k {k}"] = int((~same).sum())
    return mismatches


def _equal(
    one: tuple[NDArray[np.int32], NDArray[np.int64]], other: tuple[NDArray[np.int32], NDArray[np.int64]]
) -> bool:
    return np.array_equal(one[0], other[0]) and np.array_equal(one[1], other[1])


def _ask_radius(index: hashnet.Index, radius: int, queries: Codes, threads: int = 1) -> hashnet.Balls:
    return index.search_radius(queries, radius, threads=threads)


def _ask_nearest(index: hashnet.Index, k: int, queries: Codes, threads: int = 1) -> hashnet.Neighbors:
    return index.search(queries, k, threads=threads)


def row(
    ask: Callable[[Codes], Any],
    others: list[tuple[System, Callable[[Codes], Any] | None]],
    queries: Codes,
) -> dict[str, Any]:
    """Time one question to hashnet and to the systems that answer it; ratio = the best of them / hashnet."""
    times = {"hashnet": median_ms(ask, queries)}
    for system, other in others:
        if other is not None:
            times[system.name] = median_ms(other, queries)
    rivals = {name: ms for name, ms in times.items() if name != "hashnet"}
    best = min(rivals, key=lambda name: rivals[name])
    return {**times, "best of FAISS": best, "ratio": round(rivals[best] / times["hashnet"], 2)}


def median_ms(ask: Callable[[Codes], Any], queries: Codes) -> float:
    """Return the median of single queries, after one that warms up."""
    ask(queries[:1])
    times = []
    begin = time.perf_counter()
    for at in range(len(queries)):
        one = queries[at : at + 1]
        start = time.perf_counter()
        ask(one)
        end = time.perf_counter()
        times.append(end - start)
        if end - begin > BUDGET_S and len(times) >= LEAST_QUERIES:
            break
    return round(float(np.median(times)) * 1e3, 5)


def throughput(index: hashnet.Index, queries: Codes) -> dict[str, Any]:
    """Return queries a second of one batch, for each question, on one and on two threads."""
    rates: dict[str, Any] = {}
    questions: dict[str, Callable[..., Any]]
    questions = {f"radius {radius}": partial(_ask_radius, index, radius) for radius in RADII}
    questions |= {f"k {k}": partial(_ask_nearest, index, k) for k in KS}
    for name, ask in questions.items():
        pair = []
        for threads in (1, 2):
            ask(queries, threads)
            begin = time.perf_counter()
            ask(queries, threads)
            pair.append(len(queries) / (time.perf_counter() - begin))
        rates[name] = {"1 thread": round(pair[0]), "2 threads": round(pair[1])}
    return rates


def show(rows: dict[str, dict[str, Any]]) -> None:
    """Print the table."""
    for name, figures in rows.items():
        if "ratio" not in figures:
            print(f"  {name}")
            for question, pair in figures.items():
                print(f"    {question:>10}  {pair['1 thread']:>10,}  on two threads {pair['2 threads']:>10,}")
            continue
        cells = "  ".join(
            f"{system} {ms:.4f}"
            for system, ms in figures.items()
            if isinstance(ms, float) and system != "ratio"
        )
        print(f"  {name:>10}  {cells}  -> {figures['ratio']:.1f}x over {figures['best of FAISS']}")


if __name__ == "__main__":
    main()
