"""How long answers take, and how long to wait before another replica is asked as well: no Ray."""

from __future__ import annotations

from collections import deque
from typing import Literal

HedgeAfter = float | Literal["auto"] | None

# Answers kept of a kind, and how many make a percentile worth trusting.
WINDOW = 128
ENOUGH = 20
# Until then a second replica is asked after this long: rarely, and yet a question never waits for ever.
FIRST_DELAY_S = 1.0
# A machine that does other work too pauses a process for as long now and then.
LEAST_DELAY_S = 0.01
# Beyond twice the 95th percentile fewer than one answer in twenty comes, so hedging costs less than 5 % of
# the work (Dean and Barroso, The Tail at Scale, CACM 2013, defer by the 95th percentile itself; pauses of
# the searcher's own process make that too eager here).
PERCENTILE = 0.95
FACTOR = 2.0


class Pace:
    """The latest times of one kind of answer, in seconds."""

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=WINDOW)
        self._since = 0
        self._high = 0.0
        self._typical = 0.0

    def note(self, seconds: float) -> None:
        """Remember the time of one answer."""
        self._seconds.append(seconds)
        self._since += 1
        # Sorting at every answer would cost as much as a small answer's share of the searcher.
        if self._since >= ENOUGH // 2 or len(self._seconds) <= ENOUGH:
            self._since = 0
            ordered = sorted(self._seconds)
            self._high = ordered[min(len(ordered) - 1, int(PERCENTILE * len(ordered)))]
            self._typical = ordered[len(ordered) // 2]

    @property
    def typical_s(self) -> float | None:
        """The median, None before the first answer."""
        return self._typical if self._seconds else None

    @property
    def high_s(self) -> float | None:
        """The 95th percentile, None before there are enough answers."""
        return self._high if len(self._seconds) >= ENOUGH else None


class Paces:
    """A Pace for each kind of question: method, magnitudes of k or radius and of the number of queries."""

    def __init__(self) -> None:
        self._of: dict[tuple[str, int, int], Pace] = {}
        self._each: dict[tuple[str, int], float] = {}

    def of(self, method: str, argument: int, queries: int) -> Pace:
        """Return the pace of pieces like this one."""
        key = (method, argument.bit_length(), queries.bit_length())
        pace = self._of.get(key)
        if pace is None:
            pace = self._of[key] = Pace()
        return pace

    def note(self, method: str, argument: int, queries: int, seconds: float) -> None:
        """Remember how long the answer to one piece took to come."""
        self.of(method, argument, queries).note(seconds)

    def note_search(self, method: str, argument: int, queries: int, seconds: float) -> None:
        """Remember how long a shard searched for one piece."""
        if queries:
            key = (method, argument.bit_length())
            each = seconds / queries
            self._each[key] = 0.9 * self._each.get(key, each) + 0.1 * each

    def seconds_a_query(self, method: str, argument: int) -> float | None:
        """Return what a shard takes for one query, None before any was answered."""
        return self._each.get((method, argument.bit_length()))


def hedge_delay(setting: HedgeAfter, pace: Pace) -> float | None:
    """Return after how many seconds another replica is asked too; None for never."""
    if setting is None or setting != "auto":
        return setting
    high = pace.high_s
    return FIRST_DELAY_S if high is None else max(LEAST_DELAY_S, FACTOR * high)


def check_hedge(setting: object) -> HedgeAfter:
    """Return the setting if it is None, "auto" or seconds >= 0, else raise TypeError or ValueError."""
    if setting is None or setting == "auto":
        return setting
    if isinstance(setting, bool) or not isinstance(setting, int | float):
        raise TypeError(f'hedge_after_s must be seconds, "auto" or None, got {setting!r}')
    if not setting >= 0:
        raise ValueError(f"hedge_after_s must be at least 0, got {setting}")
    return float(setting)
