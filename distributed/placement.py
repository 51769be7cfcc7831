"""Which segments, or rows, go to which shard, and which replica to which node: pure functions, no Ray."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Node:
    """A machine that can hold replicas, with ``room`` bytes for them."""

    name: str
    room: float = math.inf


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


def place_replicas(sizes: Sequence[int], nodes: Sequence[Node], replicas: int) -> list[list[str]]:
    """Return the nodes of each shard's ``replicas``; ``sizes[s]`` are the bytes that shard s takes.

    Replicas of a shard go to distinct nodes as long as there are nodes. The largest shards go first, each to
    the node that holds least. Equal arguments give equal placements. Raises ValueError where a replica fits
    on no node.
    """
    check_replicas(replicas)
    placed: list[list[str]] = [[] for _ in sizes]
    used: dict[str, int] = {}
    for shard in sorted(range(len(sizes)), key=lambda s: (-sizes[s], s)):
        for _ in range(replicas):
            node = place_replica(sizes[shard], nodes, used=used, holders=placed[shard])
            placed[shard].append(node)
            used[node] = used.get(node, 0) + sizes[shard]
    return placed


def place_replica(
    size: int, nodes: Sequence[Node], *, used: Mapping[str, int], holders: Collection[str]
) -> str:
    """Return the node for one more replica of ``size`` bytes.

    Among nodes with room: one with the fewest replicas of this shard (``holders`` names the node of each),
    of those the one that holds least (``used``), of those the first.
    """
    fit = [node for node in nodes if used.get(node.name, 0) + size <= node.room]
    if not fit:
        room = ", ".join(f"{node.name[:8]} {node.room - used.get(node.name, 0):.0f}" for node in nodes)
        raise ValueError(
            f"a replica of {size} bytes fits on no node (free bytes: {room or 'no nodes'}); "
            "add a node, or ask for more shards or fewer replicas"
        )
    holding = list(holders)
    return min(fit, key=lambda node: (holding.count(node.name), used.get(node.name, 0))).name


def check_replicas(replicas: int) -> int:
    """Return ``replicas`` if it is an int >= 1, else raise TypeError or ValueError."""
    if isinstance(replicas, bool) or not isinstance(replicas, int):
        raise TypeError(f"replicas must be an int, got {type(replicas).__name__}")
    if replicas < 1:
        raise ValueError(f"replicas must be at least 1, got {replicas}")
    return replicas
