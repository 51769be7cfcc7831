"""Other systems that answer the same questions, brought to hashnet's rules: inclusive radius, (distance, id).

Each takes codes in ascending id order, so that its rows are ordered as ids are.
"""

from __future__ import annotations

import math
import os
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hashnet import _core
from hashnet.codes import Codes, Ids
from hashnet.errors import HashnetError
from hashnet.results import Balls, Neighbors

# How many found rows may be held at once: 12 bytes each, several times over while they are sorted.
MAX_FOUND = 20_000_000

# Probes of one query above which MultiHash is not asked: a second of work and more.
MAX_PROBES = 250_000

# A hash table entry of IndexBinaryMultiHash: node, vector of rows, allocation.
ENTRY_BYTES = 100
MAX_TABLE_BYTES = 2 << 30


class Reference(Protocol):
    """A system to compare with."""

    name: str

    def nearest(self, queries: Codes, k: int, within: NDArray[np.int32]) -> tuple[Neighbors, str | None]:
        """Return the k nearest, and why not all queries were answered (rows of -2 ids), if so.

        ``within`` is the distance of the k-th neighbour of each query, for systems that can only be asked for
        all codes within a radius.
        """

    def balls(self, queries: Codes, radius: int) -> Balls:
        """Return all codes within ``radius``, inclusive."""

    def refuses(self, radius: int) -> str | None:
        """Return why a radius cannot be asked, or None."""


NOT_ASKED = -2


class Scan:
    """hashnet's native linear scan over plain codes."""

    name = "linear scan"

    def __init__(self, codes: Codes, ids: Ids) -> None:
        self._codes, self._ids = codes, ids
        self._threads = os.cpu_count() or 1

    def nearest(self, queries: Codes, k: int, within: NDArray[np.int32]) -> tuple[Neighbors, str | None]:
        """See :class:`Reference`."""
        distances, rows = _core.scan_search(self._codes, queries, k, self._threads)
        return Neighbors(distances, self._ids[rows]), None

    def balls(self, queries: Codes, radius: int) -> Balls:
        """See :class:`Reference`."""
        offsets, distances, rows = _core.scan_radius(self._codes, queries, radius, self._threads)
        return Balls(offsets, distances, self._ids[rows])

    def refuses(self, radius: int) -> str | None:
        """See :class:`Reference`."""
        return None


class FaissFlat:
    """FAISS ``IndexBinaryFlat``."""

    name = "FAISS IndexBinaryFlat"

    def __init__(self, codes: Codes, ids: Ids) -> None:
        self._ids = ids
        self._index = load_faiss().IndexBinaryFlat(codes.shape[1] * 8)
        self._index.add(codes)

    def nearest(self, queries: Codes, k: int, within: NDArray[np.int32]) -> tuple[Neighbors, str | None]:
        """See :class:`Reference`.

        FAISS's k-NN breaks ties at the k-th distance arbitrarily. It decides that distance; all codes within
        it are then asked for, ordered and cut.
        """
        distances, _ = self._index.search(queries, k)
        return nearest_by_radius(self.balls, queries, k, distances[:, -1]), None

    def balls(self, queries: Codes, radius: int) -> Balls:
        """See :class:`Reference`."""
        return ordered(self._index.range_search(queries, radius + 1), self._ids)

    def refuses(self, radius: int) -> str | None:
        """See :class:`Reference`."""
        return None


class FaissMultiHash:
    """FAISS ``IndexBinaryMultiHash``, with as many flips as make a radius search complete.

    Two codes within ``radius`` agree up to ``floor(radius / nhash)`` bits in one of ``nhash`` disjoint
    substrings, so ``nflip`` must be at least that; FAISS leaves out codes silently where it is less.
    """

    name = "FAISS IndexBinaryMultiHash"

    def __init__(self, codes: Codes, ids: Ids) -> None:
        self.n_hashes, self.hash_bits = multi_hash_shape(codes.shape[1] * 8, len(codes))
        self._ids = ids
        self._index = load_faiss().IndexBinaryMultiHash(codes.shape[1] * 8, self.n_hashes, self.hash_bits)
        self._index.add(codes)

    def nearest(self, queries: Codes, k: int, within: NDArray[np.int32]) -> tuple[Neighbors, str | None]:
        """See :class:`Reference`; at a fixed nflip its own k-NN is not exact, so ``within`` is asked."""
        asked = np.array([self.refuses(int(radius)) is None for radius in within], dtype=bool)
        distances = np.zeros((len(queries), k), dtype=np.int32)
        ids = np.full((len(queries), k), NOT_ASKED, dtype=np.int64)
        if asked.any():
            found = nearest_by_radius(self.balls, queries[asked], k, within[asked])
            distances[asked], ids[asked] = found
        refused = [int(radius) for radius in within[~asked]]
        return Neighbors(distances, ids), self.refuses(min(refused)) if refused else None

    def balls(self, queries: Codes, radius: int) -> Balls:
        """See :class:`Reference`."""
        # More flips than a substring has bits never end.
        self._index.nflip = min(radius // self.n_hashes, self.hash_bits)
        return ordered(self._index.range_search(queries, radius + 1), self._ids)

    def refuses(self, radius: int) -> str | None:
        """See :class:`Reference`."""
        flips = min(radius // self.n_hashes, self.hash_bits)
        probes = self.n_hashes * sum(math.comb(self.hash_bits, i) for i in range(flips + 1))
        if probes <= MAX_PROBES:
            return None
        return (
            f"a complete search within {radius} takes nflip={flips} of b={self.hash_bits} bits in "
            f"{self.n_hashes} hashes, {probes:,} probes a query; {MAX_PROBES:,} are allowed"
        )


def load_faiss() -> Any:
    """Return the faiss module, or raise HashnetError with the remedy where there is none."""
    try:
        import faiss
    except ImportError as error:
        raise HashnetError(_remedy("is not installed")) from error
    # Removing one of faiss-cpu and faiss-gpu leaves an empty package of that name.
    if not hasattr(faiss, "IndexBinaryFlat"):
        raise HashnetError(_remedy("is installed but empty"))
    return faiss


def _remedy(state: str) -> str:
    return (
        f"the cross-check asks FAISS the same questions, but the Python package faiss {state}; "
        "pip install 'hashnet[cpu]', or 'hashnet[gpu]' on a machine with an NVIDIA GPU (never both)"
    )


def multi_hash_shape(n_bits: int, n: int) -> tuple[int, int]:
    """Return (nhash, b) for ``n`` codes: b near log2 n, as many disjoint hashes as fit codes and memory.

    Bits beyond nhash * b stay outside the hashes; a radius search remains complete without them.
    """
    hash_bits = min(n_bits, max(4, min(24, round(math.log2(max(2, n))))))
    by_memory = max(1, MAX_TABLE_BYTES // (ENTRY_BYTES * max(1, n)))
    return min(n_bits // hash_bits, by_memory), hash_bits


def multi_hash_refuses(n: int) -> str | None:
    """Return why ``n`` codes are too many for IndexBinaryMultiHash, or None."""
    needed = ENTRY_BYTES * n
    if needed <= MAX_TABLE_BYTES:
        return None
    return (
        f"one of its hash tables takes about {needed / 2**30:.1f} GiB for {n:,} codes; "
        f"{MAX_TABLE_BYTES / 2**30:.0f} GiB are allowed"
    )


def ordered(found: tuple[Any, Any, Any], ids: Ids) -> Balls:
    """Return the answer of FAISS's ``range_search`` in ascending (distance, id)."""
    offsets = found[0].astype(np.int64)
    distances = found[1].astype(np.int32)
    owners = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    order = np.lexsort((found[2], distances, owners))
    return Balls(offsets, distances[order], ids[found[2][order]])


def nearest_by_radius(balls: Any, queries: Codes, k: int, within: NDArray[Any]) -> Neighbors:
    """Return the k nearest, cut by (distance, id) from the balls up to each query's k-th distance.

    ``balls(queries, radius)`` answers; queries of one radius are asked together, as many at a time as the
    last ball's size allows. A ball of fewer than k codes, which no right answer has, leaves -1 ids.
    """
    distances = np.full((len(queries), k), np.iinfo(np.int32).max, dtype=np.int32)
    ids = np.full((len(queries), k), -1, dtype=np.int64)
    for radius in np.unique(within):
        rows = np.flatnonzero(within == radius)
        first, size = 0, 1
        while first < len(rows):
            chunk = rows[first : first + size]
            found = balls(np.ascontiguousarray(queries[chunk]), int(radius))
            for i, row in enumerate(chunk):
                near, names = found.ball(i)
                distances[row, : len(near[:k])] = near[:k]
                ids[row, : len(names[:k])] = names[:k]
            first += size
            size = next_batch(size, found, limit=256)
    return Neighbors(distances, ids)


def next_batch(size: int, found: Balls, *, limit: int) -> int:
    """Return how many queries to ask next, so that their balls stay within MAX_FOUND rows."""
    largest = int(np.diff(found.offsets).max(initial=1))
    return max(1, min(size * 8, limit, MAX_FOUND // max(1, largest)))
