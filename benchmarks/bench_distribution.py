"""What distribution costs: ShardedIndex beside the plain index in one process and beside an empty Ray call.

    python -m benchmarks.bench_distribution --workload clustered      1e7 codes of 64 bits, about 4 minutes
    python -m benchmarks.bench_distribution --workload uniform

One index directory of four segments is served by 1, 2 and 4 shards and opened as a plain index, all
preloaded. Single queries are timed in turn: empty call, plain index on one thread, each number of shards.
Batches likewise: plain on all cores, and shards with as many threads as there are cores, from one client and
from two at a time.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import provenance, workloads
from benchmarks.measuring import Fresh
from hashnet import Index, open_index
from hashnet.codes import Codes

SHARDS = (1, 2, 4)
SEGMENTS = 4
BATCHES = (64, 1024)
QUESTIONS = ("radius 4", "radius 8", "k 10", "k 100")
CLIENTS = 2
# The goals: milliseconds above an empty call for one query, and the share of the engine's rate in batches.
MOST_EXTRA_MS = 2.0
LEAST_SHARE = 0.9

Ask = Callable[[Codes], Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workload", choices=sorted(workloads.SOURCES), default="clustered")
    parser.add_argument("--n", type=float, default=1e7)
    parser.add_argument("--bits", type=int, default=64)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--singles", type=int, default=300, help="single queries of each kind")
    parser.add_argument("--seconds", type=float, default=1.5, help="for each way of asking batches")
    parser.add_argument("--questions", nargs="+", default=QUESTIONS)
    parser.add_argument("--work", type=Path, help="folder for the index (default: a temporary one)")
    parser.add_argument("--name", help="of the result; default: distribution_<workload>_<n>_<bits>")
    arguments = parser.parse_args()
    n = int(arguments.n)
    folder = Path(tempfile.mkdtemp(prefix="hashnet-distribution-", dir=arguments.work))
    try:
        result = measure(arguments, n, folder)
    finally:
        shutil.rmtree(folder)
    name = f"distribution_{arguments.workload}_{provenance.size_of(n)}_{arguments.bits}"
    provenance.keep(arguments.name or name, result)


def measure(arguments: argparse.Namespace, n: int, folder: Path) -> dict[str, Any]:
    from hashnet.distributed import ShardedIndex, ray_cluster

    work = workloads.make(arguments.workload, n, arguments.bits, 1 << 16, seed=arguments.seed)
    path = folder / "codes.hnx"
    with Index.create(path, n_bits=arguments.bits) as index:
        for part in np.array_split(work.codes, SEGMENTS):
            index.add(part)
    fresh = Fresh(work.queries)
    cores = provenance.provenance()["machine"]["cores"]
    with ExitStack() as stack:
        stack.enter_context(ray_cluster(cpus=cores))
        plain = stack.enter_context(open_index(path, preload=True))
        sharded = {}
        for shards in SHARDS:
            threads = max(1, cores // shards)
            opened = ShardedIndex.open(path, shards=shards, threads=threads, preload=True)
            sharded[shards] = stack.enter_context(opened)
        empty = _empty_call()
        figures = {}
        for question in arguments.questions:
            mismatches = _mismatches(question, plain, list(sharded.values()), fresh.take(64))
            if mismatches:
                raise SystemExit(f"{question}: {mismatches} answers differ from the plain index")
            figures[question] = {
                "single": _singles(question, plain, sharded, empty=empty, fresh=fresh, n=arguments.singles),
                **{
                    f"batch {size}": _batches(
                        question,
                        plain,
                        sharded,
                        fresh=fresh,
                        size=size,
                        seconds=arguments.seconds,
                        cores=cores,
                    )
                    for size in BATCHES
                },
            }
            print(question, figures[question], flush=True)
    goals = _judge(figures)
    for goal in goals:
        print(goal)
    return {
        "protocol": {
            "workload": arguments.workload,
            "n": n,
            "n_bits": arguments.bits,
            "seed": arguments.seed,
            "segments": SEGMENTS,
            "singles": arguments.singles,
            "seconds": arguments.seconds,
            "clients": CLIENTS,
        },
        "figures": figures,
        "goals": goals,
        **provenance.provenance(("numpy", "ray")),
    }


def _asker(question: str, index: Any, **settings: Any) -> Ask:
    kind, value = question.split()
    method = index.search if kind == "k" else index.search_radius
    return lambda queries: method(queries, int(value), **settings)


def _empty_call() -> Callable[[], Any]:
    import ray

    class Empty:
        def call(self) -> None:
            """Nothing."""

    actor = ray.remote(num_cpus=0)(Empty).remote()
    ray.get(actor.call.remote())
    return lambda: ray.get(actor.call.remote())


def _mismatches(question: str, plain: Any, others: Sequence[Any], queries: Codes) -> int:
    wanted = _asker(question, plain)(queries)
    wrong = 0
    for other in others:
        got = _asker(question, other)(queries)
        wrong += not all(np.array_equal(mine, its) for mine, its in zip(got, wanted, strict=True))
    return wrong


def _singles(
    question: str, plain: Any, sharded: dict[int, Any], *, empty: Callable[[], Any], fresh: Fresh, n: int
) -> dict[str, Any]:
    """Milliseconds of one query: medians and 99th percentiles, of every way in turn."""
    ways: dict[str, Ask] = {"empty call": lambda _: empty(), "plain": _asker(question, plain, threads=1)}
    for shards, index in sharded.items():
        ways[f"shards {shards}"] = _asker(question, index)
    times: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(n + 20):
        for name, ask in ways.items():
            one = fresh.take(1)
            begin = time.perf_counter()
            ask(one)
            spent = time.perf_counter() - begin
            if turn >= 20:
                times[name].append(spent * 1e3)
    empty_ms = float(np.median(times["empty call"]))
    rows: dict[str, Any] = {}
    for name, ms in times.items():
        median, high = (round(float(value), 4) for value in np.percentile(ms, (50, 99)))
        rows[name] = {"ms": median, "p99 ms": high}
        if name.startswith("shards"):
            rows[name]["above empty ms"] = round(median - empty_ms, 4)
    return rows


def _batches(
    question: str,
    plain: Any,
    sharded: dict[int, Any],
    *,
    fresh: Fresh,
    size: int,
    seconds: float,
    cores: int,
) -> dict[str, Any]:
    """Queries a second of every way: the median over several turns."""
    ways: dict[str, tuple[Ask, int]] = {"plain": (_asker(question, plain, threads=cores), 1)}
    for shards, index in sharded.items():
        ask = _asker(question, index)
        ways[f"shards {shards}"] = (ask, 1)
        ways[f"shards {shards}, {CLIENTS} clients"] = (ask, CLIENTS)
    rates: dict[str, list[float]] = {name: [] for name in ways}
    turns = 5
    for turn in range(turns + 1):
        for name, (ask, clients) in ways.items():
            rate = _rate(ask, fresh, size, clients, seconds / turns)
            if turn:
                rates[name].append(rate)
    medians = {name: float(np.median(rate)) for name, rate in rates.items()}
    return {
        name: {"queries a second": round(rate), "of plain": round(rate / medians["plain"], 3)}
        for name, rate in medians.items()
    }


def _rate(ask: Ask, fresh: Fresh, size: int, clients: int, seconds: float) -> float:
    begin = time.perf_counter()
    end = begin + seconds

    def client(queries: list[Codes]) -> int:
        n = 0
        while time.perf_counter() < end or not n:
            ask(queries[n % len(queries)])
            n += 1
        return n * size

    batches = [[fresh.take(size) for _ in range(8)] for _ in range(clients)]
    if clients == 1:
        return client(batches[0]) / (time.perf_counter() - begin)
    with ThreadPoolExecutor(clients) as pool:
        asked = sum(pool.map(client, batches))
    return asked / (time.perf_counter() - begin)


def _judge(figures: dict[str, Any]) -> list[dict[str, Any]]:
    goals = []
    for question, measured in figures.items():
        for shards in SHARDS:
            extra = measured["single"][f"shards {shards}"]["above empty ms"]
            share = max(
                row["of plain"]
                for name, row in measured["batch 1024"].items()
                if name.split(",")[0] == f"shards {shards}"
            )
            goals += [
                {
                    "question": question,
                    "shards": shards,
                    "measure": "one query, ms above an empty call",
                    "value": extra,
                    "at most": MOST_EXTRA_MS,
                    "reached": extra <= MOST_EXTRA_MS,
                },
                {
                    "question": question,
                    "shards": shards,
                    "measure": "batch 1024, rate over the plain index",
                    "value": share,
                    "at least": LEAST_SHARE,
                    "reached": share >= LEAST_SHARE,
                },
            ]
    return goals


if __name__ == "__main__":
    main()
