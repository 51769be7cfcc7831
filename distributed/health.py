"""What a sharded index tells of its replicas: no Ray."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from .replicas import ASKABLE, GONE, Condition, Replica


@dataclass(frozen=True)
class ReplicaHealth:
    """One replica: ``condition`` is starting, alive, suspect, draining, damaged or dead, ``reason`` why.

    ``latency_ms`` is what an answer took lately, as the searcher saw it, None before the first;
    ``outstanding`` are questions that it has not answered yet, ``pid`` its process on ``node`` (None until it
    is ready), and ``path`` the directory it opened (None for codes in memory).
    """

    number: int
    node: str
    condition: str
    reason: str
    latency_ms: float | None
    outstanding: int
    asked: int
    pid: int | None
    path: str | None


@dataclass(frozen=True)
class ShardHealth:
    """One shard and its replicas."""

    shard: int
    n_codes: int
    replicas: tuple[ReplicaHealth, ...]

    @property
    def alive(self) -> int:
        """Replicas that answer; the suspect among them."""
        return self._count(ASKABLE)

    @property
    def starting(self) -> int:
        """Replicas that are opening their files."""
        return self._count({Condition.STARTING})

    @property
    def dead(self) -> int:
        """Replicas that died or failed their checksums, and are to be started again."""
        return self._count(GONE)

    @property
    def latency_ms(self) -> float | None:
        """The latency of the fastest replica that answers, None if none has answered."""
        known = [
            one.latency_ms for one in self.replicas if one.latency_ms is not None and one.condition in ASKABLE
        ]
        return min(known, default=None)

    def to_json(self) -> dict[str, Any]:
        """Return the shard as a JSON object."""
        counts = {"alive": self.alive, "starting": self.starting, "dead": self.dead}
        return {**asdict(self), **counts, "latency_ms": self.latency_ms}

    def _count(self, conditions: Iterable[str]) -> int:
        wanted = set(conditions)
        return sum(one.condition in wanted for one in self.replicas)


def describe_replica(replica: Replica, *, pid: int | None, path: str | None) -> ReplicaHealth:
    """Return what is known of a replica."""
    latency = None if replica.latency_s is None else round(replica.latency_s * 1e3, 3)
    return ReplicaHealth(
        number=replica.number,
        node=replica.node,
        condition=str(replica.condition),
        reason=replica.reason,
        latency_ms=latency,
        outstanding=replica.outstanding,
        asked=replica.asked,
        pid=pid,
        path=path,
    )
