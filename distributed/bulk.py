"""Answer many queries into a Parquet file, in this process or with Ray workers; resumable."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from hashnet.codes import check_codes
from hashnet.errors import HashnetError
from hashnet.index import Index, open_codes, open_index
from hashnet.index.arguments import check_k, check_radius, check_threads
from hashnet.index.store import Store
from hashnet.progress import NO_PROGRESS, Progress

from .bulk_job import commit_unit, open_bulk_job
from .bulk_units import UNIT_QUERIES, BulkSettings, digest_of_queries

DEFAULT_K = 10
STALL_TIMEOUT_S = 600.0


@dataclass(frozen=True)
class BulkSpec:
    """What a worker needs to answer any unit; the paths must mean the same on every node."""

    index: str
    queries: str
    output: str
    settings: BulkSettings


def search_to_file(
    index: str | Path,
    queries: str | Path,
    output: str | Path,
    *,
    k: int | None = None,
    radius: int | None = None,
    count: bool = False,
    workers: int = 0,
    threads: int | None = None,
    preload: bool = False,
    unit_queries: int = UNIT_QUERIES,
    address: str | None = None,
    stall_timeout_s: float = STALL_TIMEOUT_S,
    progress: Progress = NO_PROGRESS,
) -> int:
    """Answer all queries of a code file into the Parquet file ``output``; return its number of rows.

    Each query gets its ``k`` nearest codes (default 10, or all where there are fewer), all within
    ``radius``, or with ``count`` only how many these are; ``bulk_units`` has the schema. Queries are cut
    into units of ``unit_queries``, each committed when it is answered: a rerun of the same question goes on
    where the last run ended, and the output has the same bytes however often that was, whoever answered.

    ``workers`` is the number of Ray workers, each with the whole index mapped, of which a node keeps one copy
    in memory; 0 answers in this process, without Ray. ``threads`` is for each worker, by default its share of
    the node's CPUs. Index, queries and output must lie on storage that all nodes share.

    Wrong queries, k or radius are refused before anything is written. Raises what ``open_index``,
    ``open_codes`` and ``ray_cluster`` raise, FileExistsError, ResumeError and LockedError as
    ``open_bulk_job``, and HashnetError where workers are lost again and again, or none gets on for
    ``stall_timeout_s``.
    """
    if preload and workers:
        raise ValueError(
            "--preload would copy the index once for each worker; leave it out (workers map it, and share "
            "what is in memory), or answer without --workers"
        )
    spec = _spec(index, queries, output, k=k, radius=radius, count=count, unit_queries=unit_queries)
    Path(spec.output).parent.mkdir(parents=True, exist_ok=True)
    with open_bulk_job(Path(spec.output), spec.settings) as job:
        remaining = job.remaining
        sizes = {unit: spec.settings.size(unit) for unit in remaining}
        progress.start("search", spec.settings.n_queries)
        try:
            progress.advance(spec.settings.n_queries - sum(sizes.values()))
            meter = _Meter(sizes, progress)
            if remaining and workers:
                _answer_with_ray(
                    spec, sizes, meter, workers, threads=threads, address=address, timeout_s=stall_timeout_s
                )
            elif remaining:
                _answer_here(spec, remaining, meter, threads=check_threads(threads), preload=preload)
            return job.finish()
        finally:
            progress.finish()


def open_snapshot(path: str | Path, *, wanted: str | None = None, preload: bool = False) -> tuple[Index, str]:
    """Open an index and return it with the digest of its manifest; HashnetError unless that is ``wanted``.

    The manifest has the checksums of all segments, so the digest tells what any answer depends on.
    """
    store = Store(Path(path))
    index = open_index(path, preload=preload)
    digest = hashlib.sha256(store.read().to_bytes()).hexdigest()
    # A writer may have committed between the two.
    changed = store.read().generation != index.stats().generation
    if changed or (wanted is not None and wanted != digest):
        index.close()
        raise HashnetError(
            f"{path} is not the index that the job was begun with, or is being changed; index, queries and "
            "output must lie on storage that all nodes share, and stay as they are until the job is done"
        )
    return index, digest


class _Meter:
    """Tells a Progress how many queries are answered, in units that are done and in those at work."""

    def __init__(self, sizes: dict[int, int], progress: Progress) -> None:
        self._sizes = sizes
        self._progress = progress
        self._began = time.monotonic()
        self._done = 0
        self._told = 0

    def take(self, unit: int, _: object = None) -> None:
        """Count a unit that is answered."""
        self._done += self._sizes[unit]
        self.tell({})

    def note(self, unit: int, answered: int) -> None:
        """Report how many queries of the only unit at work are answered."""
        self.tell({unit: answered})

    def tell(self, answered: Mapping[int, int]) -> None:
        """Report progress, given how many queries of the units at work are answered."""
        done = self._done + sum(answered.values())
        if done > self._told:
            rate = done / (time.monotonic() - self._began)
            self._progress.advance(done - self._told, queries_per_s=rate)
            self._told = done


def _spec(
    index: str | Path,
    queries: str | Path,
    output: str | Path,
    *,
    k: int | None,
    radius: int | None,
    count: bool,
    unit_queries: int,
) -> BulkSpec:
    if k is not None and radius is not None:
        raise ValueError("give either --k or --radius: the k nearest, or all within a Hamming distance")
    if count and radius is None:
        raise ValueError("--count needs --radius R, and goes not with --k")
    if unit_queries < 1:
        raise ValueError(f"unit_queries must be at least 1, got {unit_queries}")
    opened, digest = open_snapshot(index)
    with opened:
        asked = open_codes(queries, n_bits=opened.n_bits)
        check_codes(asked, opened.n_bits, name="queries")
        if radius is None:
            k = min(DEFAULT_K, len(opened)) if k is None else k
            k = check_k(k, len(opened), pad=False)
        else:
            radius = check_radius(radius, opened.n_bits)
        settings = BulkSettings(
            index=digest,
            fingerprint=opened.fingerprint,
            queries=digest_of_queries(asked),
            n_queries=len(asked),
            n_bits=opened.n_bits,
            k=k,
            radius=radius,
            count=count,
            unit_queries=unit_queries,
        )
    # Workers start in folders of their own.
    where = [str(Path(path).absolute()) for path in (index, queries, output)]
    return BulkSpec(index=where[0], queries=where[1], output=where[2], settings=settings)


def _answer_here(spec: BulkSpec, units: list[int], meter: _Meter, *, threads: int, preload: bool) -> None:
    index, _ = open_snapshot(spec.index, wanted=spec.settings.index, preload=preload)
    with index:
        queries = open_codes(spec.queries, n_bits=spec.settings.n_bits)
        for unit in units:
            commit_unit(
                index,
                queries,
                spec.settings,
                unit,
                Path(spec.output),
                threads=threads,
                answered=partial(meter.note, unit),
            )
            meter.take(unit)


def _answer_with_ray(
    spec: BulkSpec,
    sizes: dict[int, int],
    meter: _Meter,
    workers: int,
    *,
    threads: int | None,
    address: str | None,
    timeout_s: float,
) -> None:
    from .bulk_actor import UnitAnswerer
    from .cluster import ray_cluster
    from .pool import WorkerPool, cluster_nodes
    from .worker_placement import place_workers

    with ray_cluster(address):
        slots = place_workers(cluster_nodes(), min(workers, len(sizes)))
        pool = WorkerPool(
            UnitAnswerer,
            lambda slot: {"spec": spec, "threads": threads or slot.threads},
            sizes,
            slots,
        )
        pool.run(meter.take, tell=meter.tell, stall_timeout_s=timeout_s)
