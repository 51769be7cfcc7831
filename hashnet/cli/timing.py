"""How long answers take, as a user meets it: one query after another, and many at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hashnet.codes import Codes


@dataclass(frozen=True)
class Timing:
    """Milliseconds of each query asked alone, and queries a second asked all together."""

    milliseconds: NDArray[np.float64]
    queries_per_s: float

    @property
    def median_ms(self) -> float:
        """Half of the queries are answered within this time."""
        return float(np.median(self.milliseconds))

    @property
    def p99_ms(self) -> float:
        """99 of 100 queries are answered within this time."""
        return float(np.quantile(self.milliseconds, 0.99))


def measure(ask: Callable[[Codes], object], queries: Codes, *, batch_seconds: float = 0.5) -> Timing:
    """Time ``ask`` on every query alone, then on all of them at once until ``batch_seconds`` have passed."""
    ask(queries[:1])
    milliseconds = np.empty(len(queries))
    for q in range(len(queries)):
        began = time.perf_counter()
        ask(queries[q : q + 1])
        milliseconds[q] = 1000 * (time.perf_counter() - began)
    began, rounds = time.perf_counter(), 0
    while rounds == 0 or time.perf_counter() - began < batch_seconds:
        ask(queries)
        rounds += 1
    return Timing(milliseconds, rounds * len(queries) / (time.perf_counter() - began))
