"""Work in a thread that Ctrl-C does not reach, for a main thread that may be interrupted (no Ray here)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Background(Generic[T]):
    """``work``, begun in a daemon thread.

    Its end is an event, not that of the thread: ``Thread.join`` with a timeout, interrupted by Ctrl-C, takes
    the thread for ended from then on (seen in CPython 3.11), and nobody would wait for it any more.
    """

    def __init__(self, work: Callable[[], T], *, name: str) -> None:
        self._work = work
        self._over = threading.Event()
        self._result: T | None = None
        self._error: BaseException | None = None
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def wait(self, timeout_s: float) -> bool:
        """Wait for the end, at most ``timeout_s``; return whether it has come."""
        return self._over.wait(timeout_s)

    def result(self) -> T:
        """Return what the work returned, or raise what it raised; to be asked when it is over."""
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]

    def _run(self) -> None:
        try:
            self._result = self._work()
        except BaseException as error:  # it is raised in the thread that asks for the result
            self._error = error
        finally:
            self._over.set()
