"""The two questions of every search benchmark, radius and k nearest, and who can be asked them how."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

import hashnet
from hashnet import _core
from hashnet.codes import Codes
from hashnet.results import Balls, Neighbors, merge_balls, merge_neighbors

# Radii in which people search codes of a length: near duplicates to loose likeness.
_RADII = {
    8: (0, 1, 2),
    16: (1, 2, 4),
    24: (1, 2, 4),
    32: (1, 2, 4, 6),
    48: (2, 4, 6, 8),
    64: (2, 4, 6, 8, 10, 12),
    128: (8, 16, 24, 31, 47),
    256: (8, 16, 31, 47),
}
_KS = (1, 10, 100, 1000)

Answer = Neighbors | Balls
Policy = Literal["auto", "probe", "scan", "uniform"]


@dataclass(frozen=True)
class Question:
    """``kind`` "radius": all codes within ``value``, inclusive; "k": the ``value`` nearest."""

    kind: str
    value: int

    @property
    def name(self) -> str:
        """As results name it: "radius 4", "k 10"."""
        return f"{self.kind} {self.value}"

    @property
    def k(self) -> int:
        """As the engine takes it: 0 for a radius."""
        return self.value if self.kind == "k" else 0

    @property
    def radius(self) -> int:
        """As the engine takes it: 0 for k-NN."""
        return self.value if self.kind == "radius" else 0

    def ask(self, index: hashnet.Index, queries: Codes, threads: int = 1) -> Answer:
        """Return what an index answers."""
        if self.kind == "k":
            return index.search(queries, self.value, threads=threads)
        return index.search_radius(queries, self.value, threads=threads)

    def scan(self, codes: _core.FlatCodes, queries: Codes, threads: int = 1) -> Answer:
        """Return what the linear scan answers."""
        if self.kind == "k":
            return Neighbors(*codes.search(queries, self.value, threads))
        return Balls(*codes.search_radius(queries, self.value, threads))

    def time(self, searcher: _core.Searcher, queries: Codes, policy: Policy = "auto") -> NDArray[np.float64]:
        """Return the nanoseconds of each query inside the engine, one at a time, on one thread."""
        return searcher.time_queries(queries, self.k, self.radius, policy)


def questions(n: int, n_bits: int) -> list[Question]:
    """Return the questions that are asked of ``n`` codes."""
    nearest_length = min(_RADII, key=lambda length: abs(length - n_bits))
    radii = [radius for radius in _RADII[nearest_length] if radius <= n_bits]
    return [Question("radius", radius) for radius in radii] + [Question("k", k) for k in _KS if k <= n]


def scanned(n_bits: int) -> tuple[Question, Question]:
    """Return the questions on which linear scans are compared."""
    return Question("radius", min(8, n_bits // 8)), Question("k", 10)


def scan_in_parts(
    asked: Sequence[Question], codes: Codes, queries: Codes, *, rows: int, threads: int = 2
) -> list[Answer]:
    """Return what the linear scan answers to each question, ``rows`` codes at a time.

    For codes mapped from a file: they are read once, and ``16 * rows * n_words`` bytes are held.
    """
    answers: list[list[Any]] = [[] for _ in asked]
    for first in range(0, len(codes), rows):
        flat = _core.FlatCodes(np.ascontiguousarray(codes[first : first + rows]))
        n = min(rows, len(codes) - first)
        for question, parts in zip(asked, answers, strict=True):
            # A part may hold fewer codes than are asked for; merging pads.
            fitting = Question("k", min(question.value, n)) if question.kind == "k" else question
            answer = fitting.scan(flat, queries, threads)
            # The ids of a scan are row numbers.
            answer.ids[:] += first
            parts.append(answer)
            if question.kind == "k":
                parts[:] = [merge_neighbors(parts, question.value)]
    return [
        parts[0] if question.kind == "k" else merge_balls(parts)
        for question, parts in zip(asked, answers, strict=True)
    ]


def different(one: Answer, other: Answer) -> int:
    """Return how many queries have answers that differ in an id, a distance or the order."""
    if isinstance(one, Neighbors) and isinstance(other, Neighbors):
        same = (one.distances == other.distances).all(axis=1) & (one.ids == other.ids).all(axis=1)
        return int((~same).sum())
    assert isinstance(one, Balls)
    assert isinstance(other, Balls)
    n_different = 0
    for query in range(len(one.offsets) - 1):
        (distances, ids), (other_distances, other_ids) = one.ball(query), other.ball(query)
        n_different += not (np.array_equal(distances, other_distances) and np.array_equal(ids, other_ids))
    return n_different
