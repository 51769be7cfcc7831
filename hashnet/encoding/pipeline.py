"""Compute batches in a few threads, each alone on its core, while only so many of them are in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from threading import BoundedSemaphore, Lock
from types import TracebackType
from typing import Generic, Self, TypeVar

import torch

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Started(Generic[_Result]):
    """What ``Pipeline.start`` has under way; ``results`` waits for it."""

    def __init__(
        self, futures: list[Future[_Result]], told: int, done: Callable[[_Result], None] | None
    ) -> None:
        self._futures = futures
        self._told = told
        self._done = done

    def results(self) -> list[_Result]:
        """Return the results in the order of the items, or raise what one of them raised; for one call."""
        results = []
        for number, future in enumerate(self._futures):
            results.append(future.result())
            if self._done is not None and number >= self._told:
                self._done(results[-1])
        return results


class Pipeline:
    """Threads that compute what is started, in order; operations inside of each use a single thread.

    Several calls of ``start`` may be under way, from several threads: the next one begins to take its items
    when the one before has taken all of its own, so that no thread waits between the two. At most
    ``2 * threads + 1`` items are held at a time, and ``start`` waits while there are so many.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="encode")
        self._slots = BoundedSemaphore(2 * threads + 1)
        self._turn = Lock()
        self._before = torch.get_num_threads()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Finish what is being computed, drop what waits, and give torch its number of threads back."""
        self._pool.shutdown(cancel_futures=True)
        # A part of the setting (that of MKL) belongs to the process.
        torch.set_num_threads(self._before)

    def start(
        self,
        function: Callable[[_Item], _Result],
        items: Iterable[_Item],
        *,
        done: Callable[[_Result], None] | None = None,
        in_turn: bool = True,
    ) -> Started[_Result]:
        """Take all items and have ``function`` computed of each; return when the last was handed out.

        ``done`` is called with each result, in order, here and in ``Started.results``. What taking an item
        raises is raised; so is what ``function`` raised so far, and the rest is dropped. Not ``in_turn``,
        it takes its items beside other calls instead of after them.
        """
        futures: list[Future[_Result]] = []
        told = 0
        with self._turn if in_turn else nullcontext():
            try:
                for item in items:
                    self._slots.acquire()
                    futures.append(self._submit(function, item))
                    while told < len(futures) and futures[told].done():
                        result = futures[told].result()
                        told += 1
                        if done is not None:
                            done(result)
            except BaseException:
                for future in futures:
                    future.cancel()
                raise
        return Started(futures, told, done)

    def _submit(self, function: Callable[[_Item], _Result], item: _Item) -> Future[_Result]:
        try:
            future = self._pool.submit(_alone, function, item)
        except BaseException:
            self._slots.release()
            raise
        future.add_done_callback(lambda _: self._slots.release())
        return future


def _alone(function: Callable[[_Item], _Result], item: _Item) -> _Result:
    # The setting belongs to the thread, and the pool's threads are new.
    if torch.get_num_threads() != 1:
        torch.set_num_threads(1)
    return function(item)
