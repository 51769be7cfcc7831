"""Requests that wait anyway are answered together: micro-batching without a delay of its own.

A call that finds a free worker starts at once. While all workers are busy, what arrives is kept, and the
next free worker takes all that asks the same, up to a limit. An idle service therefore adds nothing, and a
busy one makes larger batches the more it is asked.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass
class _Waiting(Generic[Item, Result]):
    item: Item
    weight: int
    future: asyncio.Future[Result]


class Batcher(Generic[Key, Item, Result]):
    """Collects items with equal keys into calls of ``run(key, items)``, which returns a result for each.

    At most ``workers`` calls are under way; a call has items of at most ``limit`` weight together, and at
    least one. An exception among the results is raised for its item, one that ``run`` raises for all items of
    the call. For one event loop.
    """

    def __init__(
        self,
        run: Callable[[Key, list[Item]], Awaitable[Sequence[Result | Exception]]],
        *,
        workers: int,
        limit: int,
    ) -> None:
        self._run = run
        self._free = workers
        self._limit = limit
        # Ordered by the moment at which the oldest item of a key came.
        self._queues: OrderedDict[Key, deque[_Waiting[Item, Result]]] = OrderedDict()
        self._calls: set[asyncio.Task[None]] = set()

    async def ask(self, key: Key, item: Item, *, weight: int = 1) -> Result:
        """Return the result for ``item``; whoever is cancelled while it waits costs nothing."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._queues.setdefault(key, deque()).append(_Waiting(item, weight, future))
        self._start()
        return await future

    def _start(self) -> None:
        while self._free and (batch := self._next()):
            self._free -= 1
            task = asyncio.create_task(self._answer(*batch))
            # The loop itself holds tasks weakly.
            self._calls.add(task)
            task.add_done_callback(self._calls.discard)

    def _next(self) -> tuple[Key, list[_Waiting[Item, Result]]] | None:
        """Take the next batch out of the queues, None where nothing waits."""
        while self._queues:
            key, queue = self._queues.popitem(last=False)
            batch: list[_Waiting[Item, Result]] = []
            weight = 0
            while queue and (not batch or weight + queue[0].weight <= self._limit):
                one = queue.popleft()
                if not one.future.done():
                    batch.append(one)
                    weight += one.weight
            if queue:
                # The others take their turn first.
                self._queues[key] = queue
            if batch:
                return key, batch
        return None

    async def _answer(self, key: Key, batch: list[_Waiting[Item, Result]]) -> None:
        try:
            results = await self._run(key, [one.item for one in batch])
            for one, result in zip(batch, results, strict=True):
                if one.future.done():
                    continue
                if isinstance(result, Exception):
                    one.future.set_exception(result)
                else:
                    one.future.set_result(result)
        except Exception as error:
            # The waiting requests are the ones to be told.
            for one in batch:
                if not one.future.done():
                    one.future.set_exception(error)
        finally:
            self._free += 1
            self._start()
