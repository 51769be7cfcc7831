"""What the routes do, without HTTP: bounds, questions, answers, plans, and the change to a new version."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from hashnet.codes import Codes, Ids
from hashnet.errors import FingerprintError, IncompleteError
from hashnet.index import Index, Plan

from . import wire
from .backends import Question, ShardState, backend_of, plan_json, rows_of
from .images import ImageEncoder, ImageQueue
from .limits import check_answers, check_question
from .metrics import Metrics
from .problems import ApiError
from .requests import Asked
from .schemas import Wishes
from .settings import ServiceSettings
from .source import check_model
from .streaming import ball_line, end_line, failure_line, first_line, groups_within, pieces
from .versions import Version

log = logging.getLogger("hashnet.serving")

Returned = TypeVar("Returned")


@dataclass(frozen=True)
class Row:
    """The answer to one query."""

    query: str
    distances: list[int]
    ids: list[int]
    keys: list[str | None] | None
    codes: list[str] | None


@dataclass(frozen=True)
class Answered:
    """The answers to a request."""

    version: Version
    rows: list[Row]
    missing: tuple[int, ...]
    plan: dict[str, Any] | None
    seconds: float


class Service:
    """Answers requests from the current version of an index.

    It takes ``searcher`` over and closes it. ``reopen`` opens the index anew for ``reload``. To be made and
    used in one event loop. Raises FingerprintError where ``encoder`` makes codes for another code space, and
    ValueError for another n_bits.
    """

    def __init__(
        self,
        searcher: Any,
        settings: ServiceSettings,
        encoder: ImageEncoder | None = None,
        *,
        reopen: Callable[[], Any] | None = None,
    ) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.draining = asyncio.Event()
        self._reopen = reopen
        self._encoder = encoder
        # Engine calls, and beside them keys, plans and health, so that these never wait for a batch.
        self._threads = ThreadPoolExecutor(2 * settings.workers + 2, thread_name_prefix="serve")
        self._images: ImageQueue | None = None
        self._image_thread = ThreadPoolExecutor(1, thread_name_prefix="images")
        if encoder is not None:
            self._images = ImageQueue(encoder, self._image_thread, max_pixels=settings.max_pixels)
        self._reloading = False
        self._n_sampled = 0
        self._tasks: set[asyncio.Task[Any]] = set()
        self._current = self._version_of(searcher, 1)
        self.metrics.serves(len(self._current.backend), self._current.number)

    @property
    def current(self) -> Version:
        """The version that new requests are answered from."""
        return self._current

    @property
    def encodes(self) -> bool:
        """Whether there is a model for images."""
        return self._images is not None

    async def answer(self, asked: Asked[Any], question: Question) -> Answered:
        """Return the answers to a request; raises ApiError and what the index raises."""
        began = time.perf_counter()
        async with asyncio.timeout(self.settings.timeout_s):
            with self._current.used() as version:
                codes = await self._codes_of(asked, question, version)
                if question.kind == "radius":
                    await self._check_balls(version, question, codes)
                elif question.kind == "search":
                    check_answers(question.value * len(codes), self.settings)
                answer = await version.ask(question, codes)
                rows = await self._rows_of(version, codes, rows_of(answer.result), asked.wishes)
                plan = None
                if asked.wishes.explain:
                    plans = await _unless_missing(version.explain(codes, question), asked.wishes)
                    plan = None if plans is None else plan_json(plans)
        self.metrics.queries.labels(question.kind).inc(len(codes))
        self.metrics.neighbors.labels(question.kind).inc(sum(len(row.ids) for row in rows))
        if plan is None:
            self._sample(version, codes, question)
        return Answered(version, rows, answer.missing, plan, time.perf_counter() - began)

    async def stream(self, asked: Asked[Any], question: Question) -> AsyncIterator[bytes]:
        """Yield the balls of a request as lines of JSON; what is wrong with it is raised before the first.

        Balls are asked for in groups of at most ``max_answers`` neighbours, so that memory stays bounded. A
        failure on the way becomes the last line; only one with ``end`` says that nothing is missing.
        """
        if asked.wishes.explain:
            raise ApiError("invalid_request", "explain: a stream has no plan; ask for JSON")
        with self._current.used() as version:
            async with asyncio.timeout(self.settings.timeout_s):
                codes = await self._codes_of(asked, question, version)
                counted = await version.ask(Question("count", question.value, question.partial), codes)
            sizes = [int(size) for size in counted.result]
            largest = max(sizes)
            if largest > self.settings.max_streamed:
                raise ApiError(
                    "answer_too_large",
                    f"a query has {largest} codes within radius {question.value}, more than the limit of "
                    f"{self.settings.max_streamed}; ask for a smaller radius",
                    counts=sizes,
                )
            yield first_line(version.backend, question, sizes)
            missing: set[int] = set(counted.missing)
            n_neighbors = 0
            try:
                for group in groups_within(sizes, self.settings.max_answers):
                    part = np.ascontiguousarray(codes[group])
                    async with asyncio.timeout(self.settings.timeout_s):
                        answer = await version.ask(question, part)
                    missing.update(answer.missing)
                    for query, found in enumerate(rows_of(answer.result), start=group.start):
                        n_neighbors += len(found[1])
                        async for line in self._ball_lines(version, query, codes[query], found, asked.wishes):
                            yield line
            except Exception as error:
                log.warning("a stream broke off", exc_info=error)
                yield failure_line(error)
                return
            self.metrics.queries.labels(question.kind).inc(len(codes))
            self.metrics.neighbors.labels(question.kind).inc(n_neighbors)
            yield end_line(len(codes), n_neighbors, sorted(missing))

    async def encode(self, images: tuple[bytes, ...]) -> Codes:
        """Return the codes of image files."""
        if self._images is None:
            raise ApiError("no_model", "images need a model; start the service with --model MODEL")
        async with asyncio.timeout(self.settings.timeout_s):
            codes = await self._images.encode(images)
        self.metrics.images.inc(len(codes))
        return codes

    async def health(self) -> list[ShardState]:
        """Return the state of every shard of the current version."""
        with self._current.used() as version:
            async with asyncio.timeout(self.settings.timeout_s):
                return await version.run(version.backend.health)

    async def reload(self) -> Version:
        """Open the index anew and answer from it from now on; requests under way end on the old one."""
        if self._reopen is None:
            raise ApiError("not_reloadable", "this service was not told how to open its index anew")
        if self._reloading:
            raise ApiError("reload_running", "another reload has not ended yet")
        self._reloading = True
        try:
            old = self._current
            searcher = await old.run(self._reopen)
            try:
                new = self._version_of(searcher, old.number + 1)
                if (new.backend.n_bits, new.backend.fingerprint) != (
                    old.backend.n_bits,
                    old.backend.fingerprint,
                ):
                    raise FingerprintError(
                        _space(new.backend), _space(old.backend), what="the codes of the new index"
                    )
            except BaseException:
                await old.run(searcher.close)
                raise
            self._current = new
            self.metrics.serves(len(new.backend), new.number)
            self._keep(asyncio.create_task(old.retire()))
            return new
        finally:
            self._reloading = False

    async def settle(self) -> None:
        """Wait for what is done behind answers: plans for the metrics, versions that are to be closed."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def drain(self) -> None:
        """Take no more requests for work; those under way go on."""
        self.draining.set()

    async def close(self) -> None:
        """Wait for what is under way, then close the index."""
        self.drain()
        await self._current.retire()
        await self.settle()
        self._threads.shutdown(wait=False)
        self._image_thread.shutdown(wait=False)

    def _version_of(self, searcher: Any, number: int) -> Version:
        backend = backend_of(searcher, threads=self.settings.threads)
        if self._encoder is not None:
            check_model(
                self._encoder.n_bits,
                self._encoder.fingerprint,
                n_bits=backend.n_bits,
                fingerprint=backend.fingerprint,
            )
        return Version(
            backend,
            number,
            settings=self.settings,
            executor=self._threads,
            metrics=self.metrics,
            index=searcher if isinstance(searcher, Index) else None,
        )

    async def _codes_of(self, asked: Asked[Any], question: Question, version: Version) -> Codes:
        """Return the codes of the queries after all that can be checked without asking the index."""
        backend, wishes = version.backend, asked.wishes
        if wishes.fingerprint is not None and wishes.fingerprint != backend.fingerprint:
            raise FingerprintError(wishes.fingerprint, backend.fingerprint or "none", what="queries")
        check_question(question, self.settings, n_bits=backend.n_bits, n_codes=len(backend))
        n_queries = len(asked.images) if asked.codes is None else len(asked.codes)
        if wishes.explain and n_queries != 1:
            raise ApiError("invalid_request", f"explain: takes one query, got {n_queries}")
        if wishes.with_codes and not version.knows_codes:
            raise ApiError(
                "codes_unavailable",
                f"with_codes: the service knows the codes of up to {self.settings.code_table} neighbours, "
                f"the index has {len(backend)}",
            )
        if asked.codes is None:
            return await self.encode(asked.images)
        return wire.decode_codes(asked.codes, asked.encoding, n_bits=backend.n_bits)

    async def _check_balls(self, version: Version, question: Question, codes: Codes) -> None:
        """Refuse balls that together exceed the limit, before they take memory; small indexes have none."""
        if len(version.backend) * len(codes) <= self.settings.max_answers:
            return
        counted = await version.ask(Question("count", question.value, question.partial), codes)
        check_answers(int(counted.result.sum()), self.settings, counts=counted.result.tolist())

    async def _rows_of(
        self, version: Version, codes: Codes, found: list[tuple[Any, Ids]], wishes: Wishes
    ) -> list[Row]:
        ids = np.concatenate([one for _, one in found])
        keys: list[str | None] | None = None
        if wishes.with_keys:
            keys = await _unless_missing(version.run(version.backend.keys_of, ids), wishes)
        known: list[str] | None = None
        if wishes.with_codes:
            known = wire.hex_of(await version.run(version.codes_of, ids))
        rows, at = [], 0
        for query, (distances, one) in zip(wire.hex_of(codes), found, strict=True):
            part = slice(at, at + len(one))
            at = part.stop
            rows.append(
                Row(
                    query,
                    distances.tolist(),
                    one.tolist(),
                    None if keys is None else keys[part],
                    None if known is None else known[part],
                )
            )
        return rows

    async def _ball_lines(
        self, version: Version, query: int, code: Codes, found: tuple[Any, Ids], wishes: Wishes
    ) -> AsyncIterator[bytes]:
        distances, ids = found
        for piece in pieces(len(ids)):
            (row,) = await self._rows_of(version, code[None, :], [(distances[piece], ids[piece])], wishes)
            yield ball_line(query, ids=row.ids, distances=row.distances, keys=row.keys, codes=row.codes)

    def _sample(self, version: Version, codes: Codes, question: Question) -> None:
        """Have one query in so many explained behind its answer, for the metrics."""
        every = self.settings.explain_every
        if not every:
            return
        self._n_sampled += len(codes)
        if self._n_sampled < every:
            return
        self._n_sampled = 0
        self._keep(asyncio.create_task(self._explain(version, codes[:1].copy(), question)))

    async def _explain(self, version: Version, code: Codes, question: Question) -> list[Plan]:
        with version.used():
            return await version.explain(code, question)

    def _keep(self, task: asyncio.Task[Any]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("work behind a request failed", exc_info=error)


async def _unless_missing(work: Awaitable[Returned], wishes: Wishes) -> Returned | None:
    """Return what ``work`` returns, None where a shard is missing and a partial answer was asked for."""
    try:
        return await work
    except IncompleteError:
        if wishes.partial:
            return None
        raise


def _space(backend: Any) -> str:
    return f"{backend.fingerprint or 'none'} ({backend.n_bits} bits)"
