"""What a searcher knows of a replica, and what it concludes: whom to ask, to suspect, to end; no Ray."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

Judgement = Literal["leave", "suspect", "end"]

# How fast a bad memory fades: a replica that was slow is tried again after a few of these.
FORGET_S = 5.0
MOST_SLOWNESS = 1e4
BACKOFF_S = 0.5
MOST_BACKOFF_S = 60.0


class Condition(StrEnum):
    """What a replica is good for."""

    STARTING = "starting"
    ALIVE = "alive"
    # It was silent or away lately: asked only where no other is left.
    SUSPECT = "suspect"
    # It is on its way out: what it was asked it answers, nothing new.
    DRAINING = "draining"
    # Its files failed their checksums.
    DAMAGED = "damaged"
    DEAD = "dead"


ASKABLE = frozenset({Condition.ALIVE, Condition.SUSPECT})
GONE = frozenset({Condition.DAMAGED, Condition.DEAD})


@dataclass(frozen=True)
class Watch:
    """How replicas are watched; the defaults suit shards of any size.

    Every ``probe_every_s`` each replica is asked for a sign of life, which it gives while it searches. One
    that is silent for ``suspect_after_s`` is asked only where no other is left, and after ``dead_after_s`` it
    is ended and, with ``restart``, started again: where it was, or on another node if that is gone.
    ``start_timeout_s`` bounds a start, reading of a preloaded shard included. Every ``scrub_every_s`` a
    replica compares all its bytes with their checksums, one replica at a time; None for never.
    """

    probe_every_s: float = 2.0
    suspect_after_s: float = 2.0
    dead_after_s: float = 15.0
    restart: bool = True
    start_timeout_s: float = 600.0
    scrub_every_s: float | None = 3600.0

    def __post_init__(self) -> None:
        for name in ("probe_every_s", "suspect_after_s", "dead_after_s", "start_timeout_s", "scrub_every_s"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be more than 0, got {value}")


@dataclass(eq=False)
class Replica:
    """One process that serves one shard. ``number`` is never used again, not even by its successor."""

    shard: int
    number: int
    node: str
    copy: int = 0
    condition: Condition = Condition.STARTING
    reason: str = ""
    outstanding: int = 0
    asked: int = 0
    failures: int = 0
    started_at: float = 0.0
    since: float | None = None
    retry_at: float = 0.0
    drained_at: float = 0.0
    probed_at: float = 0.0
    scrubbed_at: float = 0.0
    latency_s: float | None = None
    _slowness: float = 1.0
    _slow_at: float = 0.0

    def note(self, seconds: float) -> None:
        """Remember that an answer took this long."""
        self.latency_s = seconds if self.latency_s is None else 0.8 * self.latency_s + 0.2 * seconds

    def note_slow(self, factor: float, now: float) -> None:
        """Remember that an answer took, or did not come within, ``factor`` times the usual time."""
        self._slowness = min(MOST_SLOWNESS, max(factor, self.slowness(now)))
        self._slow_at = now

    def slowness(self, now: float) -> float:
        """Return how much longer than usual its answers are expected to take: 1 or more, fading with time."""
        age = max(0.0, now - self._slow_at)
        return 1.0 + (self._slowness - 1.0) * float(0.5 ** (age / FORGET_S))


def choose(replicas: Iterable[Replica], tried: Collection[int], now: float) -> Replica | None:
    """Return whom to ask next, None if every replica that can be asked was ``tried``.

    The one that is expected to answer first: it has the least outstanding, times how slow it was lately; the
    suspect only where no other is left. Equals take turns.
    """
    fit = [one for one in replicas if one.condition in ASKABLE and one.number not in tried]
    return min(
        fit,
        key=lambda one: (
            one.condition is Condition.SUSPECT,
            (one.outstanding + 1) * one.slowness(now),
            one.asked,
            one.number,
        ),
        default=None,
    )


def judge(silent_s: float, watch: Watch) -> Judgement:
    """Return what to do with a replica that owes a sign of life since ``silent_s``."""
    if silent_s >= watch.dead_after_s:
        return "end"
    return "suspect" if silent_s >= watch.suspect_after_s else "leave"


def backoff_s(failures: int) -> float:
    """Return how long to wait after so many failed starts in a row: doubled each time, a minute at most."""
    return min(MOST_BACKOFF_S, BACKOFF_S * 2.0 ** min(failures, 20))
