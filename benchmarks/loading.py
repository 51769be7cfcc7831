"""Clients that ask a sharded index without pause, compare every answer with the oracle, and note its time."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashnet.codes import Codes
from hashnet.errors import IncompleteError
from hashnet.results import Balls, Neighbors


@dataclass(frozen=True)
class Oracle:
    """Queries and their right answers."""

    queries: Codes
    k: int
    radius: int
    nearest: Neighbors
    balls: Balls

    def is_nearest(self, got: Neighbors, begin: int, end: int) -> bool:
        """Return whether this is the answer to the queries ``begin:end``."""
        distances, ids = self.nearest.distances[begin:end], self.nearest.ids[begin:end]
        return np.array_equal(got.distances, distances) and np.array_equal(got.ids, ids)

    def is_balls(self, got: Balls, begin: int, end: int) -> bool:
        """As ``is_nearest`` for balls."""
        low, high = self.balls.offsets[begin], self.balls.offsets[end]
        return (
            np.array_equal(got.offsets, self.balls.offsets[begin : end + 1] - low)
            and np.array_equal(got.distances, self.balls.distances[low:high])
            and np.array_equal(got.ids, self.balls.ids[low:high])
        )


@dataclass
class Load:
    """``clients`` threads that ask batches of ``batch`` queries, k-NN and radius in turn, until ``stop``.

    ``asked`` has a row for each question: when it began, how long it took, and what came of it: 0 right,
    1 wrong, 2 incomplete (said so), 3 another error. A few ask for partial answers; one that is marked
    counts as incomplete, one that is not marked has to be right.
    """

    index: Any
    oracle: Oracle
    clients: int = 4
    batch: int = 16
    asked: list[tuple[float, float, int]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask_on, args=(number,), daemon=True)
            for number in range(self.clients)
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def wait_for(self, queries: int, *, limit_s: float) -> None:
        """Return when so many queries have been answered, or failed; after ``limit_s`` in any case."""
        end = time.monotonic() + limit_s
        while len(self.asked) * self.batch < queries and time.monotonic() < end:
            time.sleep(0.05)

    def stop(self) -> None:
        """End, after the questions under way."""
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=60.0)
            if thread.is_alive():
                raise RuntimeError("a question never came to an end")

    def rows(self) -> NDArray[np.float64]:
        """Return what was asked so far, float64 ``(n, 3)``, by begin."""
        rows = np.array(self.asked, dtype=np.float64).reshape(-1, 3)
        return rows[np.argsort(rows[:, 0])]

    def _ask_on(self, number: int) -> None:
        rng = np.random.default_rng(number)
        turn = number
        while not self._stop.is_set():
            turn += 1
            begin = int(rng.integers(0, len(self.oracle.queries) - self.batch))
            at = time.monotonic()
            outcome = self._ask(turn, begin, begin + self.batch)
            self.asked.append((at, time.monotonic() - at, outcome))

    def _ask(self, turn: int, begin: int, end: int) -> int:
        queries = self.oracle.queries[begin:end]
        try:
            if turn % 2:
                return int(not self.oracle.is_nearest(self.index.search(queries, self.oracle.k), begin, end))
            answer = self.index.search_radius(queries, self.oracle.radius, partial=turn % 8 == 0)
            if turn % 8 == 0:
                if not answer.complete:
                    return 2
                answer = answer.result
            return int(not self.oracle.is_balls(answer, begin, end))
        except IncompleteError as error:
            self.errors.append(str(error))
            return 2
        except Exception as error:
            self.errors.append(f"{type(error).__name__}: {error}")
            return 3
