"""The constants of `hashnet plan`: fitted to figures of bench_search, and what an empty Ray call takes.

    python -m benchmarks.bench_capacity --machine avx2 [--calls 2000] [--refit]

It writes distributed/capacity_constants_MACHINE.json, with where each figure comes from; run it on the
machine whose figures of bench_search it reads. --refit keeps the figures of Ray that are there: for new
figures of bench_search.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, get_args

from hashnet.distributed.capacity import Machine, constants_file
from hashnet.distributed.capacity_fit import fit_search, measurements_of

from benchmarks.provenance import RESULTS, provenance

SIZES = ("1e7", "1e8", "1e9")
# Results of the machine with AVX-512 have no folder of their own.
FOLDERS: dict[Machine, str] = {"avx512": "", "avx2": "avx2/"}
MOST_ACTORS = 4


def main() -> None:
    """Fit, measure, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--machine", choices=get_args(Machine), required=True, help="whose results are read")
    parser.add_argument("--calls", type=int, default=2000, help="empty calls to time")
    parser.add_argument("--refit", action="store_true", help="keep the stored figures of Ray")
    options = parser.parse_args()
    results = sources(options.machine)
    file = constants_file(options.machine)
    values = constants_of(options.machine, results)
    if options.refit:
        stored = json.loads(file.read_text())
        ray = {name: value for name, value in stored["cluster"].items() if name.startswith("ray_")}
        values["provenance"]["ray"] = stored["provenance"]["ray"]
    else:
        ray = ray_figures(options.calls)
        values["provenance"]["ray"] = provenance(("ray",))
    values["cluster"] = around(list(results.values())) | ray
    file.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(values, indent=1))


def sources(machine: Machine) -> dict[str, dict[str, Any]]:
    """Return the results of bench_search that a machine's constants are fitted to, by file name."""
    names = [f"{FOLDERS[machine]}search_{size}_64.json" for size in SIZES]
    return {name: json.loads((RESULTS / name).read_text()) for name in names}


def constants_of(machine: Machine, named: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the constants of searching and where they come from; results by file name."""
    results = list(named.values())
    measured = [one for result in results for one in measurements_of(result)]
    scans = [
        figures["linear scan ms"] * 1e6 / result["protocol"]["n"]
        for result in results
        for workload in result["figures"].values()
        for name, figures in workload.items()
        if name.startswith(("radius", "k "))
    ]
    search = fit_search(measured, scan_ns=statistics.median(scans))
    # Index in memory, huge pages, nothing else running: what a server sees.
    largest = [one for one in measured if one.n_codes == max(one.n_codes for one in measured)]
    return {
        "search": asdict(search),
        "tails": {
            workload: {
                "radius": [
                    (one.question.radius, round(one.tail, 3))
                    for one in largest
                    if one.question.workload == workload and one.question.k is None
                ],
                "k": [
                    (one.question.k, round(one.tail, 3))
                    for one in largest
                    if one.question.workload == workload and one.question.k is not None
                ],
            }
            for workload in ("uniform", "clustered")
        },
        "provenance": {
            "sizes": sorted({one.n_codes for one in measured}),
            "n_bits": measured[0].question.n_bits,
            "radii": sorted({one.question.radius for one in measured if one.question.radius is not None}),
            "k": sorted({one.question.k for one in measured if one.question.k is not None}),
            "cores": max(result["machine"]["cores"] for result in results),
            "sources": {
                f"benchmarks/results/{name}": {
                    "machine": result["machine"],
                    "commit": result["commit"],
                }
                for name, result in named.items()
            },
            "command": f"python -m benchmarks.bench_capacity --machine {machine}",
        },
    }


def around(results: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Return what a call from Python adds, what a second thread brings, and the speed of building."""
    largest = max(results, key=lambda result: int(result["protocol"]["n"]))
    figures = [
        of
        for workload in largest["figures"].values()
        for name, of in workload.items()
        if name.startswith(("radius", "k "))
    ]
    builds = [
        largest["protocol"]["n"] / (of["index"]["build s"] * largest["machine"]["cores"])
        for of in largest["figures"].values()
    ]
    return {
        "python_us": _middle([of["Python overhead us"] for of in figures]),
        "thread_efficiency": round(_middle([of["batch, 2 threads over 1"] for of in figures]) / 2, 3),
        "build_codes_per_core_s": round(min(builds)),
    }


def ray_figures(calls: int) -> dict[str, float]:
    """Return the microseconds of an empty call: one shard, each further one, CPU of caller and of actor."""
    import ray

    ray.init(include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    try:
        empty = ray.remote(num_cpus=0)(_Empty)
        actors = [empty.remote() for _ in range(MOST_ACTORS)]
        ray.get([actor.call.remote() for actor in actors for _ in range(200)])
        latency = {n: _fan_out_us(actors[:n], calls // n) for n in (1, 2, MOST_ACTORS)}
        caller, actor = _cpu_us(actors[0], 4 * calls)
    finally:
        ray.shutdown()
    return {
        "ray_call_us": latency[1],
        "ray_more_shards_us": round((latency[MOST_ACTORS] - latency[1]) / (MOST_ACTORS - 1), 1),
        "ray_caller_cpu_us": caller,
        "ray_actor_cpu_us": actor,
    }


class _Empty:
    def call(self) -> None:
        """Do nothing."""

    def cpu_s(self) -> float:
        """Return the CPU time of this process so far."""
        return time.process_time()


def _fan_out_us(actors: Sequence[Any], times: int) -> float:
    import ray

    taken = []
    for _ in range(times):
        began = time.perf_counter()
        ray.get([actor.call.remote() for actor in actors])
        taken.append(time.perf_counter() - began)
    return round(statistics.median(taken) * 1e6, 1)


def _cpu_us(actor: Any, calls: int) -> tuple[float, float]:
    """Return the CPU time of caller and actor for one of many calls that are under way together."""
    import ray

    before, began = ray.get(actor.cpu_s.remote()), time.process_time()
    ray.get([actor.call.remote() for _ in range(calls)])
    caller = time.process_time() - began
    after = ray.get(actor.cpu_s.remote())
    return round(caller / calls * 1e6, 1), round((after - before) / calls * 1e6, 1)


def _middle(values: Sequence[float]) -> float:
    return round(statistics.median(values), 3) if values else math.nan


if __name__ == "__main__":
    main()
