"""How fast an encode job is and when it will be done, told beside its progress."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from threading import Lock

from hashnet.progress import Progress

# The speed of the last minute tells the end better than that of the whole job.
WINDOW_S = 60.0


class RateMeter:
    """Counts images and tells images/s, the seconds still to go, and how many were rejected.

    ``done`` images were there before: they count as done, not as speed. Threads may share a meter.
    """

    def __init__(
        self,
        progress: Progress,
        total: int,
        *,
        done: int = 0,
        rejected: int = 0,
        window_s: float = WINDOW_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._progress = progress
        self._left = total - done
        self._rejected = rejected
        self._window_s = window_s
        self._clock = clock
        self._lock = Lock()
        self._began = clock()
        self._recent: deque[tuple[float, int]] = deque()
        self._n_recent = 0
        progress.start("encode", total)
        progress.advance(done)

    def advance(self, n_images: int, *, n_rejected: int = 0) -> None:
        """Count images, of which some were rejected."""
        with self._lock:
            now = self._clock()
            self._left -= n_images
            self._rejected += n_rejected
            self._recent.append((now, n_images))
            self._n_recent += n_images
            while self._recent[0][0] < now - self._window_s:
                # What follows the oldest was done after it: that is where the window begins.
                self._began, n_old = self._recent.popleft()
                self._n_recent -= n_old
            seconds = now - self._began
            figures = {}
            if seconds > 0 and self._n_recent:
                rate = self._n_recent / seconds
                figures = {"images_per_s": rate, "eta_s": self._left / rate}
            self._progress.advance(n_images, **figures, rejected=self._rejected)

    def finish(self) -> None:
        """End the phase."""
        with self._lock:
            self._progress.finish()
