"""One version of an index as it is served: its replicas on Ray, and who of them is fit to be asked."""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections.abc import Mapping
from typing import Any, Self

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from hashnet.errors import DamagedError, HashnetError, IncompleteError

from .health import ReplicaHealth, ShardHealth, describe_replica
from .pace import Paces
from .placement import Node, place_replica, place_replicas
from .replicas import ASKABLE, GONE, Condition, Replica, backoff_s
from .settings import Settings
from .shard_actor import Opened, ShardActor
from .sources import Source

# One sequence for all versions: whoever keeps a number means one process.
_NUMBERS = itertools.count()

# A replica that lived for as long was started well; dying again is a new story.
LONG_LIFE_S = 60.0


class Version:
    """The replicas of one source. Methods may be called from several threads."""

    def __init__(self, source: Source, settings: Settings) -> None:
        self.source = source
        self.n_codes = sum(source.n_codes)
        self.paces = Paces()
        self.lock = threading.RLock()
        # Questions that are asked of this version, and those that were given up but keep a replica busy.
        self.users = 0
        self.strays: dict[Any, Replica] = {}
        self._settings = settings
        self._replicas: list[list[Replica]] = [[] for _ in source.n_codes]
        self._actors: dict[int, Any] = {}
        self._openings: dict[int, Any] = {}
        self._pids: dict[int, int] = {}
        self._errors: dict[int, Exception] = {}
        # Processes that nobody asks any more and that are still to be ended.
        self._doomed: list[Any] = []
        self._closed = False

    @property
    def n_shards(self) -> int:
        """Number of shards."""
        return len(self._replicas)

    def replicas(self, shard: int) -> list[Replica]:
        """Return the replicas of a shard, whatever their condition."""
        with self.lock:
            return list(self._replicas[shard])

    def all_replicas(self) -> list[Replica]:
        """Return the replicas of all shards."""
        with self.lock:
            return [one for replicas in self._replicas for one in replicas]

    def actor(self, replica: Replica) -> Any:
        """Return the handle of a replica's process; KeyError once it was ended."""
        return self._actors[replica.number]

    def lanes(self) -> int:
        """Return how many replicas of a shard work side by side: the fewest of any shard, at least 1."""
        with self.lock:
            counts = [sum(one.condition is Condition.ALIVE for one in shard) for shard in self._replicas]
        return max(1, min(counts))

    def enter(self) -> None:
        """Keep the version from being drained until ``leave``; its owner sees to it that it still serves."""
        with self.lock:
            self.users += 1

    def leave(self) -> None:
        """The end of ``enter``."""
        with self.lock:
            self.users -= 1

    def start_all(self, *, held: Mapping[str, int] | None = None) -> Self:
        """Start all replicas of each shard, wait for them, and return the version.

        One of each shard has to come up, others are tried again later. Raises what stopped the first of a
        shard that has none; then nothing is left running. ``held`` are bytes that nodes hold already.
        """
        nodes = self._nodes(held or {})
        placed = place_replicas(self.source.n_bytes, nodes, self._settings.replicas)
        try:
            started = [
                self._launch(shard, node, copy=copy)
                for shard, where in enumerate(placed)
                for copy, node in enumerate(where)
            ]
            for replica in started:
                self.await_ready(replica)
            for shard in range(self.n_shards):
                if not any(one.condition in ASKABLE for one in self._replicas[shard]):
                    self._raise_failure(shard)
        except BaseException:
            self.close()
            raise
        return self

    def start(
        self,
        shard: int,
        *,
        node: str | None = None,
        held: Mapping[str, int] | None = None,
        after: Replica | None = None,
    ) -> Replica:
        """Start one more replica of a shard, on ``node`` or where it fits best, and do not wait for it.

        ``held`` are bytes that nodes hold besides, ``after`` is a replica that is gone and this one succeeds.
        """
        if node is None:
            nodes = self._nodes(held or {})
            holders = [one.node for one in self.replicas(shard) if one.condition not in GONE]
            node = place_replica(self.source.n_bytes[shard], nodes, used=self.bytes_held(), holders=holders)
        if after is None:
            return self._launch(shard, node, copy=len(self._replicas[shard]))
        # What was damaged in one copy may be whole in the next.
        copy = after.copy + (after.condition is Condition.DAMAGED)
        return self._launch(shard, node, copy=copy, after=after)

    def bytes_held(self) -> dict[str, int]:
        """Return the bytes of the replicas on each node."""
        held: dict[str, int] = {}
        for one in self.all_replicas():
            if one.condition not in GONE:
                held[one.node] = held.get(one.node, 0) + self.source.n_bytes[one.shard]
        return held

    def await_ready(self, replica: Replica, timeout_s: float | None = None) -> None:
        """Wait until a started replica is alive or has failed; its condition tells which."""
        with self.lock:
            ref = self._openings.get(replica.number)
        if ref is not None:
            ray.wait([ref], timeout=timeout_s)
            self.settle(replica)

    def settle(self, replica: Replica) -> None:
        """Take note of a start that has ended; nothing happens while it has not."""
        with self.lock:
            ref = self._openings.get(replica.number)
            if ref is None or not ray.wait([ref], timeout=0)[0]:
                return
            del self._openings[replica.number]
            now = time.monotonic()
            try:
                opened: Opened = ray.get(ref)
                wanted = self.source.n_codes[replica.shard]
                if opened.n_codes != wanted:
                    raise HashnetError(f"it holds {opened.n_codes} codes, {wanted} are wanted")
            except Exception as error:
                self.take_out(replica, error, now)
                return
            self._pids[replica.number] = opened.pid
            if replica.condition is Condition.STARTING:
                replica.condition = Condition.ALIVE
            replica.reason = ""
            replica.since = replica.probed_at = replica.scrubbed_at = now

    def take_out(self, replica: Replica, error: Exception, now: float) -> None:
        """Have a replica that failed asked no more, or, if it is only away, asked last."""
        cause = cause_of(error)
        with self.lock:
            if replica.condition in GONE:
                return
            started = replica.condition is not Condition.STARTING
            if started and isinstance(cause, ray.exceptions.ActorUnavailableError):
                if replica.condition is Condition.ALIVE:
                    replica.condition = Condition.SUSPECT
                    replica.reason = "its node does not answer"
                return
            if replica.condition is Condition.DRAINING:
                # It was to go anyway, and nobody is to take its place.
                replica.condition = Condition.DEAD
                self.remove(replica)
                return
            damaged = isinstance(cause, DamagedError)
            replica.condition = Condition.DAMAGED if damaged else Condition.DEAD
            replica.reason = reason_of(cause)
            if replica.since is not None and now - replica.since >= LONG_LIFE_S:
                replica.failures = 0
            # The first restart is at once, a damaged copy is read again later.
            wait = backoff_s(replica.failures) if replica.failures or damaged else 0.0
            replica.retry_at = now + wait
            replica.failures += 1
            self._errors[replica.number] = cause
            self._end(replica)

    def remove(self, replica: Replica) -> None:
        """Forget a replica and end its process."""
        with self.lock:
            self._end(replica)
            self._forget(replica)

    def find(self, shard: int, number: int) -> Replica:
        """Return a replica by its number, else raise ValueError."""
        for replica in self.replicas(shard):
            if replica.number == number:
                return replica
        numbers = [replica.number for replica in self.replicas(shard)]
        raise ValueError(f"shard {shard} has no replica {number}; it has {numbers}")

    def drain(self, shard: int, number: int) -> None:
        """Ask a replica nothing more; the keeper ends it when it has answered. Not the last that answers."""
        with self.lock:
            replica = self.find(shard, number)
            others = [one for one in self._replicas[shard] if one is not replica]
            if not any(one.condition in ASKABLE for one in others):
                raise ValueError(
                    f"replica {number} is the last of shard {shard} that answers; add another first"
                )
            if replica.condition in ASKABLE:
                replica.condition = Condition.DRAINING
                replica.drained_at = time.monotonic()
            else:
                self.remove(replica)

    def check(self) -> None:
        """Have every replica compare its bytes with their checksums, and take out those that are damaged."""
        with self.lock:
            asked = [
                (one, self.actor(one).check.remote())
                for one in self.all_replicas()
                if one.condition in ASKABLE
            ]
        for replica, ref in asked:
            self.settle_check(replica, ref)

    def settle_check(self, replica: Replica, ref: Any) -> None:
        """Wait for the end of a check and draw the conclusion."""
        try:
            ray.get(ref)
        except Exception as error:
            self.take_out(replica, error, time.monotonic())
        else:
            replica.scrubbed_at = time.monotonic()

    def abandon(self, pending: Mapping[Any, Replica]) -> None:
        """Wait no longer for these questions, but remember that they may keep replicas busy."""
        with self.lock:
            self.strays.update(pending)

    def collect_strays(self) -> None:
        """Take note of given-up questions that have ended since."""
        with self.lock:
            refs = list(self.strays)
        if not refs:
            return
        ended, _ = ray.wait(refs, num_returns=len(refs), timeout=0, fetch_local=False)
        with self.lock:
            for ref in ended:
                self.strays.pop(ref).outstanding -= 1

    def end_doomed(self) -> None:
        """End the processes of replicas that were taken out; may wait for Ray's head."""
        with self.lock:
            doomed, self._doomed = self._doomed, []
        for actor in doomed:
            if ray.is_initialized():
                ray.kill(actor)

    @property
    def has_doomed(self) -> bool:
        """Whether there is something for ``end_doomed`` to do."""
        return bool(self._doomed)

    def health(self) -> tuple[ShardHealth, ...]:
        """Return the condition of every replica."""
        with self.lock:
            return tuple(
                ShardHealth(shard, self.source.n_codes[shard], tuple(self._describe(one) for one in replicas))
                for shard, replicas in enumerate(self._replicas)
            )

    def close(self) -> None:
        """End every process; calling it again does nothing."""
        with self.lock:
            self._closed = True
            for replica in self.all_replicas():
                replica.condition = Condition.DEAD
                self._end(replica)
        self.end_doomed()

    def error_of(self, replica: Replica) -> Exception | None:
        """Return what took a replica out."""
        return self._errors.get(replica.number)

    def _nodes(self, held: Mapping[str, int]) -> list[Node]:
        return alive_nodes(cpus=self._settings.cpus, bounded=self.source.owned, held=held)

    def _launch(self, shard: int, node: str, *, copy: int, after: Replica | None = None) -> Replica:
        # Not under the lock: without its head Ray may wait here, and questions are not to wait with it.
        kind: Any = ShardActor
        pinned = NodeAffinitySchedulingStrategy(node, soft=False)
        actor = kind.options(num_cpus=self._settings.cpus, scheduling_strategy=pinned).remote(
            threads=self._settings.threads
        )
        opening = self.source.open(actor, shard, copy)
        replica = Replica(shard, next(_NUMBERS), node, copy=copy, started_at=time.monotonic())
        with self.lock:
            if not self._closed:
                self._actors[replica.number] = actor
                self._openings[replica.number] = opening
                self._replicas[shard].append(replica)
                if after is not None:
                    replica.failures = after.failures
                    self._forget(after)
                return replica
        ray.kill(actor)
        raise ValueError("the sharded index is closed; open it again")

    def _end(self, replica: Replica) -> None:
        self._openings.pop(replica.number, None)
        actor = self._actors.pop(replica.number, None)
        if actor is not None:
            self._doomed.append(actor)

    def _forget(self, replica: Replica) -> None:
        if replica in self._replicas[replica.shard]:
            self._replicas[replica.shard].remove(replica)
        self._pids.pop(replica.number, None)
        self._errors.pop(replica.number, None)

    def _raise_failure(self, shard: int) -> None:
        causes = [self._errors[one.number] for one in self._replicas[shard] if one.number in self._errors]
        cause = causes[0] if causes else RuntimeError("it did not start")
        if isinstance(cause, ray.exceptions.RayError):
            raise IncompleteError([shard], reason_of(cause)) from cause
        raise cause

    def _describe(self, replica: Replica) -> ReplicaHealth:
        path = self.source.path_of(replica.copy)
        return describe_replica(
            replica, pid=self._pids.get(replica.number), path=None if path is None else str(path)
        )


def alive_nodes(*, cpus: float, bounded: bool, held: Mapping[str, int]) -> list[Node]:
    """Return the nodes that take replicas, with the bytes that are free if these are ``bounded``.

    A head that was started without CPUs is there to lead, and takes none unless it is alone. Raises
    ValueError where no node has the ``cpus`` that a replica reserves: it would wait for ever.
    """
    alive = [node for node in ray.nodes() if node["Alive"]]
    working = [node for node in alive if node["Resources"].get("CPU", 0) > 0] or alive
    most = max((node["Resources"].get("CPU", 0) for node in working), default=0)
    if cpus > most:
        raise ValueError(
            f"cpus_per_shard must be at most what a node has, got {cpus}, the largest has {most}"
        )
    working = [node for node in working if node["Resources"].get("CPU", 0) >= cpus]
    nodes = []
    for node in sorted(working, key=lambda node: str(node["NodeID"])):
        name = str(node["NodeID"])
        memory = float(node["Resources"].get("memory", math.inf)) if bounded else math.inf
        nodes.append(Node(name, memory - held.get(name, 0)))
    return nodes


def cause_of(error: Exception) -> Exception:
    """Return what a replica raised itself, or the error as it is if Ray raised it."""
    if isinstance(error, ray.exceptions.RayTaskError):
        cause = getattr(error, "cause", None)
        return cause if isinstance(cause, Exception) else error
    return error


def reason_of(error: Exception) -> str:
    """Return one line on why a replica failed."""
    if isinstance(error, ray.exceptions.RayError):
        return f"its process is gone: {type(error).__name__}"
    return str(error)
