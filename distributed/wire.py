"""What searcher and replica say to each other, as plain bytes: pure, no Ray.

Ray sends a ``bytes`` object as it is, whereas arrays go through its serialisation: with one query a call
takes 0.05 ms more than an empty one, with arrays 0.3 ms more. Answers travel as ranks, 8 bytes a row, because
what exceeds 100 KB goes through the object store, which takes 0.7 ms more. Both sides are of one version of
hashnet, and nothing of this is kept.
"""

from __future__ import annotations

import struct
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hashnet.codes import Codes
from hashnet.results import Balls, Neighbors

from .ranks import from_ranks, to_ranks

Method = Literal["search", "search_radius", "count_radius"]
Part = Neighbors | Balls | NDArray[np.int64]

METHODS: tuple[Method, ...] = ("search", "search_radius", "count_radius")

# Method, number of queries, bytes of a query, k or radius.
_QUESTION = struct.Struct("<qqqq")
# Method, number of queries, rows (k for a search, of all balls for a radius), whether these are ranks.
_ANSWER = struct.Struct("<qqqq")


class Question(NamedTuple):
    """One piece of a question: ``queries`` is uint8 ``(n, n_bytes)``, ``argument`` is k or the radius."""

    method: Method
    queries: Codes
    argument: int


def pack_question(question: Question) -> bytes:
    """Return the question as bytes."""
    n, n_bytes = question.queries.shape
    header = _QUESTION.pack(METHODS.index(question.method), n, n_bytes, question.argument)
    return header + question.queries.tobytes()


def unpack_question(data: bytes) -> Question:
    """Return the question that ``pack_question`` packed; its queries are a read-only view of ``data``."""
    method, n, n_bytes, argument = _QUESTION.unpack_from(data)
    queries = np.frombuffer(data, np.uint8, n * n_bytes, _QUESTION.size).reshape(n, n_bytes)
    return Question(METHODS[method], queries, argument)


def pack_answer(part: Part) -> bytes:
    """Return what one shard found as bytes."""
    if isinstance(part, Neighbors):
        n, rows = part.ids.shape
        return b"".join(_pack_rows("search", n, rows, part.distances, part.ids))
    if isinstance(part, Balls):
        n, rows = len(part.offsets) - 1, len(part.ids)
        header, *arrays = _pack_rows("search_radius", n, rows, part.distances, part.ids)
        return b"".join((header, _bytes(part.offsets), *arrays))
    header = _ANSWER.pack(METHODS.index("count_radius"), len(part), 0, False)
    return b"".join((header, _bytes(part)))


def unpack_answer(data: bytes) -> Part:
    """Return the part of an answer that ``pack_answer`` packed; arrays may be read-only views of ``data``."""
    number, n, rows, ranked = _ANSWER.unpack_from(data)
    method, at = METHODS[number], _ANSWER.size
    if method == "count_radius":
        return np.frombuffer(data, np.int64, n, at)
    if method == "search":
        distances, ids = _unpack_rows(data, at, n * rows, ranked=bool(ranked))
        return Neighbors(distances.reshape(n, rows), ids.reshape(n, rows))
    offsets = np.frombuffer(data, np.int64, n + 1, at)
    return Balls(offsets, *_unpack_rows(data, at + offsets.nbytes, rows, ranked=bool(ranked)))


def _pack_rows(
    method: Method, n: int, rows: int, distances: NDArray[np.int32], ids: NDArray[np.int64]
) -> tuple[bytes | memoryview, ...]:
    ranks = to_ranks(distances, ids)
    header = _ANSWER.pack(METHODS.index(method), n, rows, ranks is not None)
    if ranks is None:
        return header, _bytes(ids), _bytes(distances)
    return header, _bytes(ranks)


def _unpack_rows(
    data: bytes, at: int, rows: int, *, ranked: bool
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    if ranked:
        return from_ranks(np.frombuffer(data, np.uint64, rows, at))
    ids = np.frombuffer(data, np.int64, rows, at)
    return np.frombuffer(data, np.int32, rows, at + ids.nbytes), ids


def _bytes(array: NDArray[np.int32] | NDArray[np.int64] | NDArray[np.uint64]) -> bytes | memoryview:
    # A view where there is something to see: joining then copies once.
    return array.reshape(-1).view(np.uint8).data if array.size else b""
