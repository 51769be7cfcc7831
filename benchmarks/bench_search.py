"""Latency, throughput, build and memory of hashnet, of linear scans and of other systems, against the goals.

    python -m benchmarks.bench_search                          1e7 codes of 64 bits, uniform and clustered
    python -m benchmarks.bench_search --n 1e6 --bits 256
    python -m benchmarks.bench_search --n 1e9 --work /scratch  built and opened on disk; see on_disk.py

First the answers to ``--verify`` queries are compared with the linear scan, byte for byte; a mismatch ends in
exit code 1. Then all systems answer the same questions in the same run. Read the ratios: times vary with the
machine's load. Stored as results/search_<n>_<bits>.json, with a row for each goal in goals.py.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import hashnet
from benchmarks import goals, on_disk
from benchmarks.asking import BATCH, DRAWN, ROUNDS, SCANS, ask_index, ask_rival, batch_size, show, show_header
from benchmarks.measuring import (
    Fresh,
    MemoryWatch,
    median_ms,
    memory_bytes,
    python_ns,
    rates,
    read_bandwidth,
)
from benchmarks.provenance import keep, provenance, size_of
from benchmarks.questions import Question, different, questions, scanned
from benchmarks.systems import System, systems
from benchmarks.workloads import SOURCES, Workload, make
from hashnet import _core
from hashnet.codes import Codes

SEED = 1
# Above so many codes an index is built and opened on disk.
MOST_IN_MEMORY = 2 * 10**8
# Which radius and which k stand for a linear scan: it compares every code whatever they are.
# Code-query pairs of a batch of scans.
PAIRS = 2 * 10**9


def main() -> None:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=float, default=1e7, help="number of codes")
    parser.add_argument("--bits", type=int, default=64)
    parser.add_argument("--queries", type=int, default=1000, help="queries timed for a question, at most")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="rounds that every question is asked in")
    parser.add_argument("--verify", type=int, help="queries compared with the linear scan")
    parser.add_argument("--workloads", default="uniform,clustered")
    parser.add_argument("--no-rivals", action="store_true", help="hashnet and linear scans only")
    parser.add_argument("--leave-out", default="", help="families of rivals to leave out, as Hash,IVF")
    parser.add_argument("--work", type=Path, help="build on disk in this folder; needed above 2e8 codes")
    parser.add_argument("--memory", type=float, default=4, help="GiB that building on disk may take")
    parser.add_argument("--keep", action="store_true", help="reuse and keep the files in --work")
    parser.add_argument("--name", help="name of the result; default search_<n>_<bits>")
    arguments = parser.parse_args()
    n, n_bits = int(arguments.n), arguments.bits
    n_verify = arguments.verify or (1000 if n <= 10**7 else 100 if n <= 10**8 else 20)
    figures: dict[str, dict[str, Any]] = {}
    result = {
        **provenance(("numpy", "faiss-cpu", "usearch")),
        "protocol": protocol(n, n_bits, arguments.queries, n_verify, arguments.rounds),
        "figures": figures,
    }
    name = arguments.name or f"search_{size_of(n)}_{n_bits}"
    mismatches = 0
    for workload in arguments.workloads.split(","):
        print(f"\n{workload}, {n:,} codes of {n_bits} bits", flush=True)
        if arguments.work is not None or n > MOST_IN_MEMORY:
            if arguments.work is None:
                parser.error(f"--n {n:.0e} does not fit into memory beside the codes; give a folder: --work")
            files = on_disk.Files(arguments.work, workload, n, n_bits, SEED, keep=arguments.keep)
            memory = int(arguments.memory * 2**30)
            figures[workload] = on_disk.measure(
                files, arguments.queries, n_verify, memory=memory, rounds=arguments.rounds
            )
        else:
            made = make(workload, n, n_bits, DRAWN, seed=SEED)
            left_out = tuple(arguments.leave_out.split(","))
            figures[workload] = measure(
                made,
                arguments.queries,
                n_verify,
                rounds=arguments.rounds,
                rivals=not arguments.no_rivals,
                left_out=left_out,
            )
        gc.collect()
        mismatches += sum(row.get("mismatches", 0) for row in figures[workload].values())
        result["goals"] = goals.judge(n, n_bits, figures)
        # After each workload: hours of measuring are not lost with the next one.
        path = keep(name, result)
    print("\ngoals")
    goals.show(result["goals"])
    print(f"mismatches with the linear scan: {mismatches}; stored as {path}")
    raise SystemExit(1 if mismatches else 0)


def protocol(n: int, n_bits: int, n_queries: int, n_verify: int, rounds: int) -> dict[str, Any]:
    """Return what a reader has to know of how figures came about."""
    return {
        "n": n,
        "n_bits": n_bits,
        "seed": SEED,
        "queries": n_queries,
        "verified_queries": n_verify,
        "engine ms": "median of one query on one thread in the engine (Searcher.time_queries), all rounds",
        "rounds": f"every question is asked in {rounds} rounds, between which the others are asked",
        "Python ms": "median of one query on one thread, Index.search or search_radius called from Python",
        "over ...": "the other's median / ours, both called from Python; over a scan: ours inside the engine",
        "workloads": {name: source.__doc__ for name, source in SOURCES.items()},
    }


def measure(
    workload: Workload,
    n_queries: int,
    n_verify: int,
    *,
    rounds: int,
    rivals: bool,
    left_out: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Return the figures of one workload in memory, by question and measure."""
    codes, fresh = workload.codes, Fresh(workload.queries)
    asked = questions(len(codes), workload.n_bits)
    index, row = build(workload)
    figures: dict[str, Any] = {"index": row}
    flat = _core.FlatCodes(codes)
    show("index", row)
    show_header()
    mismatches = [verify(index, flat, question, fresh.take(n_verify)) for question in asked]
    rows = ask_index(index, asked, fresh, n_queries, rounds=rounds)
    for question, count, row in zip(asked, mismatches, rows, strict=True):
        row["mismatches"] = count
        scan = partial(question.scan, flat)
        row["linear scan ms"] = median_ms(python_ns(scan, fresh.take(SCANS)))
        row["over linear scan"] = round(row["linear scan ms"] / row["engine ms"], 2)
        figures[question.name] = row
        show(question.name, row)
    for question in scanned(workload.n_bits):
        figures[f"scan {question.name}"] = row = ask_scan(flat, codes, question, fresh)
        show(f"scan {question.name}", row)
    del flat
    if rivals:
        for system in systems(codes, leave_out=left_out):
            measure_rival(system, figures, asked, fresh, n_queries, rounds=rounds)
            del system
            gc.collect()
        compare_with_rivals(figures)
    return figures


def build(workload: Workload) -> tuple[hashnet.Index, dict[str, Any]]:
    """Return an index in memory, built on all cores, and what building it took."""
    index = hashnet.Index.in_memory(n_bits=workload.n_bits)
    before = memory_bytes()["anonymous"]
    with MemoryWatch() as watch:
        begin = time.perf_counter()
        index.add(workload.codes)
        build_s = time.perf_counter() - begin
    gc.collect()
    stats = index.stats()
    n = len(workload.codes)
    return index, {
        "build s": round(build_s, 3),
        "bytes a code": round(stats.bytes_per_code, 2),
        "resident bytes a code": round((memory_bytes()["anonymous"] - before) / n, 2),
        "peak bytes a code while building": round((watch.peak_anonymous - before) / n, 2),
        "distinct": stats.n_distinct,
        "tables": list(stats.tables),
    }


def verify(index: hashnet.Index, flat: _core.FlatCodes, question: Question, queries: Codes) -> int:
    """Return how many queries are not answered as the linear scan answers them."""
    return different(question.ask(index, queries, 2), question.scan(flat, queries, 2))


def ask_scan(flat: _core.FlatCodes, codes: Codes, question: Question, fresh: Fresh) -> dict[str, Any]:
    """Return what a linear scan of plain codes does, against the bandwidth measured now."""
    size = codes.nbytes
    ask = partial(question.scan, flat)
    # In turn, so that a busy neighbour meets both.
    scans, bandwidths = [], []
    for _ in range(5):
        bandwidths.append(read_bandwidth(size, repeats=3))
        scans.append(python_ns(ask, fresh.take(SCANS), budget_s=2).min())
    best, bandwidth = min(scans), max(bandwidths)
    n_batch = batch_size(ask, fresh, max(8, min(BATCH, PAIRS // len(codes))))
    one, two = rates((partial(ask, threads=1), partial(ask, threads=2)), fresh, n_batch, budget_s=10)
    return {
        "bandwidth GB/s": round(bandwidth / 1e9, 2),
        "scan GB/s": round(size / best, 2),
        "of memory bandwidth": round(size / best * 1e9 / bandwidth, 3),
        "codes": len(codes),
        "batch": n_batch,
        "ns a pair in batches, 1 thread": round(1e9 / one / len(codes), 4),
        "ns a pair in batches, 2 threads": round(1e9 / two / len(codes), 4),
    }


def measure_rival(
    system: System,
    figures: dict[str, Any],
    asked: list[Question],
    fresh: Fresh,
    n_queries: int,
    *,
    rounds: int,
) -> None:
    """Add a system's times to the figures of the questions that it answers."""
    figures["index"].setdefault("build s of others", {})[system.name] = round(system.build_s, 2)
    system.threads(1)
    asks = {question.name: ask for question in asked if (ask := system.ask(question)) is not None}
    line = []
    taken = ask_rival(list(asks.values()), fresh, n_queries, rounds=rounds)
    for name, ns in zip(asks, taken, strict=True):
        ms = median_ms(ns)
        figures[name].setdefault("others ms", {})[system.name] = ms
        line.append(f"{name} {ms:.4g}")
    print(f"  {system.name}, built in {system.build_s:.1f} s: ms {', '.join(line)}", flush=True)
    if system.name == "FAISS Flat":
        for question in scanned(8 * fresh.take(1).shape[1]):
            ask = system.ask(question)
            if ask is not None:
                _compare_batches(system, ask, figures[f"scan {question.name}"], fresh)


def _compare_batches(system: System, ask: Callable[[Codes], Any], row: dict[str, Any], fresh: Fresh) -> None:
    n = row["batch"]

    def ask_on(threads: int, queries: Codes) -> None:
        system.threads(threads)
        ask(queries)

    measured = rates((partial(ask_on, 1), partial(ask_on, 2)), fresh, n, budget_s=20)
    system.threads(1)
    for threads, rate in zip((1, 2), measured, strict=True):
        ours = row[f"ns a pair in batches, {threads} thread{'s' * (threads > 1)}"]
        theirs = 1e9 / rate / row["codes"]
        row[f"FAISS Flat ns a pair, threads {threads}"] = round(theirs, 4)
        row[f"batch over FAISS Flat, threads {threads}"] = round(theirs / ours, 2)


def compare_with_rivals(figures: dict[str, Any]) -> None:
    """Add how many times longer others take, family by family and the best of all."""
    for row in figures.values():
        others = row.get("others ms")
        if not others:
            continue
        for family in ("FAISS Flat", "FAISS MultiHash"):
            times = [ms for name, ms in others.items() if name.startswith(family)]
            if times:
                row[f"over {family}"] = round(min(times) / row["Python ms"], 2)
        of_faiss = {name: ms for name, ms in others.items() if name.startswith("FAISS")}
        if of_faiss:
            best = min(of_faiss, key=lambda name: of_faiss[name])
            row["best of FAISS"] = best
            row["over the best of FAISS"] = round(of_faiss[best] / row["Python ms"], 2)


if __name__ == "__main__":
    main()
