"""Times of single queries and batches, the bandwidth of memory, and the memory that a process takes."""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from benchmarks.questions import Policy, Question
from hashnet import _core
from hashnet.codes import Codes

# What one series of timings may take; then it ends with the queries that were answered.
BUDGET_S = 8.0
LEAST_QUERIES = 5
REPEATS = 5


class Fresh:
    """Hands out queries that have not been asked lately.

    A query asked again finds its buckets in the caches. With each series on queries of its own, what is
    measured is a query as it comes from outside.
    """

    def __init__(self, queries: Codes) -> None:
        self._queries = queries
        self._next = 0

    def take(self, n: int) -> Codes:
        """Return the next ``n`` queries, from the start again after the last."""
        n = min(n, len(self._queries))
        if self._next + n > len(self._queries):
            self._next = 0
        self._next += n
        return self._queries[self._next - n : self._next]


def engine_ns(
    searcher: _core.Searcher,
    question: Question,
    queries: Codes,
    *,
    policy: Policy = "auto",
    budget_s: float = BUDGET_S,
) -> NDArray[np.float64]:
    """Return the nanoseconds of each query inside the engine, of as many as fit the budget."""
    parts: list[NDArray[np.float64]] = []
    begin = time.perf_counter()
    at, size = 0, 1
    while at < len(queries):
        parts.append(question.time(searcher, queries[at : at + size], policy))
        at += size
        spent = time.perf_counter() - begin
        if spent > budget_s:
            break
        # As many as take a tenth of the budget, from the rate so far.
        size = max(1, min(size * 4, int(at / max(spent, 1e-9) * budget_s / 10)))
    return np.concatenate(parts)


def python_ns(
    ask: Callable[[Codes], Any], queries: Codes, *, budget_s: float = BUDGET_S
) -> NDArray[np.float64]:
    """Return the nanoseconds of each query called from Python, after one that warms up."""
    ask(queries[-1:])
    times = []
    begin = time.perf_counter()
    for at in range(len(queries)):
        one = queries[at : at + 1]
        start = time.perf_counter_ns()
        ask(one)
        end = time.perf_counter_ns()
        times.append(end - start)
        if end * 1e-9 - begin > budget_s and len(times) >= LEAST_QUERIES:
            break
    return np.array(times, dtype=np.float64)


def overhead_us(
    searcher: _core.Searcher,
    question: Question,
    ask: Callable[[Codes], Any],
    queries: Codes,
    *,
    budget_s: float = BUDGET_S,
) -> float:
    """Return what a call from Python takes above the engine's own time: the median over queries.

    Each query is asked in both ways after it has been asked once, so that both find the same caches, and in
    either order in turn.
    """
    extra: tuple[list[float], list[float]] = ([], [])
    begin = time.perf_counter()
    for at in range(len(queries)):
        one = queries[at : at + 1]
        ask(one)
        inside = 0.0 if at % 2 else float(question.time(searcher, one)[0])
        start = time.perf_counter_ns()
        ask(one)
        called = time.perf_counter_ns() - start
        inside = float(question.time(searcher, one)[0]) if at % 2 else inside
        extra[at % 2].append((called - inside) / 1e3)
        if time.perf_counter() - begin > budget_s and at >= LEAST_QUERIES:
            break
    return float(np.median(extra[0]) + np.median(extra[1])) / 2


def rates(
    ways: Sequence[Callable[[Codes], Any]],
    fresh: Fresh,
    n: int,
    *,
    repeats: int = REPEATS,
    budget_s: float = 3 * BUDGET_S,
) -> list[float]:
    """Return the queries a second of each way to ask ``n`` queries: the median of several, in turn."""
    measured: list[list[float]] = [[] for _ in ways]
    begin = time.perf_counter()
    for _ in range(repeats):
        for way, rate in zip(ways, measured, strict=True):
            queries = fresh.take(n)
            start = time.perf_counter()
            way(queries)
            rate.append(len(queries) / (time.perf_counter() - start))
        if time.perf_counter() - begin > budget_s:
            break
    return [float(np.median(rate)) for rate in measured]


def median_ms(ns: NDArray[np.float64]) -> float:
    """Return the median in milliseconds."""
    return round(float(np.median(ns)) / 1e6, 5)


def read_bandwidth(n_bytes: int, *, repeats: int = 7) -> float:
    """Return the bytes a second at which one thread reads ``n_bytes`` of memory in order.

    The reader is the C library's memchr, looking for a byte that is not there: one load and one comparison a
    vector. The best of several passes, because others on the machine can only slow it down.
    """
    memory = np.full(n_bytes, 1, dtype=np.uint8)
    library = ctypes.CDLL(None)
    library.memchr.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t)
    library.memchr.restype = ctypes.c_void_p
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        found = library.memchr(memory.ctypes.data, 2, n_bytes)
        best = min(best, time.perf_counter() - start)
        if found is not None:
            raise RuntimeError("memchr found a byte that is not there")
    return n_bytes / best


_ANYTHING_ELSE = np.zeros(0, dtype=np.uint8)


# Reading three times what the last cache holds leaves some of what was there before, and queries of 6 us were
# then up to 1.6 times faster for having been asked just before. From four such passes on nothing changes.
_PASSES = 4


def empty_caches() -> None:
    """Read more memory than any cache holds, so that what is measured next starts from memory."""
    global _ANYTHING_ELSE  # noqa: PLW0603
    if not len(_ANYTHING_ELSE):
        _ANYTHING_ELSE = np.ones(96 << 20, dtype=np.uint8)
    for _ in range(_PASSES):
        _ANYTHING_ELSE.max()


def memory_bytes() -> dict[str, int]:
    """Return the resident bytes of this process: its own (``anonymous``) and those of mapped files."""
    fields = dict(
        line.split(":", 1) for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    )
    return {
        "anonymous": int(fields["RssAnon"].split()[0]) * 1024,
        "mapped": (int(fields["RssFile"].split()[0]) + int(fields["RssShmem"].split()[0])) * 1024,
    }


class MemoryWatch:
    """Samples the memory of this process while something runs.

    ``peak_anonymous`` is memory that the process owns; ``peak`` includes pages of mapped files, which the
    system takes back when others need them.
    """

    def __init__(self, every_s: float = 0.05) -> None:
        self.peak = 0
        self.peak_anonymous = 0
        self._every_s = every_s
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._sample()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join()
        self._sample()

    def _watch(self) -> None:
        while not self._end.wait(self._every_s):
            self._sample()

    def _sample(self) -> None:
        now = memory_bytes()
        self.peak = max(self.peak, sum(now.values()))
        self.peak_anonymous = max(self.peak_anonymous, now["anonymous"])
