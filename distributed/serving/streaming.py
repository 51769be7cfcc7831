"""Large balls as lines of JSON (NDJSON): a head, pieces of balls, and an end that vouches for them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from .backends import Backend, Question
from .problems import error_of

MEDIA_TYPE = "application/x-ndjson"
# Neighbours of one line.
PIECE = 1000


def groups_within(sizes: Sequence[int], limit: int) -> Iterator[slice]:
    """Yield runs of queries with at most ``limit`` neighbours together; a larger ball stands alone."""
    begin, total = 0, 0
    for query, size in enumerate(sizes):
        if query > begin and total + size > limit:
            yield slice(begin, query)
            begin, total = query, 0
        total += size
    if begin < len(sizes):
        yield slice(begin, len(sizes))


def first_line(backend: Backend, question: Question, sizes: Sequence[int]) -> bytes:
    """Return the head: what was asked, and how many neighbours each query will have."""
    return _line(
        {
            "n_bits": backend.n_bits,
            "fingerprint": backend.fingerprint,
            "radius": question.value,
            "counts": list(sizes),
        }
    )


def pieces(n: int) -> Iterator[slice]:
    """Yield the parts of a ball of ``n`` neighbours that make a line each, at least one."""
    for begin in range(0, max(n, 1), PIECE):
        yield slice(begin, min(begin + PIECE, n))


def ball_line(
    query: int,
    *,
    ids: list[int],
    distances: list[int],
    keys: list[str | None] | None,
    codes: list[str] | None,
) -> bytes:
    """Return the line of a part of a ball."""
    return _line({"query": query, "ids": ids, "distances": distances, "keys": keys, "codes": codes})


def end_line(n_queries: int, n_neighbors: int, missing: Sequence[int]) -> bytes:
    """Return the line that ends a stream; one without it was cut off."""
    return _line(
        {
            "end": True,
            "complete": not missing,
            "missing": list(missing),
            "queries": n_queries,
            "neighbors": n_neighbors,
        }
    )


def failure_line(error: Exception) -> bytes:
    """Return the last line of a stream that broke off."""
    return _line(error_of(error).body())


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"
