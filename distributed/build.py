"""Build an index with several Ray workers: the same directory, byte for byte, as one process builds."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hashnet.codes import Codes
from hashnet.encoding import CodeStore
from hashnet.encoding.build_job import build_and_commit_part, open_build
from hashnet.encoding.build_parts import BuildPlan, source_mark
from hashnet.encoding.building import check_absent
from hashnet.index import LayoutOptions, open_codes
from hashnet.index.arguments import LEAST_MEMORY, check_memory
from hashnet.index.layout import DEFAULT_LAYOUT
from hashnet.progress import NO_PROGRESS, Progress

from .build_meter import StageCount, expected_tables, rows_built
from .cluster import ray_cluster
from .pool import STALL_TIMEOUT_S, WorkerPool, cluster_nodes
from .worker_placement import place_workers


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
                    slots = place_workers(
                        cluster_nodes(),
                        min(workers, len(remaining)),
                        memory=memory,
                        least_memory=LEAST_MEMORY,
                    )
                    meter = _Meter(plan, sizes, progress)
                    pool = WorkerPool(
                        PartBuilder,
                        lambda slot: {
                            "spec": spec,
                            "threads": threads or slot.threads,
                            "memory": slot.memory,
                        },
                        sizes,
                        slots,
                    )
                    pool.run(meter.take, tell=meter.tell, stall_timeout_s=stall_timeout_s)
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

    def work(self, part: int) -> None:
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

    def status(self) -> tuple[float, int]:
        """Return how many tables of the present part are sorted, and how often it got on at all."""
        return self._count.tables, self._count.steps


class _Meter:
    """Tells a Progress how many rows the parts that are built and in work amount to."""

    def __init__(self, plan: BuildPlan, sizes: dict[int, int], progress: Progress) -> None:
        self._sizes = sizes
        self._tables = expected_tables(plan.n_bits, max(sizes.values()), plan.layout.tables)
        self._progress = progress
        self._began = time.monotonic()
        self._built = 0
        self._told = 0

    def take(self, part: int, _: None) -> None:
        """Count a part that is built."""
        self._built += self._sizes[part]

    def tell(self, statuses: Mapping[int, tuple[float, int]]) -> None:
        """Report progress, given the statuses of the parts in work."""
        sorted_tables = {part: tables for part, (tables, _) in statuses.items()}
        done = self._built + rows_built(self._sizes, sorted_tables, tables=self._tables)
        if done > self._told:
            rate = done / (time.monotonic() - self._began)
            self._progress.advance(done - self._told, codes_per_s=rate)
            self._told = done


def _open_source(path: Path, n_bits: int | None) -> CodeStore | Codes:
    return CodeStore.open(path) if path.is_dir() else open_codes(path, n_bits=n_bits)
