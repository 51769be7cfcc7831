"""A pool of Ray actors that does units of work; losses are answered as worker_placement decides."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from hashnet.errors import HashnetError

from .worker_placement import NodeSize, UnitQueue, WorkerSlot

STALL_TIMEOUT_S = 600.0
_POLL_S = 0.5


@dataclass
class Busy:
    """An actor at work: its unit, the answer it owes, and its last status, None before the first."""

    actor: Any
    unit: int
    working: Any
    status: Any = None
    asked: Any = None


@dataclass
class WorkerPool:
    """Keeps an actor in every slot busy until all units are done.

    ``actor_class`` is made with ``arguments(slot)`` and has ``work(unit)``; its ``status()``, which
    changes as long as the work gets on, is asked meanwhile. ``sizes`` has the rows of each unit.
    """

    actor_class: type
    arguments: Callable[[WorkerSlot], Mapping[str, Any]]
    sizes: dict[int, int]
    slots: list[WorkerSlot]
    busy: dict[int, Busy] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._queue = UnitQueue(self.sizes, self.slots)

    def run(
        self,
        take: Callable[[int, Any], None],
        *,
        tell: Callable[[Mapping[int, Any]], None],
        stall_timeout_s: float = STALL_TIMEOUT_S,
    ) -> None:
        """Do all units; ``take`` gets each with its answer, ``tell`` now and then the statuses of the others.

        Where neither happens nor any status changes for ``stall_timeout_s`` HashnetError is raised, as it is
        where workers are lost again and again. What a worker raises is raised as it is. The actors end in any
        case.
        """
        last, known = time.monotonic(), dict[int, Any]()
        try:
            for slot in range(len(self.slots)):
                self._start(slot, None)
            while self.busy:
                refs = {busy.working: slot for slot, busy in self.busy.items()}
                ready, _ = ray.wait(list(refs), timeout=_POLL_S)
                for ref in ready:
                    self._take(refs[ref], take)
                self._ask()
                statuses = {busy.unit: busy.status for busy in self.busy.values() if busy.status is not None}
                tell(statuses)
                if ready or statuses != known:
                    last, known = time.monotonic(), statuses
                elif time.monotonic() - last > stall_timeout_s:
                    raise HashnetError(
                        f"no worker got on for {stall_timeout_s:g} s; the cluster may have no free CPU "
                        "(`ray status` shows it). What is finished is kept, run again to continue"
                    )
        finally:
            for busy in self.busy.values():
                ray.kill(busy.actor)

    def _start(self, slot: int, actor: Any) -> None:
        unit = self._queue.next(slot)
        if unit is None:
            self.busy.pop(slot, None)
            if actor is not None:
                ray.kill(actor)
            return
        if actor is None:
            actor = self._actor(self.slots[slot])
        self.busy[slot] = Busy(actor, unit, actor.work.remote(unit))

    def _actor(self, slot: WorkerSlot) -> Any:
        return (
            ray.remote(self.actor_class)
            .options(
                num_cpus=slot.cpus,
                # One thread works, one answers how far it is.
                max_concurrency=2,
                max_restarts=0,
                scheduling_strategy=NodeAffinitySchedulingStrategy(slot.node, soft=False),
            )
            .remote(**self.arguments(slot))
        )

    def _take(self, slot: int, take: Callable[[int, Any], None]) -> None:
        busy = self.busy[slot]
        try:
            answer = ray.get(busy.working)
        except ray.exceptions.RayTaskError as error:
            cause = getattr(error, "cause", None)
            raise (cause if isinstance(cause, Exception) else error) from None
        except ray.exceptions.RayError as error:
            del self.busy[slot]
            self._replace(slot, busy.unit, error)
            return
        self._queue.done(slot)
        take(busy.unit, answer)
        self._start(slot, busy.actor)

    def _replace(self, slot: int, unit: int, error: Exception) -> None:
        try:
            self._queue.lost(slot, unit)
        except RuntimeError as given_up:
            raise HashnetError(
                f"{given_up} (the last: {type(error).__name__}); too little memory on a node is the usual "
                "cause: pass a smaller --memory or fewer --workers. What is finished is kept, run again to "
                "continue"
            ) from error
        # Also those that had run out of units: some may have moved to them.
        for free in range(len(self.slots)):
            if free not in self.busy:
                self._start(free, None)

    def _ask(self) -> None:
        for busy in self.busy.values():
            if busy.asked is None:
                busy.asked = busy.actor.status.remote()
            elif ray.wait([busy.asked], timeout=0)[0]:
                try:
                    busy.status = ray.get(busy.asked)
                except ray.exceptions.RayError:
                    # Its death is dealt with where its work is waited for.
                    continue
                busy.asked = None


def cluster_nodes() -> list[NodeSize]:
    """Return the nodes that are alive."""
    return [
        NodeSize(node["NodeID"], float(node["Resources"].get("CPU", 0.0)))
        for node in ray.nodes()
        if node["Alive"]
    ]
