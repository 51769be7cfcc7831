"""Latency and throughput of the service over HTTP, against an endpoint that does nothing on the same server.

python -m benchmarks.bench_serve
"""

# No postponed annotations: the empty app travels to Ray Serve by value, and FastAPI must find their names.
import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from benchmarks.http_load import Series, load, request_bytes
from benchmarks.provenance import keep, provenance
from benchmarks.workloads import make
from hashnet.codes import Codes
from hashnet.index import Index, open_index

HOST = "127.0.0.1"
K = 10
CLIENTS = (1, 8, 32)


def empty_app() -> Any:
    """Return a FastAPI app that reads a body and answers a little JSON."""
    app = FastAPI()

    @app.post("/search")
    async def search(request: Request) -> JSONResponse:
        await request.body()
        return JSONResponse({})

    @app.get("/healthz")
    async def healthz() -> JSONResponse:
        return JSONResponse({})

    return app


def serve_empty() -> None:
    """Serve the empty app from this process, and print its URL."""
    from hashnet.distributed.serving.local import bind, run

    with bind(HOST, 0) as server:
        run(
            empty_app(),
            server,
            host=HOST,
            drain_s=1,
            ready=lambda url: print(json.dumps({"url": url}), flush=True),
        )


def serve_on_ray(index: Path, shards: int, *, direct: bool) -> None:
    """Run the empty app and the service, with and without batching, on Ray Serve until stdin ends.

    Prints name -> (port, path). With ``direct`` they listen themselves, else Serve's proxy does.
    """
    ports = free_ports(3)
    if not direct:
        os.environ["RAY_SERVE_ENABLE_DIRECT_INGRESS"] = "0"
    from hashnet.distributed.authentication import demand_token
    from hashnet.distributed.serving.own_ray import prepare_own_ray

    demand_token(address="local")
    prepare_own_ray(ports[0], apps=len(ports), address="local")
    from hashnet.distributed import ray_cluster
    from hashnet.distributed.serving.deployment import SearchService, deploy, running, wait_for
    from hashnet.distributed.serving.settings import ServiceSettings
    from hashnet.distributed.serving.source import Source
    from ray import serve

    empty = deploy(serve.ingress(empty_app)(), max_ongoing=128, drain_s=1)
    with ray_cluster("local"), running(empty.bind(), host=HOST, port=ports[0]):
        names = {"empty": (ports[0], "/search")}
        for number, (name, batch) in enumerate((("batching", 256), ("no batching", 1)), start=1):
            prefix, port = "/" + name.replace(" ", "-"), ports[number if direct else 0]
            service = deploy(serve.ingress()(SearchService), max_ongoing=128, drain_s=1)
            settings = ServiceSettings(batch_queries=batch)
            serve.run(service.bind(Source(index, shards=shards), settings), name=name, route_prefix=prefix)
            wait_for(f"http://{HOST}:{port}{prefix}/readyz")
            names[name] = (port, f"{prefix}/search")
        print(json.dumps(names), flush=True)
        sys.stdin.read()
        for name in ("batching", "no batching"):
            serve.delete(name)


def free_ports(n: int) -> list[int]:
    """Return ``n`` ports in a row that are free now."""
    from hashnet.distributed.serving.local import bind

    while True:
        with ExitStack() as stack:
            first = stack.enter_context(bind(HOST, 0)).getsockname()[1]
            try:
                for port in range(first + 1, first + n):
                    stack.enter_context(bind(HOST, port))
            except (OSError, OverflowError):
                continue
            return list(range(first, first + n))


@contextmanager
def on_ray(index: Path, shards: int, *, direct: bool) -> Iterator[dict[str, tuple[int, str]]]:
    """Have ``serve_on_ray`` in a process of its own: name -> (port, path)."""
    call = f"bench_serve.serve_on_ray(Path({str(index)!r}), {shards}, direct={direct})"
    process = subprocess.Popen(
        [sys.executable, "-c", f"from pathlib import Path; from benchmarks import bench_serve; {call}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    line = process.stdout.readline() if process.stdout else ""
    try:
        yield {name: (port, path) for name, (port, path) in json.loads(line).items()}
    finally:
        # Closes its stdin, and reads what it still says until it ends.
        process.communicate()


@contextmanager
def here(index: Path) -> Iterator[dict[str, tuple[int, str]]]:
    """Run the empty app and the service as processes of their own, without Ray: name -> (port, path)."""
    empty = ["-c", "from benchmarks.bench_serve import serve_empty; serve_empty()"]
    served = ["-m", "hashnet", "serve", str(index), "--shards", "0", "--port", "0", "--json"]
    commands = {"empty": empty, "batching": served, "no batching": [*served, "--batch", "1"]}
    with ExitStack() as stack:
        names = {}
        for name, command in commands.items():
            process = subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True)
            stack.callback(process.wait)
            stack.callback(process.terminate)
            line = process.stdout.readline() if process.stdout else ""
            names[name] = (int(json.loads(line)["url"].rstrip("/").rpartition(":")[2]), "/search")
        yield names


def bodies(queries: Codes) -> list[bytes]:
    """Return one request for each query."""
    return [
        json.dumps({"codes": [query.tobytes().hex()], "k": K, "with_keys": False}).encode()
        for query in queries
    ]


def count_wrong(series: Series, true: list[tuple[list[int], list[int]]]) -> int:
    """Return how many of the kept answers differ from the index asked directly."""
    wrong = 0
    for question, body in series.kept:
        (answer,) = json.loads(body)["answers"]
        wrong += (answer["distances"], answer["ids"]) != true[question]
    return wrong


def measure(
    names: dict[str, tuple[int, str]], asked: list[bytes], true: list[tuple[list[int], list[int]]], args: Any
) -> tuple[dict[str, Any], int, int]:
    """Return the figures by name and clients, medians over rounds, and the answers compared and wrong."""
    rounds: dict[str, dict[int, list[dict[str, Any]]]] = {name: {n: [] for n in CLIENTS} for name in names}
    compared = wrong = 0
    for _ in range(args.rounds):
        for clients in CLIENTS:
            # In turn, so that whatever else the machine does meets all alike.
            for name, (port, path) in names.items():
                requests = [request_bytes(f"{HOST}:{port}", path, body) for body in asked]
                series = load(HOST, port, requests, clients=clients, seconds=args.seconds)
                if set(series.statuses) != {200}:
                    raise RuntimeError(f"{name} answered {series.statuses}; only 200 can be compared")
                rounds[name][clients].append(series.figures())
                if name != "empty":
                    compared += len(series.kept)
                    wrong += count_wrong(series, true)
    table = {
        name: {str(clients): _median(figures) for clients, figures in by_clients.items()}
        for name, by_clients in rounds.items()
    }
    return table, compared, wrong


def _median(figures: list[dict[str, Any]]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for name in figures[0]:
        values = [one[name] for one in figures]
        if name == "answers":
            merged[name] = sum(values)
        else:
            merged[name] = round(float(np.median(values)), 3)
    return merged


def show(title: str, table: dict[str, Any]) -> None:
    """Print one table."""
    print(title)
    for clients in map(str, CLIENTS):
        for name, figures in table.items():
            one = figures[clients]
            p50, p99 = one["p50_ms"], one["p99_ms"]
            print(
                f"  {clients:>2} clients  {name:<12} {one['per_s']:>8} answers/s   p50 {p50:>7} ms  "
                f"p99 {p99:>7} ms  over empty {p50 - table['empty'][clients]['p50_ms']:+.2f} ms"
            )


def main() -> int:
    """Measure, print and keep the figures; 1 if an answer was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--n", type=float, default=1e6)
    parser.add_argument("--bits", type=int, default=64)
    parser.add_argument("--shards", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=3.0, help="of one series")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--name", default="serve", help="of the result")
    args = parser.parse_args()
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "codes.hnx"
        workload = make("clustered", int(args.n), args.bits, 1000, seed=args.seed)
        with Index.create(path, n_bits=args.bits) as index:
            for part in np.array_split(workload.codes, args.shards):
                index.add(np.ascontiguousarray(part))
        with open_index(path) as index:
            nearest = index.search(workload.queries, K)
        true = [(d.tolist(), i.tolist()) for d, i in zip(nearest.distances, nearest.ids, strict=True)]
        asked = bodies(workload.queries)
        tables, compared, wrong = {}, 0, 0
        for title, started in (
            ("Ray Serve", on_ray(path, args.shards, direct=True)),
            ("Ray Serve with its proxy", on_ray(path, args.shards, direct=False)),
            ("one process", here(path)),
        ):
            with started as names:
                tables[title], n, bad = measure(names, asked, true, args)
            compared, wrong = compared + n, wrong + bad
            show(title, tables[title])
    print(f"{compared} answers compared with the index, {wrong} wrong")
    keep(
        args.name,
        {
            "benchmark": "serve",
            "protocol": {name: value for name, value in vars(args).items() if name != "name"}
            | {"k": K, "workload": "clustered", "queries_a_request": 1, "clients": CLIENTS},
            "tables": tables,
            "compared": compared,
            "wrong": wrong,
            **provenance(("numpy", "ray", "fastapi", "uvicorn")),
        },
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
