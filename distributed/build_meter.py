"""How far workers have come with parts of an index, from what the engine tells of its stages: no Ray."""

from __future__ import annotations

import math
from collections.abc import Mapping

# The stages that take the time: each table is sorted once.
_SORTING = "build: sorting"


class StageCount:
    """A Progress that counts how many tables are sorted, with a fraction, and its ``steps`` of any stage."""

    def __init__(self) -> None:
        self._finished = 0
        self._is_sorting = False
        self._done = 0
        self._total = 1
        self.steps = 0

    @property
    def tables(self) -> float:
        """Tables that are sorted, the one in work by its share."""
        return self._finished + (self._done / self._total if self._is_sorting else 0.0)

    def start(self, what: str, total: int | None) -> None:
        """Begin a stage; the one before is finished."""
        self.finish()
        self._is_sorting = what.startswith(_SORTING)
        self._done, self._total = 0, max(1, total or 1)

    def advance(self, done: int = 1, **figures: float) -> None:
        """Count."""
        self._done = min(self._done + done, self._total)
        self.steps += 1

    def finish(self) -> None:
        """End the stage."""
        self._finished += self._is_sorting
        self._is_sorting = False


def expected_tables(n_bits: int, n_codes: int, tables: int | None) -> int:
    """Return how many tables a segment will have, if no code repeats: what is asked for, or as by the engine.

    Codes that repeat make it a few more, which only lets progress run ahead.
    """
    if tables is not None:
        return tables
    log2_n = math.log2(max(2, n_codes))
    if n_bits <= 64:
        return max(2, round(n_bits / max(10.0, log2_n - 6.5)))
    return math.ceil(n_bits / max(10.0, log2_n - 2.0))


def rows_built(sizes: Mapping[int, int], tables_done: Mapping[int, float], *, tables: int) -> int:
    """Return how many rows the parts in work amount to: a part with half of its tables counts by half.

    ``sizes`` are their rows, ``tables_done`` their sorted tables so far; ``tables`` is how many a part is
    expected to need, so that no part counts fully before it is finished.
    """
    return sum(int(sizes[part] * min(done / tables, 0.99)) for part, done in tables_done.items())
