"""Build an index with several Ray workers: the same directory, byte for byte, as one process builds."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from hashnet.codes import Codes
from hashnet.encoding import CodeStore
from hashnet.encoding.build_job import build_and_commit_part, open_build
from hashnet.encoding.build_parts import BuildPlan, source_mark
from hashnet.encoding.building import check_absent
from hashnet.errors import HashnetError
from hashnet.index import LayoutOptions, open_codes
from hashnet.index.arguments import check_memory
from hashnet.index.layout import DEFAULT_LAYOUT
from hashnet.progress import NO_PROGRESS, Progress

from .build_meter import StageCount, expected_tables, rows_built
from .build_placement import BuildQueue, BuildSlot, NodeSize, place_workers
from .cluster import ray_cluster

STALL_TIMEOUT_S = 600.0
_POLL_S = 0.5


@dataclass(frozen=True)
class BuildSpec:
    """What a worker needs to build any part; the paths must mean the same on every node."""

    source: str
    n_bits: int | None
    mark: str
    plan: BuildPlan
    staging: str


def build_with_ray(
    source: str | Path,
    output: str | Path,
    *,
    n_bits: int | None = None,
    shards: int = 1,
    workers: int = 2,
    layout: LayoutOptions = DEFAULT_LAYOUT,
    threads: int | None = None,
    memory: int | None = None,
    address: str | None = None,
    stall_timeout_s: float = STALL_TIMEOUT_S,
    progress: Progress = NO_PROGRESS,
) -> None:
    """Create the index ``output`` from the code store or code file ``source``, one segment a shard.

    The result is what ``hashnet.encoding.build_index`` writes. The rows of a shard are read by the worker
    that builds it, so source and output must lie on storage that all nodes share. ``memory`` (bytes, default
    4 GiB) bounds the working memory of all workers of a node together; ``threads`` is for each worker, by
    default its share of the node's CPUs.

    A part that is built stays if the build fails or is killed, and a rerun with the same arguments goes on
    with the others. Raises what ``build_index`` and ``ray_cluster`` raise, LockedError while another process
    builds the same output, and HashnetError where workers are lost again and again, or none gets on for
    ``stall_timeout_s``.
    """
    source, output = Path(source).absolute(), Path(output).absolute()
    check_absent(output)
    opened = _open_source(source, n_bits)
    plan = BuildPlan.of(opened, parts=shards, layout=layout)
    mark = source_mark(opened, source)
    memory = check_memory(memory)
    output.parent.mkdir(parents=True, exist_ok=True)
    with open_build(output, plan, opened, mark=mark) as job:
        spec = BuildSpec(str(source), n_bits, mark, plan, str(job.staging))
        remaining = job.remaining
        sizes = {part: plan.size(part) for part in remaining}
        progress.start("build", plan.n_codes)
        try:
            progress.advance(plan.n_codes - sum(sizes.values()))
            if remaining:
                with ray_cluster(address):
                    slots = place_workers(_nodes(), min(workers, len(remaining)), memory=memory)
                    run = _Run(spec, sizes, slots, threads=threads, progress=progress)
                    run.to_the_end(stall_timeout_s=stall_timeout_s)
            job.finish()
        finally:
            progress.finish()


class PartBuilder:
    """An actor that builds parts, and tells meanwhile how far it is."""

    def __init__(self, spec: BuildSpec, *, threads: int, memory: int) -> None:
        self._spec = spec
        self._threads = threads
        self._memory = memory
        self._count = StageCount()

    def build(self, part: int) -> None:
        """Build and commit one part."""
        spec, self._count = self._spec, StageCount()
        source = _open_source(Path(spec.source), spec.n_bits)
        mark = source_mark(source, Path(spec.source))
        if mark != spec.mark:
            raise ValueError(
                f"a worker sees another {spec.source} ({mark}) than the driver ({spec.mark}); codes and "
                "output must lie on storage that all nodes share, and stay as they are during a build"
            )
        build_and_commit_part(
            source,
            spec.plan,
            part,
            Path(spec.staging),
            threads=self._threads,
            memory=self._memory,
            progress=self._count,
        )

    def tables(self) -> float:
        """Return how many tables of the present part are sorted."""
        return self._count.tables


@dataclass
class _Worker:
    actor: Any
    part: int
    building: Any
    tables: float = 0.0
    asked: Any = None


@dataclass
class _Run:
    """Keeps every slot busy until all parts are built."""

    spec: BuildSpec
    sizes: dict[int, int]
    slots: list[BuildSlot]
    threads: int | None
    progress: Progress
    busy: dict[int, _Worker] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._queue = BuildQueue(self.sizes, self.slots)
        self._tables = expected_tables(
            self.spec.plan.n_bits, max(self.sizes.values()), self.spec.plan.layout.tables
        )
        self._built = 0
        self._told = 0

    def to_the_end(self, *, stall_timeout_s: float) -> None:
        """Build all parts; end the workers, whatever happens."""
        began = last = time.monotonic()
        try:
            for slot in range(len(self.slots)):
                self._start(slot, self._actor(slot))
            while self.busy:
                refs = {worker.building: slot for slot, worker in self.busy.items()}
                ready, _ = ray.wait(list(refs), timeout=_POLL_S)
                for ref in ready:
                    self._take(refs[ref])
                self._poll()
                if self._tell(time.monotonic() - began) or ready:
                    last = time.monotonic()
                elif time.monotonic() - last > stall_timeout_s:
                    raise HashnetError(
                        f"no worker got on for {stall_timeout_s:g} s; the cluster may have no free CPU "
                        "(`ray status` shows it). Finished parts are kept, run again to continue"
                    )
        finally:
            for worker in self.busy.values():
                ray.kill(worker.actor)

    def _actor(self, slot: int) -> Any:
        where = self.slots[slot]
        return (
            ray.remote(PartBuilder)
            .options(
                num_cpus=where.cpus,
                # One thread builds, one answers how far it is.
                max_concurrency=2,
                max_restarts=0,
                scheduling_strategy=NodeAffinitySchedulingStrategy(where.node, soft=False),
            )
            .remote(self.spec, threads=self.threads or where.threads, memory=where.memory)
        )

    def _start(self, slot: int, actor: Any) -> None:
        part = self._queue.next(slot)
        if part is None:
            ray.kill(actor)
            self.busy.pop(slot, None)
            return
        self.busy[slot] = _Worker(actor, part, actor.build.remote(part))

    def _take(self, slot: int) -> None:
        worker = self.busy[slot]
        try:
            ray.get(worker.building)
        except ray.exceptions.RayTaskError as error:
            cause = getattr(error, "cause", None)
            raise (cause if isinstance(cause, Exception) else error) from None
        except ray.exceptions.RayError as error:
            del self.busy[slot]
            try:
                again = self._queue.lost(slot, worker.part)
            except RuntimeError as given_up:
                raise HashnetError(
                    f"{given_up} (the last: {type(error).__name__}); too little memory on a node is the "
                    "usual cause: pass a smaller --memory or fewer --workers. Finished parts are kept, run "
                    "again to continue"
                ) from error
            if again:
                self._start(slot, self._actor(slot))
            self._wake()
            return
        self._queue.done(slot)
        self._built += self.sizes[worker.part]
        self._start(slot, worker.actor)

    def _wake(self) -> None:
        """Give parts of a lost worker to those that had run out of parts."""
        for slot in range(len(self.slots)):
            if slot not in self.busy and self._queue.is_open(slot) and self._queue.has_parts():
                self._start(slot, self._actor(slot))

    def _poll(self) -> None:
        for worker in self.busy.values():
            if worker.asked is None:
                worker.asked = worker.actor.tables.remote()
                continue
            if ray.wait([worker.asked], timeout=0)[0]:
                with contextlib.suppress(ray.exceptions.RayError):
                    worker.tables = ray.get(worker.asked)
                worker.asked = None

    def _tell(self, seconds: float) -> bool:
        """Report progress; return whether there was any."""
        tables = {worker.part: worker.tables for worker in self.busy.values()}
        done = self._built + rows_built(self.sizes, tables, tables=self._tables)
        gained = done - self._told
        if gained <= 0:
            return False
        self._told = done
        self.progress.advance(gained, codes_per_s=done / seconds)
        return True


def _nodes() -> list[NodeSize]:
    return [
        NodeSize(node["NodeID"], float(node["Resources"].get("CPU", 0.0)))
        for node in ray.nodes()
        if node["Alive"]
    ]


def _open_source(path: Path, n_bits: int | None) -> CodeStore | Codes:
    return CodeStore.open(path) if path.is_dir() else open_codes(path, n_bits=n_bits)
