"""The version of a sharded index that serves, and those that are drained after a swap."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

from .keeper import Keeper
from .replicas import Watch
from .version import Version


class ServingVersion:
    """Gives questions the version that serves, and keeps each version until nobody asks it any more.

    A keeper watches the replicas of all of them as long as this object is there.
    """

    def __init__(self, version: Version, watch: Watch) -> None:
        self._lock = threading.Lock()
        self._swapping = threading.Lock()
        self._version = version
        self._drained: list[Version] = []
        self._closed = False
        self._keeper = Keeper(self._versions, self._retire, watch)

    @property
    def latest(self) -> Version:
        """The version that serves, or served last."""
        return self._version

    @contextlib.contextmanager
    def use(self) -> Iterator[Version]:
        """Give the version that serves, and keep it from being drained within the block.

        Raises ValueError after ``close``.
        """
        with self._lock:
            version = self._open_version()
            # Under this lock, so that a swap sees either no user or one who got the old version.
            version.enter()
        try:
            yield version
        finally:
            version.leave()

    def swap(self, successor: Callable[[Version], Version]) -> None:
        """Have ``successor(version)`` serve from now on; one swap at a time.

        Questions under way end with the version they began with. What ``successor`` raises is raised, and the
        old version goes on.
        """
        with self._swapping:
            old = self._open_version()
            new = successor(old)
            with self._lock:
                if self._closed:
                    new.close()
                    raise ValueError("the sharded index was closed while it was swapped")
                self._version = new
                self._drained.append(old)

    def close(self) -> None:
        """End the replicas of all versions; calling it again does nothing."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            versions = [self._version, *self._drained]
        self._keeper.stop()
        for version in versions:
            version.close()

    def _open_version(self) -> Version:
        if self._closed:
            raise ValueError("the sharded index is closed; open it again")
        return self._version

    def _versions(self) -> list[Version]:
        with self._lock:
            return [] if self._closed else [self._version, *self._drained]

    def _retire(self, version: Version) -> None:
        with self._lock:
            self._drained.remove(version)
        version.close()
