"""What the workers of a training tell the driver, and how it becomes one progress (no Ray here)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from hashnet.progress import MIN_INTERVAL_S, Progress
from hashnet.training.trainer import SHARED_PHASES


class Event(NamedTuple):
    """A step of a worker: ``kind`` is start, advance, finish or warning."""

    kind: str
    text: str = ""
    total: int | None = None
    done: int = 0
    figures: dict[str, float] = {}  # noqa: RUF012 (never changed)


class Letter(NamedTuple):
    """Events of one worker; ``attempt`` names the group of workers that it started with."""

    attempt: str
    rank: int
    events: list[Event]


class Mailbox:
    """Keeps letters until the driver takes them, and whether the workers are to stop."""

    def __init__(self) -> None:
        self._letters: list[Letter] = []
        self._stopping = False

    def put(self, letter: Letter) -> None:
        """Keep a letter."""
        self._letters.append(letter)

    def take(self) -> list[Letter]:
        """Return the letters that were not taken yet, in order of arrival."""
        letters, self._letters = self._letters, []
        return letters

    def stop(self) -> None:
        """Have every worker stop that asks from now on."""
        self._stopping = True

    def stopping(self) -> bool:
        """Return whether the workers are to stop."""
        return self._stopping


class RelayedProgress:
    """The progress of a worker, sent in letters at most twice a second.

    All workers report the phases in which each has a share; any other is alike in all, and rank 0 reports it.
    """

    def __init__(
        self,
        attempt: str,
        rank: int,
        send: Callable[[Letter], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._attempt, self._rank, self._send, self._clock = attempt, rank, send, clock
        self._events: list[Event] = []
        self._silent = False
        self._sent = clock()

    def start(self, what: str, total: int | None) -> None:
        """Tell that a phase begins."""
        self._silent = self._rank != 0 and what not in SHARED_PHASES
        if not self._silent:
            self._events.append(Event("start", what, total))
            self.flush()

    def advance(self, done: int = 1, **figures: float) -> None:
        """Count; steps between two letters become one event."""
        if self._silent:
            return
        last = self._events[-1] if self._events else None
        if last is not None and last.kind == "advance":
            self._events[-1] = last._replace(done=last.done + done, figures=last.figures | figures)
        else:
            self._events.append(Event("advance", done=done, figures=figures))
        if self._clock() - self._sent >= MIN_INTERVAL_S:
            self.flush()

    def finish(self) -> None:
        """Tell that the phase ended."""
        if not self._silent:
            self._events.append(Event("finish"))
            self.flush()

    def warn(self, text: str) -> None:
        """Pass on a warning."""
        self._events.append(Event("warning", text))
        self.flush()

    def flush(self) -> None:
        """Send what was not sent yet."""
        if self._events:
            self._send(Letter(self._attempt, self._rank, self._events))
            self._events = []
        self._sent = self._clock()


class MergedProgress:
    """Letters of all workers as one progress.

    Shares of a phase add up to ``n_images``, as do their rates. A letter of a new attempt, after a worker
    died, begins its phase anew; what an older attempt sends after that is dropped.
    """

    def __init__(self, progress: Progress, n_images: int, *, warn: Callable[[str], None]) -> None:
        self._progress, self._n_images, self._warn = progress, n_images, warn
        self._attempts: list[str] = []
        self._phase: str | None = None
        self._rates: dict[int, float] = {}

    def receive(self, letters: list[Letter]) -> None:
        """Report what the letters tell."""
        for letter in letters:
            if letter.attempt not in self._attempts:
                self._attempts.append(letter.attempt)
                self._phase = None
            if letter.attempt == self._attempts[-1]:
                for event in letter.events:
                    self._report(letter.rank, event)

    @property
    def heard(self) -> bool:
        """Whether any worker has written."""
        return bool(self._attempts)

    def finish(self) -> None:
        """End the open phase."""
        if self._phase is not None:
            self._progress.finish()
        self._phase = None

    def _report(self, rank: int, event: Event) -> None:
        if event.kind == "warning":
            self._warn(event.text)
        elif event.kind == "start":
            if event.text != self._phase:
                self._phase, self._rates = event.text, {}
                self._progress.start(
                    event.text, self._n_images if event.text in SHARED_PHASES else event.total
                )
        elif event.kind == "advance":
            figures: dict[str, Any] = dict(event.figures)
            if "images_per_s" in figures:
                self._rates[rank] = figures["images_per_s"]
                figures["images_per_s"] = sum(self._rates.values())
            self._progress.advance(event.done, **figures)
        elif self._phase not in SHARED_PHASES:
            # The end of one share is not the end of the phase; the next start, or finish(), is.
            self.finish()
