"""Distance and id of a neighbour as one number whose order is that of (distance, id): pure, no Ray.

The upper 16 bits are the distance, which is at most 1024, the lower 48 the id. Comparing, sorting
and sending one number of 8 bytes makes merging cheap beside searching. Padding is the largest, so it is last.
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


def sort_rows(
    owners: NDArray[np.int64], distances: NDArray[np.int32], ids: NDArray[np.int64]
) -> tuple[NDArray[np.int32], NDArray[np.int64]] | None:
    """Return distances and ids in the order of (owner, distance, id); None where that takes over 64 bits.

    With 8192 owners and distances up to 1024 there is room for ids up to 2^40.
    """
    if not ids.size:
        return distances, ids
    id_bits = int(ids.max()).bit_length()
    distance_bits = int(distances.max()).bit_length()
    if int(owners.max()).bit_length() + distance_bits + id_bits > 64:
        return None
    rows = owners.astype(np.uint64)
    rows <<= np.uint64(distance_bits)
    rows |= distances.astype(np.uint64)
    rows <<= np.uint64(id_bits)
    rows |= ids.view(np.uint64)
    rows.sort()
    sorted_ids = (rows & np.uint64((1 << id_bits) - 1)).view(np.int64)
    rows >>= np.uint64(id_bits)
    rows &= np.uint64((1 << distance_bits) - 1)
    return rows.astype(np.int32), sorted_ids
