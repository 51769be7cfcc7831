"""The goals of the engine as data, and the comparison of measured figures with them.

A figure is found by workload, question and measure; a goal bounds one from above or below. Milliseconds are
medians of one query on one thread inside the engine; ratios over other systems compare calls from Python.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

Figures = Mapping[str, Mapping[str, Mapping[str, Any]]]


@dataclass(frozen=True)
class Goal:
    """``measure`` of ``question`` on ``workload`` must be at most, or at least, ``limit``."""

    number: int
    workload: str
    question: str
    measure: str
    limit: float
    at_most: bool

    def reached(self, value: float) -> bool:
        """Return whether a measured value is good enough."""
        return bool(value <= self.limit if self.at_most else value >= self.limit)


# (codes, bits, workload): milliseconds of a query, with the number of the goal that asks for them.
# The second goal asks for what an experiment of 150 lines had; the first is its own.
_MILLISECONDS: dict[tuple[int, int, str], dict[str, tuple[int, float]]] = {
    (10**9, 64, "clustered"): {
        "radius 4": (1, 0.02),
        "radius 8": (1, 0.2),
        "k 10": (1, 0.08),
        "k 100": (1, 0.2),
        "k 1000": (1, 3.0),
    },
    (10**9, 64, "uniform"): {
        "radius 4": (2, 0.032),
        "radius 8": (1, 0.25),
        "radius 10": (2, 1.65),
        "k 10": (1, 1.2),
        "k 100": (1, 3.5),
        "k 1000": (1, 8.0),
    },
    (10**8, 64, "clustered"): {
        "radius 4": (2, 0.014),
        "radius 8": (2, 0.18),
        "k 10": (2, 0.053),
        "k 100": (2, 0.19),
        "k 1000": (2, 3.3),
    },
    (10**8, 64, "uniform"): {
        "radius 8": (2, 0.10),
        "k 10": (2, 1.2),
        "k 100": (2, 2.7),
        "k 1000": (2, 6.0),
    },
    (10**7, 64, "clustered"): {
        "radius 4": (2, 0.008),
        "radius 8": (2, 0.10),
        "k 10": (2, 0.034),
        "k 100": (2, 0.12),
        "k 1000": (2, 2.9),
    },
    (10**7, 64, "uniform"): {
        "radius 8": (2, 0.054),
        "k 10": (2, 1.2),
        "k 100": (2, 2.6),
        "k 1000": (2, 6.0),
    },
    # A tenth of the best peer's time (norouzi/mih; PDQ's index for radius 31).
    (10**6, 128, "clustered"): {"k 10": (4, 0.042)},
    (10**6, 256, "clustered"): {"radius 31": (4, 0.46), "k 10": (4, 0.119)},
}

# (codes, bits): seconds to build, bytes a code, and the number of the goal.
_BUILDING = {(10**9, 64): (1, 600.0, 20.0), (10**8, 64): (2, 37.0, 19.2)}

WORKLOADS = ("clustered", "uniform")


def goals(n: int, n_bits: int) -> Iterator[Goal]:
    """Yield every goal for ``n`` codes of ``n_bits`` bits, on either workload."""
    for workload in WORKLOADS:
        for question, (number, limit) in _MILLISECONDS.get((n, n_bits, workload), {}).items():
            yield Goal(number, workload, question, "engine ms", limit, at_most=True)
        yield from _building(n, n_bits, workload)
        yield from _over_others(n, n_bits, workload)
        yield from _scanning(n, n_bits, workload)
        yield from _batches(n, n_bits, workload)


def judge(n: int, n_bits: int, figures: Figures) -> list[dict[str, Any]]:
    """Return a row for each goal whose figure was measured: goal, value, and whether it is reached."""
    rows = []
    for goal in goals(n, n_bits):
        for question, measured in figures.get(goal.workload, {}).items():
            matches = question == goal.question or question.startswith(goal.question + " ")
            if matches and goal.measure in measured:
                value = measured[goal.measure]
                if value is not None:
                    row = {**asdict(goal), "question": question, "value": value}
                    rows.append({**row, "reached": goal.reached(value)})
    return rows


def show(rows: list[dict[str, Any]]) -> None:
    """Print the rows of ``judge``."""
    for row in rows:
        bound = "<=" if row["at_most"] else ">="
        verdict = "reached" if row["reached"] else "MISSED"
        print(
            f"  goal {row['number']}  {row['workload']:>9}  {row['question']:>14}  {row['measure']:<32}"
            f"{row['value']:>12.5g}  {bound} {row['limit']:<8g} {verdict}"
        )


def _building(n: int, n_bits: int, workload: str) -> Iterator[Goal]:
    if (n, n_bits) in _BUILDING:
        number, seconds, size = _BUILDING[n, n_bits]
        yield Goal(number, workload, "index", "build s", seconds, at_most=True)
        yield Goal(number, workload, "index", "bytes a code", size, at_most=True)
    if n_bits in (128, 256):
        yield Goal(4, workload, "index", "bytes a code", 4 * n_bits / 8, at_most=True)
    if n == 10**9:
        yield Goal(1, workload, "index", "open s", 1.0, at_most=True)
        yield Goal(1, workload, "index", "resident bytes a code", 20.0, at_most=True)


def _over_others(n: int, n_bits: int, workload: str) -> Iterator[Goal]:
    if n == 10**9 and workload == "clustered":
        yield Goal(1, workload, "k 100", "over linear scan", 2500.0, at_most=False)
    if n_bits == 64 and n in (10**7, 10**8):
        for radius in (4, 8):
            yield Goal(2, workload, f"radius {radius}", "over FAISS MultiHash", 40.0, at_most=False)
        for k in (1, 10, 100):
            least = 200.0 if workload == "clustered" else 12.0
            yield Goal(2, workload, f"k {k}", "over FAISS Flat", least, at_most=False)
    if n_bits == 64 and n >= 10**7:
        # A kind without a value stands for every question of that kind.
        yield Goal(2, workload, "radius", "Python overhead us", 5.0, at_most=True)
        yield Goal(2, workload, "k", "Python overhead us", 5.0, at_most=True)
    if n_bits in (128, 256) and workload == "clustered":
        for radius in (16, 31, 47):
            yield Goal(4, workload, f"radius {radius}", "over FAISS MultiHash", 40.0, at_most=False)
        for k in (10, 100):
            yield Goal(4, workload, f"k {k}", "over FAISS Flat", 200.0, at_most=False)
    if n_bits < 64:
        yield Goal(4, workload, "radius", "over the best of FAISS", 1.0, at_most=False)
        yield Goal(4, workload, "k", "over the best of FAISS", 1.0, at_most=False)


def _scanning(n: int, n_bits: int, workload: str) -> Iterator[Goal]:
    if n_bits not in (64, 128, 256) or not 10**6 <= n <= 10**8:
        return
    # Fewer codes are read from the caches.
    if n * n_bits // 8 >= 64 * 10**6:
        yield Goal(6, workload, "scan", "of memory bandwidth", 0.9, at_most=False)
    if n_bits == 64:
        yield Goal(6, workload, "scan", "ns a pair in batches, 1 thread", 0.45, at_most=True)
    for threads in (1, 2):
        yield Goal(6, workload, "scan", f"batch over FAISS Flat, threads {threads}", 3.0, at_most=False)


def _batches(n: int, n_bits: int, workload: str) -> Iterator[Goal]:
    if n < 10**6:
        return
    yield Goal(7, workload, "radius", "batch, 2 threads over 1", 1.8, at_most=False)
    if n_bits == 64 and n >= 10**7:
        # Few probes, each of which waits for memory; further out, comparing codes takes the time.
        for radius in (2, 4):
            yield Goal(7, workload, f"radius {radius}", "batch over calls", 2.0, at_most=False)
