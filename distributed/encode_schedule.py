"""Which worker encodes which unit next, and when a job gives up; without Ray."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable

from hashnet.errors import HashnetError

# A unit that took so many workers with it does so by itself. A node that goes costs each unit one.
MAX_LOSSES = 8


class UnitSchedule:
    """Hands out each unit once, and again if the worker that had it was lost.

    A worker gets units that follow one another, because storage reads on where it stands cheaply: it works
    through a run of units of its own, and where none is left, takes over the further half of the longest
    run of another. Units that were lost come last, so that one that ends its worker holds up no others.
    """

    def __init__(self, units: Iterable[int], *, max_losses: int = MAX_LOSSES) -> None:
        self._free: deque[range] = deque(runs_of(units))
        self._own: dict[int, range] = {}
        self._lost: deque[int] = deque()
        self._losses: Counter[int] = Counter()
        self._max_losses = max_losses

    def next(self, worker: int) -> int | None:
        """Return the next unit for ``worker``, or None if there is none at the moment."""
        if not self._own.get(worker):
            run = self._take_run()
            if run is None:
                return self._lost.popleft() if self._lost else None
            self._own[worker] = run
        run = self._own[worker]
        self._own[worker] = run[1:]
        return run[0]

    def lost(self, units: Iterable[int], reason: str) -> None:
        """Take units back from a worker that is gone; raise HashnetError for one that was lost too often."""
        returned = sorted(units)
        self._lost.extend(returned)
        self._losses.update(returned)
        fatal = [unit for unit in returned if self._losses[unit] >= self._max_losses]
        if fatal:
            raise HashnetError(
                f"work units {fatal} took {self._max_losses} workers with them, the last by {reason}; look "
                "for a lack of memory or an image that crashes its decoder. The finished units are kept, run "
                "again to continue"
            )

    def _take_run(self) -> range | None:
        if self._free:
            return self._free.popleft()
        longest = max(self._own, key=lambda worker: len(self._own[worker]), default=None)
        if longest is None or not self._own[longest]:
            return None
        run = self._own[longest]
        kept = len(run) // 2
        self._own[longest] = run[:kept]
        return run[kept:]


def runs_of(units: Iterable[int]) -> list[range]:
    """Return ascending units as ranges of units that follow one another."""
    runs: list[range] = []
    for unit in units:
        if runs and runs[-1].stop == unit:
            runs[-1] = range(runs[-1].start, unit + 1)
        else:
            runs.append(range(unit, unit + 1))
    return runs
