"""One question to one index: latency inside the engine and from Python, batches, and the scan instead."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

import hashnet
from benchmarks.measuring import BUDGET_S, Fresh, engine_ns, median_ms, overhead_us, python_ns, rates
from benchmarks.questions import Answer, Question
from hashnet.codes import Codes

BATCH = 1000
# Hits of a batch: answers of more would measure how fast the system hands out memory.
MOST_HITS = 2 * 10**7
# Queries drawn for a run, so that each series has its own.
DRAWN = 1 << 17
SCANS = 9
ROUNDS = 5


def batch_size(ask: Callable[[Codes], Answer], fresh: Fresh, most: int = BATCH) -> int:
    """Return how many queries to ask at once: ``most``, or fewer where balls are large."""
    tried = 8
    hits = np.asarray(ask(fresh.take(tried)).ids).size / tried
    return max(8, min(most, int(MOST_HITS / max(hits, 1))))


class Asking:
    """One question asked of one index in rounds, between those of other questions.

    A machine shared with others is now and then slower for a second or more, by up to a half; a question that
    is asked at one time only is measured in whatever state that was.
    """

    def __init__(
        self, index: hashnet.Index, question: Question, fresh: Fresh, n_queries: int, rounds: int
    ) -> None:
        self._searcher = index._searcher
        self._question = question
        self._fresh = fresh
        self._n_queries = n_queries
        self._rounds = rounds
        self._ask = partial(question.ask, index)
        self._batch = batch_size(self._ask, fresh)
        self._inside: list[NDArray[np.float64]] = []
        self._called: list[NDArray[np.float64]] = []
        self._overhead: list[float] = []
        self._scans: list[NDArray[np.float64]] = []
        self._rates: list[list[float]] = []

    def ask(self) -> None:
        """Ask one round."""
        take, searcher, question = self._fresh.take, self._searcher, self._question
        budget_s = BUDGET_S / self._rounds
        self._inside.append(engine_ns(searcher, question, take(self._n_queries), budget_s=budget_s))
        self._called.append(python_ns(self._ask, take(self._n_queries), budget_s=budget_s))
        few = take(min(self._n_queries, 100))
        self._overhead.append(overhead_us(searcher, question, self._ask, few, budget_s=budget_s))
        scans = engine_ns(searcher, question, take(SCANS), policy="scan", budget_s=2 / self._rounds)
        self._scans.append(scans)
        ways = (partial(self._ask, threads=1), partial(self._ask, threads=2), self._call_each)
        self._rates.append(rates(ways, self._fresh, self._batch, repeats=1))

    def _call_each(self, queries: Codes) -> None:
        for at in range(len(queries)):
            self._ask(queries[at : at + 1])

    def row(self) -> dict[str, Any]:
        """Return latency and throughput over all rounds."""
        inside = np.concatenate(self._inside)
        by_round = [median_ms(ns) for ns in self._inside]
        one, two, calls = (float(np.median(rate)) for rate in zip(*self._rates, strict=True))
        return {
            "engine ms": median_ms(inside),
            "engine ms of rounds": [min(by_round), max(by_round)],
            "engine 99th percentile ms": round(float(np.percentile(inside, 99)) / 1e6, 5),
            "Python ms": median_ms(np.concatenate(self._called)),
            "Python overhead us": round(float(np.median(self._overhead)), 2),
            "scan of the index ms": median_ms(np.concatenate(self._scans)),
            "batch": self._batch,
            "batch queries/s, 1 thread": round(one),
            "batch queries/s, 2 threads": round(two),
            "batch, 2 threads over 1": _of_rounds([rate[1] / rate[0] for rate in self._rates]),
            "calls queries/s": round(calls),
            "batch over calls": _of_rounds([rate[0] / rate[2] for rate in self._rates]),
            "batch over engine": round(one * inside.mean() / 1e9, 2),
        }


def ask_index(
    index: hashnet.Index, asked: Sequence[Question], fresh: Fresh, n_queries: int, *, rounds: int
) -> list[dict[str, Any]]:
    """Return latency and throughput of hashnet for each question, all asked in rounds."""
    askings = [Asking(index, question, fresh, n_queries, rounds) for question in asked]
    for at in range(rounds):
        begin = time.perf_counter()
        for asking in askings:
            asking.ask()
        print(f"  round {at + 1} of {rounds} in {time.perf_counter() - begin:.1f} s", flush=True)
    return [asking.row() for asking in askings]


def ask_rival(
    asks: Sequence[Callable[[Codes], Any]], fresh: Fresh, n_queries: int, *, rounds: int
) -> list[NDArray[np.float64]]:
    """Return the nanoseconds of queries for each question, all asked in rounds."""
    taken: list[list[NDArray[np.float64]]] = [[] for _ in asks]
    for _ in range(rounds):
        for ask, series in zip(asks, taken, strict=True):
            series.append(python_ns(ask, fresh.take(n_queries), budget_s=BUDGET_S / rounds))
    return [np.concatenate(series) for series in taken]


def _of_rounds(ratios: Sequence[float]) -> float:
    return round(float(np.median(ratios)), 2)


# What a line on the screen shows of a question, and how wide; everything else is stored only.
_COLUMNS = {
    "engine ms": 10,
    "Python ms": 10,
    "Python overhead us": 8,
    "scan of the index ms": 10,
    "linear scan ms": 10,
    "batch queries/s, 1 thread": 12,
    "batch, 2 threads over 1": 6,
    "batch over calls": 6,
    "mismatches": 4,
}


def show_header() -> None:
    """Print what the columns of ``show`` are."""
    print("  median ms in the engine, from Python, us between; scan of the index, of plain codes;")
    print("  queries/s of a batch on one thread, times two threads, over single calls; mismatches")


def show(name: str, row: dict[str, Any]) -> None:
    """Print one row of figures."""
    if "engine ms" in row:
        line = "".join(f"{row.get(column, ''):>{width}}" for column, width in _COLUMNS.items())
    else:
        line = "  ".join(f"{measure} {value}" for measure, value in row.items())
    print(f"  {name:>14}  {line}", flush=True)
