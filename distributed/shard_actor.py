"""One replica of one shard as a Ray actor: it opens its part of an index and answers; it decides nothing."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import ray

from hashnet.allocator import keep_freed_memory
from hashnet.codes import Codes, Ids
from hashnet.index import Index, Plan, open_index

from .parts import check_signature
from .wire import Part, Question, Reply, pack_reply, unpack_question


class Opened(NamedTuple):
    """What a replica tells when it is ready: its number of codes, and the process that has them."""

    n_codes: int
    pid: int


# Questions wait for each other in one group of threads; signs of life and scrubbing have their own, so that
# a replica in the middle of a long search still shows that it lives. Ray does not restart it: a new process
# would come back without its part. Task events would cost a tenth of a millisecond a call.
@ray.remote(
    max_restarts=0,
    max_task_retries=0,
    concurrency_groups={"watch": 1, "scrub": 1},
    enable_task_events=False,
)
class ShardActor:
    """Holds one shard, searched with ``threads`` threads."""

    def __init__(self, *, threads: int) -> None:
        # Answers of some MB would be faulted in anew each time.
        keep_freed_memory()
        self._threads = threads
        self._index: Index | None = None
        self._segments: Sequence[int] = ()

    def open(
        self, path: str, segments: list[int], signature: str, preload: bool, verify: bool | None
    ) -> Opened:
        """Open the given segments of the index at ``path``, if they are those of ``signature``."""
        _take_full_share()
        # Names of segments are never used again: if listed before and after opening, they were opened.
        check_signature(Path(path), segments, signature)
        index = open_index(Path(path), segments=segments, preload=preload, verify=verify)
        check_signature(Path(path), segments, signature)
        self._index, self._segments = index, segments
        return Opened(len(index), os.getpid())

    def load(self, codes: Codes, ids: Ids, n_bits: int) -> Opened:
        """Keep the given codes in memory."""
        _take_full_share()
        self._index = Index.in_memory(n_bits=n_bits)
        self._index.add(codes, ids=ids)
        return Opened(len(self._index), os.getpid())

    def ask(self, data: bytes) -> bytes | Reply:
        """Answer a packed question on this part; k-NN rows are padded where it holds fewer than k."""
        begin = time.perf_counter()
        part = self._answer(unpack_question(data))
        return pack_reply(Reply(time.perf_counter() - begin, part))

    def explain(self, query: Codes, k: int | None, radius: int | None) -> Plan:
        """Run one query and tell its plan on this part; segments have their numbers in the whole index."""
        part = self._part()
        plan = part.explain(query, k=None if k is None else min(k, len(part)), radius=radius)
        if not self._segments:
            return plan
        segments = tuple(replace(one, segment=self._segments[one.segment]) for one in plan.segments)
        return replace(plan, k=k, segments=segments)

    def keys_of(self, ids: Ids) -> Sequence[str | None]:
        """Return the source keys of those ids that this part holds, None for the others."""
        return self._part().keys_of(ids)

    @ray.method(concurrency_group="watch")
    def ping(self) -> None:
        """Show that the process lives."""

    @ray.method(concurrency_group="scrub")
    def check(self) -> None:
        """Compare all bytes with their checksums; raises DamagedError."""
        self._part().check()

    def _answer(self, question: Question) -> Part:
        method, queries, argument, within = question
        if method == "search":
            return self._part().search(queries, argument, threads=self._threads, pad=True, within=within)
        if method == "search_radius":
            return self._part().search_radius(queries, argument, threads=self._threads)
        return self._part().count_radius(queries, argument, threads=self._threads)

    def _part(self) -> Index:
        if self._index is None:
            raise RuntimeError("the shard has no part yet; call open or load first")
        return self._index


def _take_full_share() -> None:
    """Undo, where the system permits, the niceness of 15 at which Ray runs its workers.

    It is meant for work in the background; somebody waits for these answers. Niceness is a matter of each
    thread, and those to come inherit it.
    """
    for thread in Path("/proc/self/task").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, int(thread.name), 0)
