"""Which worker runs on which node, with what threads and memory, and which unit of work it takes: no Ray."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# A unit that ended this many workers is given up; so is a place that lost nearly as many in a row.
MAX_LOSSES = 3


@dataclass(frozen=True)
class NodeSize:
    """A machine of the cluster."""

    node: str
    cpus: float


@dataclass(frozen=True)
class WorkerSlot:
    """A place for a worker: its node, the CPUs it reserves, its threads, and its working memory in bytes."""

    node: str
    cpus: float
    threads: int
    memory: int


def place_workers(
    nodes: Sequence[NodeSize], workers: int, *, memory: int = 0, least_memory: int = 0
) -> list[WorkerSlot]:
    """Return a slot for each of ``workers`` workers.

    One after another, each goes to the node that then has the most CPUs a worker (ties: the first by name).
    The workers of a node share its CPUs and ``memory``, the bound of one node, evenly. Equal arguments
    give equal slots, whatever the order of the nodes. Raises ValueError for no workers, no node with a CPU,
    or shares of memory below ``least_memory``.
    """
    if workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}")
    usable = sorted((node for node in nodes if node.cpus > 0), key=lambda node: node.node)
    if not usable:
        raise ValueError("no node of the cluster has a CPU to work with; add one, or leave --workers out")
    placed = [0] * len(usable)
    for _ in range(workers):
        best = max(range(len(usable)), key=lambda n: (usable[n].cpus / (placed[n] + 1), -n))
        placed[best] += 1
    slots = []
    for node, count in zip(usable, placed, strict=True):
        if not count:
            continue
        share = memory // count
        if share < least_memory:
            raise ValueError(
                f"memory must be at least {least_memory >> 20} MiB for each worker, got {memory >> 20} MiB "
                f"for the {count} workers of a node; pass a larger --memory, or fewer --workers"
            )
        cpus = node.cpus / count
        # Ray takes parts of a CPU below one, and whole ones above.
        reserved = float(int(cpus)) if cpus >= 1 else int(cpus * 100) / 100
        slots += [WorkerSlot(node.node, reserved, max(1, int(cpus)), share)] * count
    return slots


class UnitQueue:
    """The units of work that wait for each worker, and what happens to them when one is lost.

    The largest unit goes first, to the worker that would have it done first, by rows a thread (Graham 1969).
    """

    def __init__(self, sizes: dict[int, int], slots: Sequence[WorkerSlot]) -> None:
        """``sizes`` has the rows of every unit to be done."""
        self._sizes = dict(sizes)
        self._threads = [slot.threads for slot in slots]
        self._waiting: list[list[int]] = [[] for _ in slots]
        self._open = [True] * len(slots)
        self._losses_of_slot = [0] * len(slots)
        self._losses_of_unit = dict.fromkeys(sizes, 0)
        self._spread(list(sizes))

    def next(self, slot: int) -> int | None:
        """Return the next unit of a slot, None where none waits: not for it, nor for a busier one."""
        queue = self._waiting[slot]
        if not queue:
            # Another may have been slower than its threads promised.
            queue = max(self._waiting, key=lambda units: sum(self._sizes[unit] for unit in units))
        return queue.pop(0) if queue and self._open[slot] else None

    def done(self, slot: int) -> None:
        """Note that a worker has done its unit."""
        self._losses_of_slot[slot] = 0

    def lost(self, slot: int, unit: int) -> bool:
        """Note that a worker ended without doing its unit, which waits again.

        Returns whether to replace the worker; if not, its units wait for others. Raises RuntimeError for a
        unit that ended MAX_LOSSES workers, and where no slot is left.
        """
        self._losses_of_unit[unit] += 1
        self._losses_of_slot[slot] += 1
        if self._losses_of_unit[unit] >= MAX_LOSSES:
            raise RuntimeError(f"unit {unit} ended {MAX_LOSSES} workers")
        if self._losses_of_slot[slot] < MAX_LOSSES - 1:
            self._waiting[slot].insert(0, unit)
            return True
        self._open[slot] = False
        moved, self._waiting[slot] = [unit, *self._waiting[slot]], []
        if not any(self._open):
            raise RuntimeError("no worker is left")
        self._spread(moved)
        return False

    def is_open(self, slot: int) -> bool:
        """Return whether workers may still be started in a slot."""
        return self._open[slot]

    def has_units(self) -> bool:
        """Return whether any unit waits."""
        return any(self._waiting)

    def _spread(self, units: list[int]) -> None:
        for unit in sorted(units, key=lambda unit: (-self._sizes[unit], unit)):
            slot = min(
                (slot for slot, is_open in enumerate(self._open) if is_open),
                key=lambda s: (self._load(s) + self._sizes[unit]) / self._threads[s],
            )
            self._waiting[slot].append(unit)

    def _load(self, slot: int) -> int:
        return sum(self._sizes[unit] for unit in self._waiting[slot])
