"""How far a long job has come: bars for people, JSON lines for programs, or nothing.

A job reports phases one after another: ``start``, any number of ``advance``, ``finish``. Everything is
written to stderr, results stay alone on stdout.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, Protocol, TextIO, get_args

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

__all__ = [
    "NO_PROGRESS",
    "BarProgress",
    "JsonProgress",
    "NoProgress",
    "Progress",
    "ProgressMode",
    "make_progress",
]

ProgressMode = Literal["auto", "bar", "json", "none"]

# A log of a job of hours stays readable, and writing it costs nothing beside the job.
MIN_INTERVAL_S = 0.5


class Progress(Protocol):
    """What a long-running call tells: phases, one after another."""

    def start(self, what: str, total: int | None) -> None:
        """Begin a phase of ``total`` steps (None where nobody knows); an open phase is finished first."""

    def advance(self, done: int = 1, **figures: float) -> None:
        """Count ``done`` more steps of the open phase; figures (loss, images_per_s) are shown beside."""

    def finish(self) -> None:
        """End the open phase; without one nothing happens."""


class NoProgress:
    """Progress that nobody watches."""

    def start(self, what: str, total: int | None) -> None:
        """Do nothing."""

    def advance(self, done: int = 1, **figures: float) -> None:
        """Do nothing."""

    def finish(self) -> None:
        """Do nothing."""


NO_PROGRESS: Progress = NoProgress()


class JsonProgress:
    """One JSON object a line: ``event`` (start, advance, finish), ``what``, ``done``, ``total``, ``seconds``.

    Figures stand beside them. ``advance`` is written at most twice a second; the last figures of a phase
    come with ``finish``.
    """

    def __init__(self, stream: TextIO | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._what: str | None = None
        self._total: int | None = None
        self._done = 0
        self._figures: dict[str, float] = {}
        self._began = 0.0
        self._written = 0.0

    def start(self, what: str, total: int | None) -> None:
        """Write a start line."""
        self.finish()
        self._what, self._total, self._done, self._figures = what, total, 0, {}
        self._began = self._clock()
        self._write("start")

    def advance(self, done: int = 1, **figures: float) -> None:
        """Count, and write a line if the last one is old enough."""
        if self._what is None:
            return
        self._done += done
        self._figures.update(figures)
        if self._clock() - self._written >= MIN_INTERVAL_S:
            self._write("advance")

    def finish(self) -> None:
        """Write a finish line with the last figures."""
        if self._what is None:
            return
        self._write("finish")
        self._what = None

    def _write(self, event: str) -> None:
        self._written = self._clock()
        line: dict[str, Any] = {
            "event": event,
            "what": self._what,
            "done": self._done,
            "total": self._total,
            "seconds": round(self._written - self._began, 3),
        }
        # A figure may not hide what the line itself says.
        line |= {name: _json_number(value) for name, value in self._figures.items() if name not in line}
        print(json.dumps(line), file=self._stream or sys.stderr, flush=True)


class BarProgress:
    """One bar a phase, drawn by rich on stderr; a finished bar stays on the screen."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream
        self._bars: RichProgress | None = None
        self._task: TaskID | None = None
        self._done = 0
        self._total: int | None = None
        self._figures: dict[str, float] = {}

    def start(self, what: str, total: int | None) -> None:
        """Draw a new bar."""
        from rich.console import Console
        from rich.markup import escape
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as RichProgress

        self.finish()
        console = Console(file=self._stream) if self._stream else Console(stderr=True)
        self._bars = RichProgress(
            TextColumn("{task.description:<22}"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[count]:>17}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[figures]}", style="cyan"),
            console=console,
        )
        self._done, self._total, self._figures = 0, total, {}
        self._bars.start()
        self._task = self._bars.add_task(escape(what), total=total, count=self._count(), figures="")

    def advance(self, done: int = 1, **figures: float) -> None:
        """Move the bar."""
        if self._bars is None or self._task is None:
            return
        self._done += done
        self._figures.update(figures)
        text = "  ".join(f"{name.replace('_', ' ')} {_short(value)}" for name, value in self._figures.items())
        self._bars.update(self._task, advance=done, count=self._count(), figures=text)

    def finish(self) -> None:
        """Leave the bar as it stands and give the terminal back."""
        if self._bars is None:
            return
        if self._task is not None and self._total is None:
            self._bars.update(self._task, total=1, completed=1)
        self._bars.stop()
        self._bars, self._task = None, None

    def _count(self) -> str:
        if self._total is None:
            return f"{self._done:,}" if self._done else ""
        return f"{self._done:,}/{self._total:,}"


def make_progress(mode: ProgressMode = "auto", *, stream: TextIO | None = None) -> Progress:
    """Return the progress that ``mode`` names; ``auto`` is a bar on a terminal and nothing elsewhere."""
    if mode not in get_args(ProgressMode):
        raise ValueError(f"progress must be one of {', '.join(get_args(ProgressMode))}, got {mode!r}")
    if mode == "json":
        return JsonProgress(stream)
    if mode == "bar" or (mode == "auto" and (stream or sys.stderr).isatty()):
        return BarProgress(stream)
    return NO_PROGRESS


def _short(value: float) -> str:
    """Return a figure in as few characters as tell it apart."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _json_number(value: float) -> float | None:
    """JSON has no NaN and no infinity."""
    number = float(value)
    return number if number - number == 0 else None
