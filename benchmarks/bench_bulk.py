"""Building an index and answering many queries with Ray workers, beside one process without Ray.

    python -m benchmarks.bench_bulk

Everything is on disk: codes and queries are read from files, indexes and answers written durably. One process
and the workers use the same cores, all of them. They take turns in one run; whatever they write must be the
same bytes, or the benchmark exits with 1. Seconds are those of the call with Ray running already: workers
start, units are done, the result is put together. Of queries there is also the rate between a fifth and nine
tenths of them, in which neither the start of workers nor the end counts.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.bench_encode import Clock
from benchmarks.provenance import keep, provenance
from benchmarks.workloads import clustered_source

K, RADIUS = 10, 8


@dataclass
class Way:
    """What one way of doing a job took, repeat by repeat."""

    seconds: list[float] = field(default_factory=list)
    clocks: list[Clock] = field(default_factory=list)
    digests: set[str] = field(default_factory=set)


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, or of the files of a folder with their names."""
    total = hashlib.sha256()
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            total.update(str(file.relative_to(path)).encode())
            with file.open("rb") as data:
                total.update(hashlib.file_digest(data, "sha256").digest())
    return total.hexdigest()


def take_turns(
    jobs: dict[str, Callable[[Path, Clock], Any]], folder: Path, *, repeats: int
) -> dict[str, Way]:
    """Do each job ``repeats`` times in turn; what it writes is read for its digest and removed."""
    ways = {name: Way() for name in jobs}
    for _ in range(repeats):
        for name, job in jobs.items():
            output, clock = folder / "output", Clock()
            # What the last one wrote must not be written to disk while this one is timed.
            os.sync()
            began = time.perf_counter()
            job(output, clock)
            ways[name].seconds.append(time.perf_counter() - began)
            ways[name].clocks.append(clock)
            ways[name].digests.add(digest(output))
            shutil.rmtree(output) if output.is_dir() else output.unlink()
    return ways


def figures(ways: dict[str, Way], rows: int, *, rates: bool) -> dict[str, Any]:
    """Return medians, as they are and as parts of those of one process; ``rates`` for many small units."""
    seconds = {name: statistics.median(way.seconds) for name, way in ways.items()}
    table: dict[str, Any] = {
        name: {
            "seconds": round(one, 2),
            "rows_per_s": round(rows / one),
            "of_one_process": round(seconds["one process"] / one, 3),
        }
        for name, one in seconds.items()
    }
    if rates:
        between = {
            name: statistics.median(clock.rate() for clock in way.clocks) for name, way in ways.items()
        }
        for name, one in between.items():
            table[name]["rows_per_s_between"] = round(one)
            table[name]["between_of_one_process"] = round(one / between["one process"], 3)
    return table


def main() -> int:
    """Measure, print and keep the figures; 1 if not all wrote the same."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--n", type=float, default=2e7, help="codes")
    parser.add_argument("--queries", type=float, default=3e4)
    parser.add_argument("--bits", type=int, default=64)
    parser.add_argument("--shards", type=int, default=8)
    parser.add_argument("--unit-queries", type=int, default=1 << 10)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    from hashnet.distributed.authentication import demand_token

    demand_token(address="local")
    from hashnet.distributed import build_with_ray, ray_cluster, search_to_file

    from hashnet.encoding import build_index
    from hashnet.index import open_codes

    n, n_queries = int(args.n), int(args.queries)
    tables, agree = {}, True
    with tempfile.TemporaryDirectory() as scratch, ray_cluster("local"):
        folder = Path(scratch)
        codes, index = folder / "codes.npy", folder / "codes.hnx"
        drawn = clustered_source(n, args.bits, seed=args.seed)
        drawn.write(codes, n)
        asked = {"k-NN": folder / "knn.npy", "radius": folder / "radius.npy"}
        sizes = {"k-NN": n_queries, "radius": n_queries}
        for name, path in asked.items():
            np.save(path, drawn.queries(sizes[name]))

        def build(workers: int) -> Callable[[Path, Clock], Any]:
            if workers:
                return lambda output, clock: build_with_ray(
                    codes, output, shards=args.shards, workers=workers, progress=clock
                )
            return lambda output, clock: build_index(
                open_codes(codes), output, segments=args.shards, progress=clock
            )

        def search(name: str, workers: int) -> Callable[[Path, Clock], Any]:
            question: dict[str, Any] = {"k": K} if name == "k-NN" else {"radius": RADIUS}
            return lambda output, clock: search_to_file(
                index,
                asked[name],
                output,
                workers=workers,
                unit_queries=args.unit_queries,
                progress=clock,
                **question,
            )

        names = {0: "one process"} | {w: f"{w} worker{'s' if w > 1 else ''}" for w in args.workers}
        build(0)(index, Clock())
        for job, rows in (("build", n), *sizes.items()):
            doing = {names[w]: build(w) if job == "build" else search(job, w) for w in names}
            ways = take_turns(doing, folder, repeats=args.repeats)
            agree = agree and len(set().union(*(way.digests for way in ways.values()))) == 1
            tables[job] = figures(ways, rows, rates=job != "build")
            for name, one in tables[job].items():
                between = f", {one['between_of_one_process']:.2f} between" if job != "build" else ""
                print(
                    f"{job:8} {name:12} {one['seconds']:6.2f} s {one['rows_per_s']:>10} rows/s, "
                    f"{one['of_one_process']:.2f} of one process{between}",
                    flush=True,
                )
    print("all wrote the same bytes" if agree else "not all wrote the same bytes")
    keep(
        "bulk",
        {
            "benchmark": "bulk",
            "protocol": vars(args)
            | {
                "workload": "clustered",
                "k": K,
                "radius": RADIUS,
                "n_knn": sizes["k-NN"],
                "figures": "medians",
            },
            "tables": tables,
            "same_bytes": agree,
            **provenance(("numpy", "pyarrow", "ray")),
        },
    )
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
