"""Is this engine slower than that of another checkout? Both asked the same queries in turn, on one machine.

    python -m benchmarks.bench_revisions --other-python ../old/.venv/bin/python [--n 1e7] [--rounds 20]

Two runs of bench_search an hour apart cannot tell: a machine shared with others is slower by a third for
seconds at a time. Here each engine runs in two processes, and all four are asked in turn, in alternating
order. What two processes of the same engine differ by is what the measurement can tell. Stored as
results/revisions_<n>_<bits>.json.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from benchmarks.asking import DRAWN
from benchmarks.provenance import keep, provenance, size_of
from benchmarks.workloads import make

SEED = 1
# (k, radius, queries of a round); k = 0 asks for the ball.
QUESTIONS = ((0, 4, 1000), (0, 6, 1000), (0, 8, 1000), (10, 0, 1000), (100, 0, 500), (1000, 0, 100))


class Engine:
    """A process that answers with the engine of one interpreter's hashnet."""

    def __init__(self, python: str, codes: Path, queries: Path) -> None:
        worker = Path(__file__).with_name("revision_worker.py")
        self._process = subprocess.Popen(
            [python, str(worker), str(codes), str(queries)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        if self._read() != "ready":
            raise RuntimeError("an engine did not start; its error is above")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()

    def median_us(self, k: int, radius: int, begin: int, end: int) -> float:
        """Return the median microseconds of queries ``begin`` to ``end``."""
        if self._process.stdin is None:
            raise RuntimeError("the engine has no input")
        self._process.stdin.write(f"{k} {radius} {begin} {end}\n")
        self._process.stdin.flush()
        return float(self._read()) / 1e3

    def _read(self) -> str:
        if self._process.stdout is None:
            raise RuntimeError("the engine has no output")
        return self._process.stdout.readline().strip()


def main() -> None:
    """Ask, print and store."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--other-python", required=True, help="interpreter with the other hashnet installed")
    parser.add_argument("--other-commit", default="", help="stored beside the figures")
    parser.add_argument("--n", type=float, default=1e7)
    parser.add_argument("--bits", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    n = int(options.n)
    figures: dict[str, Any] = {}
    for kind in ("uniform", "clustered"):
        workload = make(kind, n, options.bits, DRAWN, seed=SEED)
        with tempfile.TemporaryDirectory() as folder:
            codes, queries = Path(folder, "codes.npy"), Path(folder, "queries.npy")
            np.save(codes, workload.codes)
            np.save(queries, workload.queries)
            del workload
            pythons = (sys.executable, options.other_python, sys.executable, options.other_python)
            # One after the other, so that none builds while another settles.
            engines: list[Engine] = []
            try:
                for python in pythons:
                    engines.append(Engine(python, codes, queries).__enter__())
                figures[kind] = compare(engines, options.rounds)
            finally:
                for engine in engines:
                    engine.__exit__(None, None, None)
        for name, row in figures[kind].items():
            print(f"{kind:>10} {name:>10}  {row}", flush=True)
    keep(
        f"revisions_{size_of(n)}_{options.bits}",
        {
            **provenance(("numpy",)),
            "protocol": {
                "n": n,
                "n_bits": options.bits,
                "rounds": options.rounds,
                "other commit": options.other_commit,
                "this over other": "median over rounds of (both processes of this) / (both of the other)",
                "noise": "the same ratio between the two processes of one engine",
            },
            "figures": figures,
        },
    )


def compare(engines: Sequence[Engine], rounds: int) -> dict[str, dict[str, float]]:
    """Return, for each question, the medians of both engines and what they differ by."""
    rows = {}
    at = 0
    for k, radius, n_queries in QUESTIONS:
        times: list[list[float]] = [[] for _ in engines]
        for turn in range(rounds):
            if at + n_queries > DRAWN:
                at = 0
            order = range(len(engines)) if turn % 2 == 0 else reversed(range(len(engines)))
            for engine in order:
                times[engine].append(engines[engine].median_us(k, radius, at, at + n_queries))
            at += n_queries
        this, other = (
            [statistics.mean(pair) for pair in zip(times[one], times[one + 2], strict=True)] for one in (0, 1)
        )
        rows[f"k {k}" if k else f"radius {radius}"] = {
            "this us": round(statistics.median(this), 2),
            "other us": round(statistics.median(other), 2),
            "this over other": _ratio(this, other),
            "noise of this": _ratio(times[2], times[0]),
            "noise of other": _ratio(times[3], times[1]),
        }
    return rows


def _ratio(times: Sequence[float], others: Sequence[float]) -> float:
    return round(statistics.median(a / b for a, b in zip(times, others, strict=True)), 3)


if __name__ == "__main__":
    main()
