"""A batch of queries is cut into pieces, so that shards search while others are merged: no Ray."""

from __future__ import annotations

from itertools import pairwise

# A piece takes about as long: long beside the half millisecond of a call, short enough to be asked again
# elsewhere, and to spread over replicas.
PIECE_S = 0.1
LEAST_PIECE_S = 0.004
LEAST_ROWS = 16
MOST_ROWS = 8192
# What the first answer saves the others, a fifth or so, has to exceed what calls for more pieces take.
LEAST_LED_S = 0.02
# While nothing is known of how long a query takes.
FIRST_ROWS = 1024
# An answer of a piece should not fill an object store.
MOST_ANSWER_BYTES = 8 << 20


def piece_rows(n: int, *, seconds_a_query: float | None, lanes: int, answer_bytes: int) -> int:
    """Return how many of ``n`` queries make a piece.

    ``seconds_a_query`` is what one takes in a shard, None if unknown; ``lanes`` how many pieces can be worked
    on at the same time; ``answer_bytes`` what the answer to one query takes, 0 if unknown.
    """
    rows = FIRST_ROWS
    if seconds_a_query is not None:
        rows = int(min(MOST_ROWS, PIECE_S / max(seconds_a_query, 1e-9)))
        share = -(-n // max(1, lanes))
        if share * seconds_a_query >= LEAST_PIECE_S:
            rows = min(rows, share)
    rows = max(LEAST_ROWS, rows)
    if answer_bytes:
        rows = min(rows, MOST_ANSWER_BYTES // answer_bytes)
    return max(1, rows)


def worth_leading(n: int, *, seconds_a_query: float | None, lanes: int) -> bool:
    """Return whether, of ``n`` queries, pieces for all ``lanes`` of all shards are long enough to be led.

    Where one shard answers a piece before the others are asked, its k-th distance bounds their search; but
    there have to be as many pieces as there are shards, or some of these would have nothing to do meanwhile.
    """
    share = n // max(1, lanes)
    return seconds_a_query is not None and share >= LEAST_ROWS and share * seconds_a_query >= LEAST_LED_S


def cut(n: int, rows: int) -> list[slice]:
    """Return contiguous slices over ``n`` queries, at most ``rows`` each and as even as can be.

    There is always one, so that a question without queries is asked too.
    """
    pieces = max(1, -(-n // rows))
    bounds = [n * piece // pieces for piece in range(pieces + 1)]
    return [slice(begin, end) for begin, end in pairwise(bounds)]
