"""What searcher and replica say to each other: pure, no Ray.

Ray sends a ``bytes`` object as it is, whereas arrays go through its serialisation: with one query a call
takes 0.05 ms more than an empty one, with arrays 0.3 ms more. So questions and most answers are plain bytes,
answers as ranks of 8 bytes a row, because what exceeds 100 KB goes through the object store, which takes
0.7 ms more. Answers that exceed it anyway travel as arrays: Ray copies them there once, and shows them to
the searcher where they lie. Both sides are of one version of hashnet, and nothing of this is kept.
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

# Ray's own limit for what it sends along with a call.
INLINE_BYTES = 100 * 1024
# Of a neighbour, as it travels.
RANK_BYTES = 8

# Method, number of queries, bytes of a query, k or radius, whether bounds follow. Multiples of 8 keep arrays
# aligned.
_QUESTION = struct.Struct("<qqqqq")
# Method, number of queries, rows (k for a search, of all balls for a radius), whether ranks, seconds.
_ANSWER = struct.Struct("<qqqqd")


class Question(NamedTuple):
    """One piece of a question: ``queries`` is uint8 ``(n, n_bytes)``, ``argument`` is k or the radius.

    Of a search, neighbours beyond ``within``, int32 ``(n,)``, are not wanted.
    """

    method: Method
    queries: Codes
    argument: int
    within: NDArray[np.int32] | None = None


class Reply(NamedTuple):
    """What one shard found, and how many seconds it searched."""

    seconds: float
    part: Part


def pack_question(question: Question) -> bytes:
    """Return the question as bytes."""
    method, queries, argument, within = question
    n, n_bytes = queries.shape
    header = _QUESTION.pack(METHODS.index(method), n, n_bytes, argument, within is not None)
    return header + queries.tobytes() + (b"" if within is None else within.tobytes())


def unpack_question(data: bytes) -> Question:
    """Return the question that ``pack_question`` packed; its arrays are read-only."""
    method, n, n_bytes, argument, bounded = _QUESTION.unpack_from(data)
    queries = np.frombuffer(data, np.uint8, n * n_bytes, _QUESTION.size).reshape(n, n_bytes)
    # A copy, because it may lie anywhere.
    within = np.frombuffer(data, np.int32, n, _QUESTION.size + n * n_bytes).copy() if bounded else None
    return Question(METHODS[method], queries, argument, within)


def pack_reply(reply: Reply) -> bytes | Reply:
    """Return the reply as bytes, or as it is where it is too large to be sent along with a call."""
    seconds, part = reply
    if isinstance(part, Neighbors):
        n, rows = part.ids.shape
        if RANK_BYTES * n * rows > INLINE_BYTES:
            return reply
        ranked, arrays = _pack_rows(part.distances, part.ids)
        header = _ANSWER.pack(METHODS.index("search"), n, rows, ranked, seconds)
        return b"".join((header, *arrays))
    if isinstance(part, Balls):
        n, rows = len(part.offsets) - 1, len(part.ids)
        if RANK_BYTES * rows + part.offsets.nbytes > INLINE_BYTES:
            return reply
        ranked, arrays = _pack_rows(part.distances, part.ids)
        header = _ANSWER.pack(METHODS.index("search_radius"), n, rows, ranked, seconds)
        return b"".join((header, _bytes(part.offsets), *arrays))
    header = _ANSWER.pack(METHODS.index("count_radius"), len(part), 0, False, seconds)
    return b"".join((header, _bytes(part)))


def unpack_reply(data: bytes | Reply) -> Reply:
    """Return the reply that ``pack_reply`` packed; arrays may be read-only."""
    if isinstance(data, Reply):
        return data
    number, n, rows, ranked, seconds = _ANSWER.unpack_from(data)
    method, at = METHODS[number], _ANSWER.size
    if method == "count_radius":
        return Reply(seconds, np.frombuffer(data, np.int64, n, at))
    if method == "search":
        distances, ids = _unpack_rows(data, at, n * rows, ranked=bool(ranked))
        return Reply(seconds, Neighbors(distances.reshape(n, rows), ids.reshape(n, rows)))
    offsets = np.frombuffer(data, np.int64, n + 1, at)
    rows_of_balls = _unpack_rows(data, at + offsets.nbytes, rows, ranked=bool(ranked))
    return Reply(seconds, Balls(offsets, *rows_of_balls))


def _pack_rows(
    distances: NDArray[np.int32], ids: NDArray[np.int64]
) -> tuple[bool, tuple[bytes | memoryview, ...]]:
    ranks = to_ranks(distances, ids)
    return (False, (_bytes(ids), _bytes(distances))) if ranks is None else (True, (_bytes(ranks),))


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
