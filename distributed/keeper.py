"""A thread that watches the replicas of a sharded index: probes, restarts, scrubs, drains."""

from __future__ import annotations

import contextlib
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import ray

from .replicas import ASKABLE, GONE, Condition, Replica, Watch, backoff_s, judge
from .version import Version

TICK_S = 0.1
# Whatever a replica on its way out has not answered by then is asked of another.
MOST_DRAIN_S = 60.0


class Keeper:
    """Looks after the versions that ``versions()`` names, the one that serves first, until ``stop``.

    ``retire(version)`` is called for a later one that nobody asks any more. The thread ends by itself when
    the owner of the two methods is gone.
    """

    def __init__(
        self,
        versions: Callable[[], Sequence[Version]],
        retire: Callable[[Version], None],
        watch: Watch,
    ) -> None:
        self._versions = weakref.WeakMethod(versions)
        self._retire = weakref.WeakMethod(retire)
        self._watch = watch
        self._ended = threading.Event()
        # Starting and ending ask Ray's head, which may take long while it is away; watching goes on.
        self._starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="hashnet-starter")
        self._starting: set[int] = set()
        self._probes: dict[int, tuple[Any, float]] = {}
        self._scrub: tuple[Replica, Any] | None = None
        self._thread = threading.Thread(target=self._run, name="hashnet-keeper", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread and wait for it."""
        self._ended.set()
        self._starter.shutdown(wait=False, cancel_futures=True)
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=5.0)

    def _run(self) -> None:
        while not self._ended.wait(TICK_S):
            versions, retire = self._versions(), self._retire()
            if versions is None or retire is None or not ray.is_initialized():
                return
            # Whatever goes wrong in one round is tried again in the next; asking must never suffer from it.
            with contextlib.suppress(Exception):
                self._look(list(versions()), retire)
            del versions, retire

    def _look(self, versions: list[Version], retire: Callable[[Version], None]) -> None:
        now = time.monotonic()
        for version in versions:
            version.collect_strays()
            if version.has_doomed:
                self._starter.submit(version.end_doomed)
            for replica in version.all_replicas():
                if replica.condition is Condition.STARTING:
                    self._await_start(version, replica, now)
                elif replica.condition in ASKABLE:
                    self._probe(version, replica, now)
                elif replica.condition is Condition.DRAINING:
                    if not replica.outstanding or now - replica.drained_at > MOST_DRAIN_S:
                        version.remove(replica)
                elif version is versions[0] and self._watch.restart and now >= replica.retry_at:
                    self._restart(version, replica)
        self._scrub_one(versions[0], now)
        known = {replica.number for version in versions for replica in version.all_replicas()}
        self._probes = {number: probe for number, probe in self._probes.items() if number in known}
        for version in versions[1:]:
            if not version.users:
                retire(version)

    def _await_start(self, version: Version, replica: Replica, now: float) -> None:
        if now - replica.started_at > self._watch.start_timeout_s:
            error = TimeoutError(f"it did not start within {self._watch.start_timeout_s} s")
            version.take_out(replica, error, now)
        else:
            version.settle(replica)

    def _probe(self, version: Version, replica: Replica, now: float) -> None:
        probe = self._probes.get(replica.number)
        if probe is None:
            if now - replica.probed_at >= self._watch.probe_every_s:
                self._probes[replica.number] = (version.actor(replica).ping.remote(), now)
            return
        ref, since = probe
        if not ray.wait([ref], timeout=0)[0]:
            verdict = judge(now - since, self._watch)
            if verdict == "end":
                del self._probes[replica.number]
                version.take_out(replica, TimeoutError(f"it was silent for {now - since:.0f} s"), now)
            elif verdict == "suspect" and replica.condition is Condition.ALIVE:
                with version.lock:
                    replica.condition = Condition.SUSPECT
                    replica.reason = f"it has been silent for {self._watch.suspect_after_s:g} s"
            return
        del self._probes[replica.number]
        replica.probed_at = now
        try:
            ray.get(ref)
        except Exception as error:
            version.take_out(replica, error, now)
            return
        with version.lock:
            if replica.condition is Condition.SUSPECT:
                replica.condition = Condition.ALIVE
                replica.reason = ""

    def _restart(self, version: Version, replica: Replica) -> None:
        if replica.number in self._starting:
            return
        self._starting.add(replica.number)

        def start() -> None:
            try:
                version.start(replica.shard, after=replica)
            except Exception as error:
                replica.retry_at = time.monotonic() + backoff_s(replica.failures)
                replica.failures += 1
                replica.reason = f"it cannot be started again: {error}"
            finally:
                self._starting.discard(replica.number)

        self._starter.submit(start)

    def _scrub_one(self, version: Version, now: float) -> None:
        if self._scrub is not None:
            replica, ref = self._scrub
            if replica.condition in GONE:
                self._scrub = None
            elif ray.wait([ref], timeout=0)[0]:
                self._scrub = None
                version.settle_check(replica, ref)
            return
        every = self._watch.scrub_every_s
        if every is None:
            return
        for replica in version.all_replicas():
            if replica.condition is Condition.ALIVE and now - replica.scrubbed_at >= every:
                self._scrub = (replica, version.actor(replica).check.remote())
                return
