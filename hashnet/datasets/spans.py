"""Which rows of which piece a range of rows is, where pieces (files, row groups) follow one another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Span(NamedTuple):
    """``n`` rows of a piece behind its first ``skip``; the first of them is ``row`` of the whole."""

    skip: int
    n: int
    row: int


def spans_of(ends: NDArray[np.int64], start: int, stop: int) -> Iterator[tuple[int, Span]]:
    """Yield (number of the piece, span) for rows ``[start, stop)``; piece i ends before row ``ends[i]``.

    Pieces without rows are passed over. Raises ValueError for rows that are not there.
    """
    total = int(ends[-1]) if len(ends) else 0
    if not 0 <= start <= stop <= total:
        raise ValueError(f"rows {start} to {stop} are outside the {total} there are")
    number = int(np.searchsorted(ends, start, side="right"))
    while start < stop:
        end = min(int(ends[number]), stop)
        begin = int(ends[number - 1]) if number else 0
        if end > start:
            yield number, Span(start - begin, end - start, start)
        start = max(start, end)
        number += 1
