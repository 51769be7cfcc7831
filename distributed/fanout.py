"""Which replica is asked what, and when, until a question is answered or lost: decisions only, no Ray.

A question is cut into pieces, and every piece goes to every shard: that makes a task. A task is asked of one
replica of its shard; if that fails, of the next; if it is late, of another as well (hedging), and the first
answer counts. Replicas of a shard hold the same codes and answers are exact, so whichever answers first gives
the same bytes, and a task that is asked twice needs no agreement.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from .replicas import ASKABLE, Replica, choose

# A replica that is away (its node does not answer, say) may be back in a moment: all are tried this often.
ROUNDS = 3
PAUSE_S = 0.05


@dataclass(frozen=True)
class Send:
    """``piece`` is to be sent to ``replica``; ``late`` are those who were asked before and are silent yet."""

    piece: int
    replica: Replica
    late: tuple[int, ...] = ()


@dataclass
class _Task:
    piece: int
    shard: int
    open: dict[int, float] = field(default_factory=dict)
    tried: set[int] = field(default_factory=set)
    reasons: list[str] = field(default_factory=list)
    round: int = 0
    not_before: float = 0.0
    hedge_at: float | None = None
    done: bool = False
    lost: bool = False


class Fanout:
    """The course of one question over ``pieces`` times ``shards`` tasks.

    ``replicas(shard)`` gives who serves a shard now. ``window`` is how many pieces are under way at once;
    where they are ``led``, one shard answers a piece before the others are asked, each shard in turn.
    ``hedge_s`` after how long another replica is asked too (None: never), ``deadline`` the time at which what
    is missing is lost. Times are those of one monotonic clock, and come in as ``now``.
    """

    def __init__(
        self,
        pieces: int,
        shards: int,
        replicas: Callable[[int], Sequence[Replica]],
        *,
        window: int = 2,
        led: bool = False,
        hedge_s: float | None = None,
        deadline: float | None = None,
        timeout_s: float | None = None,
    ) -> None:
        self._tasks = [[_Task(piece, shard) for shard in range(shards)] for piece in range(pieces)]
        self._replicas = replicas
        self._window = window
        self._led = led
        self._hedge_s = hedge_s
        self._deadline = deadline
        self._timeout_s = timeout_s
        self._active: list[int] = []
        self._next = 0
        self._n_lost = 0

    @property
    def finished(self) -> bool:
        """Whether every task is answered or lost."""
        return self._next == len(self._tasks) and not self._active

    @property
    def lossy(self) -> bool:
        """Whether a task is lost."""
        return self._n_lost > 0

    @property
    def missing(self) -> dict[int, str]:
        """The shards that lost a task, with the reasons."""
        missing: dict[int, str] = {}
        for task in self._all():
            if task.lost:
                reasons = [missing[task.shard]] if task.shard in missing else []
                missing[task.shard] = "; ".join(dict.fromkeys(reasons + task.reasons))
        return missing

    def due(self, now: float) -> list[Send]:
        """Return what is to be sent now."""
        if self._deadline is not None and now >= self._deadline:
            self._expire()
            return []
        sends: list[Send] = []
        for piece in self._active:
            self._advance(piece, now, sends)
        self._prune()
        while len(self._active) < self._window and self._next < len(self._tasks):
            self._active.append(self._next)
            self._next += 1
            self._advance(self._active[-1], now, sends)
            # A piece that is lost already leaves room for the next.
            self._prune()
        return sends

    def wake_at(self) -> float | None:
        """Return when ``due`` has to be asked again although nothing was answered; None for never."""
        times = [] if self._deadline is None else [self._deadline]
        for piece in self._active:
            for task in self._tasks[piece]:
                if task.done or task.lost or self._held(task):
                    continue
                if not task.open:
                    times.append(task.not_before)
                elif task.hedge_at is not None:
                    times.append(task.hedge_at)
        return min(times, default=None)

    def answered(self, piece: int, shard: int, number: int) -> bool:
        """Note an answer; return whether it is the first of its task, which alone is used."""
        task = self._tasks[piece][shard]
        task.open.pop(number, None)
        first = not task.done and not task.lost
        task.done = task.done or first
        return first

    def failed(self, piece: int, shard: int, number: int, reason: str) -> None:
        """Note that a replica failed; ``due`` then says who is asked instead."""
        task = self._tasks[piece][shard]
        if task.open.pop(number, None) is not None and not task.done:
            task.reasons.append(reason)
            # The one who is still open was asked late enough: whoever is left may be asked at once.
            task.hedge_at = None if self._hedge_s is None else 0.0

    @property
    def awaited(self) -> int:
        """How many answers have to come before more can be done than to wait; a failure counts as one.

        Of several pieces the first answer makes room for another. Of a single one all tasks are needed, and
        of those who are asked for the same task, one.
        """
        if len(self._tasks) > 1:
            return 1
        return max(1, sum(bool(task.open) and not task.done and not task.lost for task in self._tasks[0]))

    def whole(self, piece: int) -> bool:
        """Whether all shards answered this piece."""
        return all(task.done for task in self._tasks[piece])

    def _held(self, task: _Task) -> bool:
        """Whether a task waits for the one that leads its piece."""
        tasks = self._tasks[task.piece]
        leader = tasks[task.piece % len(tasks)]
        return self._led and task is not leader and not leader.done and not leader.lost

    def _all(self) -> Iterator[_Task]:
        for tasks in self._tasks:
            yield from tasks

    def _prune(self) -> None:
        self._active = [
            piece for piece in self._active if not all(task.done or task.lost for task in self._tasks[piece])
        ]

    def _advance(self, piece: int, now: float, sends: list[Send]) -> None:
        for task in self._tasks[piece]:
            if task.done or task.lost or self._held(task):
                continue
            if not task.open:
                if now >= task.not_before:
                    self._ask_anyone(task, now, sends)
            elif task.hedge_at is not None and now >= task.hedge_at:
                self._ask_another(task, now, sends)

    def _ask_anyone(self, task: _Task, now: float, sends: list[Send]) -> None:
        replicas = self._replicas(task.shard)
        chosen = choose(replicas, task.tried, now)
        if chosen is not None:
            self._send(task, chosen, now, sends)
            return
        task.round += 1
        if task.round < ROUNDS and any(one.condition in ASKABLE for one in replicas):
            task.tried.clear()
            task.not_before = now + PAUSE_S * 2.0 ** (task.round - 1)
            return
        self._lose(task, _why(replicas))

    def _ask_another(self, task: _Task, now: float, sends: list[Send]) -> None:
        chosen = choose(self._replicas(task.shard), task.tried, now)
        if chosen is None:
            # Nobody else: the answer is waited for, and looked out for somebody new now and then.
            task.hedge_at = now + max(self._hedge_s or 0.0, PAUSE_S)
            return
        self._send(task, chosen, now, sends)

    def _send(self, task: _Task, replica: Replica, now: float, sends: list[Send]) -> None:
        late = tuple(task.open)
        task.open[replica.number] = now
        task.tried.add(replica.number)
        task.hedge_at = None if self._hedge_s is None else now + self._hedge_s
        replica.outstanding += 1
        replica.asked += 1
        sends.append(Send(task.piece, replica, late))

    def _lose(self, task: _Task, reason: str) -> None:
        task.lost = True
        self._n_lost += 1
        if not task.reasons:
            task.reasons.append(reason)

    def _expire(self) -> None:
        for task in self._all():
            if not task.done and not task.lost:
                task.reasons.clear()
                self._lose(task, f"no answer within {self._timeout_s} s")
        self._next = len(self._tasks)
        self._prune()


def _why(replicas: Sequence[Replica]) -> str:
    reasons = [f"replica {one.number} is {one.condition}: {one.reason}" for one in replicas if one.reason]
    return "; ".join(reasons) or "no replica can be asked"
