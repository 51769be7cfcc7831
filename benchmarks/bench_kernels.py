"""Kernels and linear scans of every instruction set that the machine has, beside FAISS's flat index.

    python -m benchmarks.bench_kernels
    python -m benchmarks.bench_kernels --n 1e6 --queries 256 --scan-mib 256

For each instruction set, in a process of its own: nanoseconds of a code-query pair in batches, for a radius
and for k-NN, on one and on two threads, hashnet and FAISS by turns; and one query over more codes than any
cache holds, as a share of the memory bandwidth measured beside it. Where there is a C++ compiler, the
kernels are timed alone too, on data in the cache (time_kernels.cpp). Stored as results/kernels.json.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.provenance import ROOT, keep, provenance
from hashnet import _core
from hashnet.codes import Codes

N_BITS = (64, 128, 256)
KS = (10, 100)
THREADS = (1, 2)
SEED = 1


def main() -> None:
    """Measure every instruction set, print and store; with ``--measure`` only the one in use."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=float, default=2e6, help="codes in the batches")
    parser.add_argument("--queries", type=int, default=512, help="queries of a batch")
    parser.add_argument("--scan-mib", type=int, default=512, help="codes that one query scans")
    parser.add_argument(
        "--memory-gib", type=float, default=0, help="random buckets of so much memory as well"
    )
    parser.add_argument("--name", default="kernels")
    parser.add_argument("--simd", help="instruction sets, by comma; default: all that the machine has")
    parser.add_argument("--repeats", type=int, default=3, help="the fastest of so many is taken")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(int(arguments.n), arguments.queries, arguments.scan_mib, arguments.repeats)))
        return
    figures = {}
    for simd in arguments.simd.split(",") if arguments.simd else _core.available_simd():
        figures[simd] = in_a_process(simd, arguments.memory_gib)
        show(simd, figures[simd])
    protocol = {
        "codes": "uniform, seed 1",
        "n": int(arguments.n),
        "queries": arguments.queries,
        "scan_mib": arguments.scan_mib,
        "statistic": f"fastest of {arguments.repeats}, hashnet and FAISS by turns",
        "radius": "n_bits / 8, inclusive",
    }
    keep(arguments.name, {**provenance(("numpy", "faiss-cpu")), "protocol": protocol, "figures": figures})


def in_a_process(simd: str, memory_gib: float) -> dict[str, Any]:
    """Return the figures of one instruction set."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.bench_kernels", "--measure", *sys.argv[1:]],
        env={**os.environ, "HASHNET_SIMD": simd},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
    )
    figures: dict[str, Any] = json.loads(done.stdout)
    return {**figures, "kernels alone": kernels_alone(simd, memory_gib)}


def kernels_alone(simd: str, memory_gib: float) -> dict[str, Any] | None:
    """Compile and run time_kernels.cpp; None without a compiler."""
    compiler = shutil.which(os.environ.get("CXX", "c++"))
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        program = str(Path(folder) / "time_kernels")
        sources = [
            ROOT / "benchmarks" / "time_kernels.cpp",
            *sorted((ROOT / "csrc" / "kernels").glob("*.cpp")),
        ]
        command = [compiler, "-std=c++17", "-O3", "-DNDEBUG", f"-I{ROOT / 'csrc'}", *map(str, sources)]
        subprocess.run([*command, "-o", program], check=True)
        memory = [f"{memory_gib}"] if memory_gib else []
        done = subprocess.run([program, simd, *memory], stdout=subprocess.PIPE, check=True)
    timed: dict[str, Any] = json.loads(done.stdout)
    return timed


def measure(n: int, nq: int, scan_mib: int, repeats: int) -> dict[str, Any]:
    """Return the figures of the instruction set in use."""
    return {
        "batch": {str(n_bits): batch(n, n_bits, nq, repeats) for n_bits in N_BITS},
        "one query": {str(n_bits): one_query(scan_mib, n_bits, repeats) for n_bits in N_BITS},
    }


def random_codes(n: int, n_bits: int, seed: int) -> Codes:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 2**64, (n, n_bits // 64), dtype=np.uint64).view(np.uint8)


def batch(n: int, n_bits: int, nq: int, repeats: int) -> dict[str, Any]:
    """Return nanoseconds of a code-query pair of hashnet and FAISS, and how many times faster hashnet is."""
    import faiss

    codes, queries = random_codes(n, n_bits, SEED), random_codes(nq, n_bits, SEED + 1)
    flat = _core.FlatCodes(codes)
    other = faiss.IndexBinaryFlat(n_bits)
    other.add(codes)
    radius = n_bits // 8
    rows: dict[str, Any] = {}
    for threads in THREADS:
        faiss.omp_set_num_threads(threads)
        # FAISS's radius is exclusive.
        own_radius = partial(flat.search_radius, queries, radius, threads)
        asked: dict[str, tuple[Callable[[], Any], ...]]
        asked = {f"radius {radius}": (own_radius, partial(other.range_search, queries, radius + 1))}
        for k in KS:
            asked[f"k {k}"] = (partial(flat.search, queries, k, threads), partial(other.search, queries, k))
        for question, pair in asked.items():
            own, theirs = (seconds / n / nq * 1e9 for seconds in fastest(pair, repeats))
            rows[f"{question}, {threads} thread{'s' if threads > 1 else ''}"] = {
                "hashnet": round(own, 4),
                "FAISS Flat": round(theirs, 4),
                "ratio": round(theirs / own, 2),
            }
    return rows


def one_query(mib: int, n_bits: int, repeats: int) -> dict[str, Any]:
    """Return GB/s of a scan for one query on one thread, and of reading the same bytes."""
    codes = random_codes(mib * 2**20 * 8 // n_bits, n_bits, SEED)
    query = random_codes(1, n_bits, SEED + 1)
    flat = _core.FlatCodes(codes)
    words = codes.view(np.uint64).reshape(-1)
    runs = (partial(flat.search_radius, query, n_bits // 8, 1), partial(np.bitwise_or.reduce, words))
    scan, read = (codes.nbytes / seconds / 1e9 for seconds in fastest(runs, 2 * repeats))
    return {"scan GB/s": round(scan, 2), "memory GB/s": round(read, 2), "share": round(scan / read, 2)}


def fastest(runs: tuple[Callable[[], Any], ...], repeats: int) -> list[float]:
    """Return the seconds of the fastest of ``repeats`` turns of each run, after one that warms up."""
    best = [float("inf")] * len(runs)
    for turn in range(repeats + 1):
        for i, run in enumerate(runs):
            begin = time.perf_counter()
            run()
            if turn > 0:
                best[i] = min(best[i], time.perf_counter() - begin)
    return best


def show(simd: str, figures: dict[str, Any]) -> None:
    """Print one instruction set."""
    print(f"\n{simd}: nanoseconds of a code-query pair")
    for n_bits, rows in figures["batch"].items():
        for question, row in rows.items():
            times = f"hashnet {row['hashnet']:.4f}  FAISS Flat {row['FAISS Flat']:.4f}"
            print(f"  {n_bits:>4} bits  {question:>21}  {times}  -> {row['ratio']:.1f}x")
    for n_bits, row in figures["one query"].items():
        print(f"  {n_bits:>4} bits  one query: {row['scan GB/s']} of {row['memory GB/s']} GB/s")
    alone = figures["kernels alone"]
    if alone is not None:
        for row in alone["residues"]:
            time_of = f"{row['ns_per_call']:.1f} ns, {row['ns_per_block']:.2f} a block"
            print(f"  {row['planes']} planes, {row['entries']:>4} entries: {time_of}")
        for row in alone["buckets"]:
            together = f"{row['ns_one_at_a_time']:.0f} ns, 16 together {row['ns_16_together']:.0f} ns"
            print(f"  buckets of {row['entries']} entries anywhere in {row['gib']} GiB: {together}")
        for row in alone["rows"]:
            print(f"  rows of {row['n_bits']:>4} bits in the cache: {row['ns_per_pair']:.3f} ns")


if __name__ == "__main__":
    main()
