"""One question to one index: latency inside the engine and from Python, batches, and the scan instead."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import hashnet
from benchmarks.measuring import Fresh, engine_ns, median_ms, overhead_us, python_ns, rates
from benchmarks.questions import Answer, Question
from hashnet.codes import Codes

BATCH = 1000
# Hits of a batch: answers of more would measure how fast the system hands out memory.
MOST_HITS = 2 * 10**7
# Queries drawn for a run, so that each series has its own.
DRAWN = 1 << 17
SCANS = 9


def batch_size(ask: Callable[[Codes], Answer], fresh: Fresh, most: int = BATCH) -> int:
    """Return how many queries to ask at once: ``most``, or fewer where balls are large."""
    tried = 8
    hits = np.asarray(ask(fresh.take(tried)).ids).size / tried
    return max(8, min(most, int(MOST_HITS / max(hits, 1))))


def ask_index(index: hashnet.Index, question: Question, fresh: Fresh, n_queries: int) -> dict[str, Any]:
    """Return latency and throughput of hashnet for one question."""
    searcher = index._searcher
    ask = partial(question.ask, index)
    inside = engine_ns(searcher, question, fresh.take(n_queries))
    called = python_ns(ask, fresh.take(n_queries))
    overhead = overhead_us(searcher, question, ask, fresh.take(min(n_queries, 300)))
    scans = engine_ns(searcher, question, fresh.take(SCANS), policy="scan", budget_s=2)

    def call_each(queries: Codes) -> None:
        for at in range(len(queries)):
            ask(queries[at : at + 1])

    ways = (partial(ask, threads=1), partial(ask, threads=2), call_each)
    batch = batch_size(ask, fresh)
    one, two, calls = rates(ways, fresh, batch)
    return {
        "engine ms": median_ms(inside),
        "engine 99th percentile ms": round(float(np.percentile(inside, 99)) / 1e6, 5),
        "Python ms": median_ms(called),
        "Python overhead us": round(overhead, 2),
        "scan of the index ms": median_ms(scans),
        "batch": batch,
        "batch queries/s, 1 thread": round(one),
        "batch queries/s, 2 threads": round(two),
        "batch, 2 threads over 1": round(two / one, 2),
        "calls queries/s": round(calls),
        "batch over calls": round(one / calls, 2),
        "batch over engine": round(one * inside.mean() / 1e9, 2),
    }


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
