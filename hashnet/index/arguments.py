"""Checks of what a search is asked, one wording for every kind of index."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from hashnet.codes import Ids

DEFAULT_MEMORY = 4 << 30
# Less would leave the partitions of a large build with a few rows each.
LEAST_MEMORY = 64 << 20

_PIECE = 1 << 20


def check_k(k: object, n: int, *, pad: bool) -> int:
    """Return ``k`` if 1 <= k <= n (or any k >= 1 with ``pad``), else raise TypeError or ValueError."""
    if isinstance(k, bool) or not isinstance(k, int | np.integer):
        raise TypeError(f"k must be an int, got {type(k).__name__}")
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    if k > np.iinfo(np.int32).max:
        raise ValueError(f"k must be at most 2**31 - 1, got {k}")
    if k > n and not pad:
        raise ValueError(
            f"k must be at most the number of codes, got k={k} for {n} codes; ask for fewer, or pass "
            "pad=True to have missing neighbours marked by id -1"
        )
    return int(k)


def check_radius(radius: object, n_bits: int) -> int:
    """Return ``radius`` if 0 <= radius <= n_bits, else raise TypeError or ValueError."""
    if isinstance(radius, bool) or not isinstance(radius, int | np.integer):
        raise TypeError(f"radius must be an int, got {type(radius).__name__}")
    if not 0 <= radius <= n_bits:
        raise ValueError(f"radius must be from 0 to n_bits={n_bits} (it is inclusive), got {radius}")
    return int(radius)


def check_within(within: object, n_queries: int, n_bits: int) -> NDArray[np.int32]:
    """Return distances from 0 to n_bits, one for each query, else raise TypeError or ValueError."""
    if isinstance(within, bool) or not isinstance(within, int | np.integer | np.ndarray):
        raise TypeError(f"within must be an int or an int32 array, got {type(within).__name__}")
    if not isinstance(within, np.ndarray):
        # One that no int32 holds is out of range whatever n_bits are.
        within = np.full(n_queries, min(max(int(within), -1), n_bits + 1), dtype=np.int32)
    if within.dtype != np.int32:
        raise TypeError(f"within must be int32, got {within.dtype}; use within.astype(np.int32)")
    if within.shape != (n_queries,):
        raise ValueError(f"within must have one distance for each of {n_queries} queries, got {within.shape}")
    if within.size and not (within.min() >= 0 and within.max() <= n_bits):
        wrong = within.min() if within.min() < 0 else within.max()
        raise ValueError(f"within must be from 0 to n_bits={n_bits}, got {wrong}")
    return np.ascontiguousarray(within)


def check_threads(threads: int | None, n_queries: int | None = None) -> int:
    """Return ``threads``, by default all cores that the process may use."""
    if threads is None:
        # A thread is started for each call; one query never needs a second.
        return 1 if n_queries == 1 else len(os.sched_getaffinity(0))
    if isinstance(threads, bool) or not isinstance(threads, int):
        raise TypeError(f"threads must be an int, got {type(threads).__name__}")
    if threads < 1:
        raise ValueError(f"threads must be at least 1, got {threads}")
    return threads


def check_memory(memory: int | None) -> int:
    """Return ``memory`` in bytes, by default DEFAULT_MEMORY."""
    if memory is None:
        return DEFAULT_MEMORY
    if isinstance(memory, bool) or not isinstance(memory, int):
        raise TypeError(f"memory must be an int (bytes), got {type(memory).__name__}")
    if memory < LEAST_MEMORY:
        raise ValueError(f"memory must be at least {LEAST_MEMORY} bytes (64 MiB), got {memory}")
    # More than the address space is as good as all of it.
    return min(memory, 1 << 48)


def ascends(ids: Ids) -> bool:
    """Return whether each id is larger than the one before; works in bounded memory."""
    for begin in range(0, len(ids) - 1, _PIECE):
        piece = ids[begin : begin + _PIECE + 1]
        if not (piece[1:] > piece[:-1]).all():
            return False
    return True


def check_new_ids(ids: Ids, held: Sequence[tuple[int, int, Callable[[], Ids]]]) -> None:
    """Refuse ids that occur twice or are held already; nearly free where ids ascend.

    ``held`` has, for each part of the index, its smallest id, its largest, and a way to get them all.
    """
    if not len(ids):
        return
    if not ascends(ids):
        ordered = np.sort(ids)
        twice = ordered[:-1][ordered[1:] == ordered[:-1]]
        if len(twice):
            raise ValueError(f"ids must be distinct, got {int(twice[0])} more than once")
    low, high = int(ids.min()), int(ids.max())
    for min_id, max_id, all_ids in held:
        if high < min_id or low > max_id:
            continue
        again = ids[np.isin(ids, all_ids())]
        if len(again):
            raise ValueError(
                f"ids must be new to the index, but it holds {len(again)} of them already, the first is "
                f"{int(again[0])}; leave ids out to have them counted on from the largest"
            )
