"""An HTTP load generator: so many clients, each asking its next question when it has an answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

# Answers that each client keeps, to be compared with the true ones afterwards.
KEPT = 50


@dataclass
class Series:
    """What the clients of one run saw: seconds of each answer, statuses, and some answers by question."""

    seconds: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)
    kept: list[tuple[int, bytes]] = field(default_factory=list)
    wall_s: float = 0.0

    def figures(self) -> dict[str, Any]:
        """Return rate and latencies; only answers with status 200 count."""
        ms = np.array(self.seconds) * 1e3
        good = self.statuses.get(200, 0)
        return {
            "answers": good,
            "per_s": round(good / self.wall_s, 1),
            **{f"p{q}_ms": round(float(np.percentile(ms, q)), 3) for q in (50, 95, 99)},
        }


def request_bytes(host: str, path: str, body: bytes) -> bytes:
    """Return a POST of JSON as it goes over the connection."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode("ascii") + body


def load(
    host: str, port: int, requests: Sequence[bytes], *, clients: int, seconds: float, warm_s: float = 0.5
) -> Series:
    """Ask ``requests`` in turn from ``clients`` connections for ``seconds``, after ``warm_s`` not counted."""
    return asyncio.run(_load((host, port), requests, clients=clients, seconds=seconds, warm_s=warm_s))


async def _load(
    address: tuple[str, int], requests: Sequence[bytes], *, clients: int, seconds: float, warm_s: float
) -> Series:
    series = Series()
    begin = time.perf_counter() + warm_s
    end = begin + seconds

    async def client(number: int) -> None:
        reader, writer = await asyncio.open_connection(*address)
        kept = 0
        at = number
        try:
            while (start := time.perf_counter()) < end:
                question = at % len(requests)
                at += clients
                writer.write(requests[question])
                status, body = await _response(reader)
                done = time.perf_counter()
                if start < begin:
                    continue
                series.seconds.append(done - start)
                series.statuses[status] = series.statuses.get(status, 0) + 1
                if status == 200 and kept < KEPT:
                    series.kept.append((question, body))
                    kept += 1
        finally:
            writer.close()

    await asyncio.gather(*(client(number) for number in range(clients)))
    series.wall_s = time.perf_counter() - begin
    return series


async def _response(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    status = int(head[9:12])
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return status, await reader.readexactly(int(value))
    raise ValueError(f"the answer has no content-length: {head[:200]!r}")
