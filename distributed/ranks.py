"""Distance and id of a neighbour as one number whose order is that of (distance, id): pure, no Ray.

The upper 16 bits are the distance, which is at most 1024, the lower 48 the id: 8 bytes a row instead of 12.
Padding is the largest, so it is last.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hashnet.results import PAD_DISTANCE, PAD_ID

Ranks = NDArray[np.uint64]

ID_BITS = 48
_SHIFT = np.uint64(ID_BITS)
_ID_MASK = np.uint64((1 << ID_BITS) - 1)
# The largest id in it would be padding's if its distance were 2^16 - 1, which no distance is.
_PAD = np.uint64(2**64 - 1)


def to_ranks(distances: NDArray[np.int32], ids: NDArray[np.int64]) -> Ranks | None:
    """Return the ranks of neighbours, in their shape; None where an id has more than 48 bits."""
    if ids.size and int(ids.max()) >= 1 << ID_BITS:
        return None
    # Padding needs no care: of its distance 2^31 - 1 the lower 16 bits remain, and its id -1 is all ones.
    ranks = distances.astype(np.uint64)
    ranks <<= _SHIFT
    ranks |= ids.view(np.uint64)
    return ranks


def from_ranks(ranks: Ranks) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return distances and ids of ranks, in their shape."""
    distances = (ranks >> _SHIFT).astype(np.int32)
    ids = (ranks & _ID_MASK).view(np.int64)
    padded = ranks == _PAD
    if padded.any():
        distances[padded] = PAD_DISTANCE
        ids[padded] = PAD_ID
    return distances, ids
