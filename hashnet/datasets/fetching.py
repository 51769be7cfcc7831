"""Fetch rows from object storage some ahead of where they are read, in their order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from hashnet.datasets.entries import Entry

# Each request waits for the network most of its time.
REQUESTS_AT_ONCE = 16


def fetched(rows: Iterable[Entry | Callable[[], Entry]]) -> Iterator[Entry]:
    """Yield the entries in order; those that are calls are made in threads, ``REQUESTS_AT_ONCE`` at a time.

    At most one more than these are in memory. What a call raises is raised at its row.
    """
    pool: ThreadPoolExecutor | None = None
    waiting: deque[Entry | Future[Entry]] = deque()
    try:
        for row in rows:
            if isinstance(row, Entry):
                waiting.append(row)
            else:
                pool = pool or ThreadPoolExecutor(REQUESTS_AT_ONCE, thread_name_prefix="fetch")
                waiting.append(pool.submit(row))
            if len(waiting) > REQUESTS_AT_ONCE:
                yield _done(waiting.popleft())
        while waiting:
            yield _done(waiting.popleft())
    finally:
        if pool is not None:
            pool.shutdown(cancel_futures=True)


def _done(entry: Entry | Future[Entry]) -> Entry:
    return entry.result() if isinstance(entry, Future) else entry
