"""Which segments, or which rows, go to which shard: pure functions, no Ray."""

from __future__ import annotations

from collections.abc import Sequence


def place_segments(sizes: Sequence[int], shards: int) -> list[list[int]]:
    """Return the segment positions of each shard, balanced by number of codes.

    ``sizes[s]`` is the number of codes of segment s. The largest segment goes first, to the shard that
    holds least (ties: the lower number): no shard then holds more than 4/3 of the best possible maximum
    (Graham 1969). Equal arguments give equal placements. Raises ValueError where a shard would get nothing.
    """
    check_shards(shards)
    if len(sizes) < shards:
        raise ValueError(
            f"shards must be at most the number of segments, got {shards} shards for {len(sizes)} segments; "
            f"ask for fewer shards, or build the index with `hashnet build CODES --shards {shards}`"
        )
    placed: list[list[int]] = [[] for _ in range(shards)]
    loads = [0] * shards
    for segment in sorted(range(len(sizes)), key=lambda s: (-sizes[s], s)):
        # By number of segments where loads tie, so that empty segments spread as well.
        shard = min(range(shards), key=lambda s: (loads[s], len(placed[s]), s))
        placed[shard].append(segment)
        loads[shard] += sizes[segment]
    return [sorted(segments) for segments in placed]


def place_rows(n: int, shards: int) -> list[slice]:
    """Return ``shards`` contiguous row ranges that cover ``n`` rows and differ by at most one in length."""
    check_shards(shards)
    if n < shards:
        raise ValueError(f"shards must be at most the number of codes, got {shards} shards for {n} codes")
    bounds = [n * shard // shards for shard in range(shards + 1)]
    return [slice(bounds[shard], bounds[shard + 1]) for shard in range(shards)]


def check_shards(shards: int) -> int:
    """Return ``shards`` if it is an int >= 1, else raise TypeError or ValueError."""
    if isinstance(shards, bool) or not isinstance(shards, int):
        raise TypeError(f"shards must be an int, got {type(shards).__name__}")
    if shards < 1:
        raise ValueError(f"shards must be at least 1, got {shards}")
    return shards
