"""Building a segment: codes a second and core, against reading the codes and writing the image once.

python -m benchmarks.bench_build --n 1e7 --memory-mib 4096 512 --threads 1 2 --into memory file

Every build runs in a process of its own, from an .npy file in --scratch, which is made once and kept. The
floor is the time to read all codes and to write the whole image at the bandwidths measured in this run:
those of the memory, and, into a file, that of the disk for the image.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.provenance import ROOT, keep, provenance
from benchmarks.workloads import SOURCES
from hashnet import _core

MIB = 1 << 20


def memory_gb_per_s() -> float:
    """Return bytes read plus bytes written a second by copies of half a GiB, one thread, best of three."""
    source = np.ones(512 * MIB, dtype=np.uint8)
    target = np.empty_like(source)
    target[:] = source
    best = float("inf")
    for _ in range(3):
        began = time.perf_counter()
        target[:] = source
        best = min(best, time.perf_counter() - began)
    return 2 * len(source) / best / 1e9


def disk_gb_per_s(folder: Path) -> float:
    """Return the bytes a second that reach the disk of ``folder``, one GiB with fsync."""
    path = folder / "bandwidth.tmp"
    block = np.random.default_rng(0).bytes(16 * MIB)
    try:
        with path.open("wb") as file:
            began = time.perf_counter()
            for _ in range(64):
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
            seconds = time.perf_counter() - began
    finally:
        path.unlink(missing_ok=True)
    return 64 * len(block) / seconds / 1e9


def resident_mib(field: str) -> float:
    """Return a field of /proc/self/status, such as RssAnon, in MiB."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    return float("nan")


def build_once(arguments: dict[str, Any]) -> dict[str, Any]:
    """Build one segment in this process and return what it took."""
    codes = np.load(arguments["codes"], mmap_mode="r")
    began = time.perf_counter()
    before = resident_mib("RssAnon")
    most = 0.0
    stages: dict[str, list[float]] = {}

    def used() -> tuple[float, float]:
        spent = resource.getrusage(resource.RUSAGE_SELF)
        return time.perf_counter(), spent.ru_utime + spent.ru_stime

    at, stage = used(), ""
    start = at

    def note(now: str) -> None:
        nonlocal at, stage
        then = used()
        if stage:
            stages[stage] = [round(then[0] - at[0], 3), round(then[1] - at[1], 3)]
        at, stage = then, now

    def progress(now: str, _done: int, _total: int) -> None:
        nonlocal most
        most = max(most, resident_mib("RssAnon") - before)
        if now != stage:
            note(now)

    segment = _core.Segment.build(
        codes, None, 0, arguments["path"], arguments["threads"], memory=arguments["memory"], progress=progress
    )
    end = used()
    note("")
    return {
        "seconds": round(end[0] - began, 3),
        "cpu_seconds": round(end[1] - start[1], 3),
        "stages_wall_cpu": stages,
        "image_bytes": segment.size,
        "bytes_a_code": round(segment.size / len(codes), 3),
        "n_distinct": segment.n_distinct,
        "peak_anonymous_mib": round(most),
        "peak_resident_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def measure(codes: Path, into: str, memory: int, threads: int, scratch: Path) -> dict[str, Any]:
    """Build in a process of its own; the image file, where there is one, is removed again."""
    path = scratch / "bench_build.seg"
    path.unlink(missing_ok=True)
    arguments = {
        "codes": str(codes),
        "path": str(path) if into == "file" else "",
        "memory": memory,
        "threads": threads,
    }
    try:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.bench_build", "--once", json.dumps(arguments)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        )
    finally:
        path.unlink(missing_ok=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def floor_seconds(code_bytes: int, image_bytes: int, into: str, memory: float, disk: float) -> float:
    """Return the time to read the codes and to write the image, in GB/s of memory and of the disk."""
    if into == "memory":
        return (code_bytes + image_bytes) / memory / 1e9
    return max((code_bytes + image_bytes) / memory, image_bytes / disk) / 1e9


def main() -> None:
    """Measure, print and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--n", type=float, nargs="+", default=[1e7])
    parser.add_argument("--bits", type=int, default=64)
    parser.add_argument("--workload", choices=sorted(SOURCES), default="uniform")
    parser.add_argument("--memory-mib", type=int, nargs="+", default=[4096, 512])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--into", choices=["memory", "file"], nargs="+", default=["memory", "file"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scratch", type=Path, default=Path("bench_scratch"))
    parser.add_argument("--once", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.once is not None:
        print(json.dumps(build_once(json.loads(arguments.once))))
        return

    scratch = arguments.scratch.resolve()
    scratch.mkdir(parents=True, exist_ok=True)
    memory, disk = memory_gb_per_s(), disk_gb_per_s(scratch)
    print(f"memory {memory:.1f} GB/s, disk {disk:.2f} GB/s")
    print("       n    into    MiB threads        s    cpu s  codes/s/core   floor")
    rows = []
    for size in arguments.n:
        n = int(size)
        codes = scratch / f"{arguments.workload}_{n}_{arguments.bits}_{arguments.seed}.npy"
        if not codes.exists():
            SOURCES[arguments.workload](n, arguments.bits, seed=arguments.seed).write(codes, n)
        cases = itertools.product(arguments.into, arguments.memory_mib, arguments.threads)
        for into, memory_mib, threads in cases:
            row = measure(codes, into, memory_mib * MIB, threads, scratch)
            floor = floor_seconds(n * arguments.bits // 8, row["image_bytes"], into, memory, disk)
            row = {
                "n": n,
                "into": into,
                "memory_mib": memory_mib,
                "threads": threads,
                "codes_a_second_and_core": round(n / row["seconds"] / threads),
                "floor_seconds": round(floor, 3),
                "times_the_floor": round(row["seconds"] / floor, 2),
                **row,
            }
            rows.append(row)
            print(
                f"{n:8.0e} {into:>7} {memory_mib:6} {threads:7} {row['seconds']:8.2f} "
                f"{row['cpu_seconds']:8.2f} {row['codes_a_second_and_core']:13,} "
                f"{row['times_the_floor']:6.1f}x"
            )
    result = {
        "benchmark": "build",
        "protocol": {
            "bits": arguments.bits,
            "workload": arguments.workload,
            "seed": arguments.seed,
        },
        "memory_gb_per_s": round(memory, 2),
        "disk_gb_per_s": round(disk, 3),
        "rows": rows,
        **provenance(),
    }
    keep(f"build_{arguments.workload}_{arguments.bits}", result)


if __name__ == "__main__":
    main()
