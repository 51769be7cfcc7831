"""One opened version of the index; requests that began with it end with it, whatever is opened meanwhile."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np

from hashnet.codes import Codes, Ids
from hashnet.index import Index, Plan, open_index

from ..gather import Answer
from .backends import Backend, Question, split_answer
from .batching import Batcher
from .code_table import CodeTable
from .metrics import Metrics
from .problems import ApiError
from .settings import ServiceSettings

Returned = TypeVar("Returned")


class Version:
    """A backend with its queue of questions and the table of its codes; closed when the last user is gone."""

    def __init__(
        self,
        backend: Backend,
        number: int,
        *,
        settings: ServiceSettings,
        executor: Executor,
        metrics: Metrics,
        index: Index | None,
    ) -> None:
        self.backend = backend
        self.number = number
        self._index = index
        self._settings = settings
        self._executor = executor
        self._metrics = metrics
        self._batcher: Batcher[Question, Codes, Answer[Any]] = Batcher(
            self._call, workers=settings.workers, limit=settings.batch_queries
        )
        self._table: CodeTable | None = None
        self._table_lock = threading.Lock()
        self._users = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def knows_codes(self) -> bool:
        """Whether codes of neighbours can be told: the index is small enough, and its codes can be read."""
        readable = self._index is not None or self.backend.path is not None
        return readable and len(self.backend) <= self._settings.code_table

    @contextmanager
    def used(self) -> Any:
        """Keep the version open within the block."""
        self._users += 1
        self._idle.clear()
        try:
            yield self
        finally:
            self._users -= 1
            if not self._users:
                self._idle.set()

    async def retire(self) -> None:
        """Close the backend when the last user is gone; no new ones may come."""
        await self._idle.wait()
        await self.run(self.backend.close)

    async def run(self, function: Callable[..., Returned], *arguments: Any) -> Returned:
        """Return what a blocking function returns, from a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, function, *arguments)

    async def ask(self, question: Question, codes: Codes) -> Answer[Any]:
        """Return the answer to ``codes``, perhaps found together with those of other requests."""
        return await self._batcher.ask(question, codes, weight=len(codes))

    async def explain(self, code: Codes, question: Question) -> list[Plan]:
        """Return the plan of one query on every shard, and count it."""
        plans = await self.run(self.backend.explain, code, question)
        self._metrics.planned(plans)
        return plans

    def codes_of(self, ids: Ids) -> Codes:
        """Return the codes of ``ids``; blocking, the first call reads all codes of the index."""
        with self._table_lock:
            if self._table is None:
                self._table = self._read_table()
        return self._table.codes_of(ids)

    def _read_table(self) -> CodeTable:
        if self._index is not None:
            return CodeTable.of(self._index)
        if self.backend.path is None:
            raise ApiError("codes_unavailable", "the codes lie in the memory of shards")
        with open_index(self.backend.path, verify=False) as index:
            return CodeTable.of(index)

    async def _call(self, question: Question, items: list[Codes]) -> Sequence[Answer[Any]]:
        sizes = [len(item) for item in items]
        codes = items[0] if len(items) == 1 else np.concatenate(items)
        began = time.perf_counter()
        answer = await self.run(self.backend.ask, question, codes)
        self._metrics.engine.labels(question.kind).observe(time.perf_counter() - began)
        self._metrics.batches.observe(len(codes))
        return [answer] if len(items) == 1 else split_answer(answer, sizes)
