"""One question on Ray: what the fan-out decided is sent, answers are awaited, failures are told to it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
import ray
from numpy.typing import NDArray

from hashnet.errors import DamagedError
from hashnet.results import Neighbors

from .cutting import cut, piece_rows, worth_leading
from .fanout import Fanout
from .gather import check_complete
from .pace import HedgeAfter, hedge_delay
from .replicas import Condition, Replica
from .version import Version, cause_of, reason_of
from .wire import INLINE_BYTES, RANK_BYTES, Question, Reply, pack_question, unpack_reply

Send = Callable[[Any, int], Any]
Receive = Callable[[int, int, Any], None]
Result = TypeVar("Result")
Merged_co = TypeVar("Merged_co", covariant=True)


class Merge(Protocol[Merged_co]):
    """Makes one answer of those of the shards, in the order of shards."""

    def __call__(self, parts: Any, *, n_queries: int) -> Merged_co:
        """Return the merged answer."""
        ...


@dataclass(frozen=True)
class Request:
    """A question and how it is to be asked."""

    question: Question
    timeout_s: float | None
    hedge_after_s: HedgeAfter
    partial: bool


def ask(version: Version, request: Request, merge: Merge[Result]) -> tuple[list[Result], tuple[int, ...]]:
    """Return the merged answers to the pieces of a batch, in order, and the shards that are missing in all.

    A piece is merged while others are searched. Raises IncompleteError unless partial answers are wanted.
    """
    method, queries, argument, _ = request.question
    paces = version.paces
    lanes = version.lanes()
    seconds = paces.seconds_a_query(method, argument)
    # The k-th distance of one shard bounds what the others look for; shards lead pieces in turn. Partial
    # answers may come to lack the leader's rows, and those that it ruled out would be missing too.
    may_lead = method == "search" and version.n_shards > 1 and not request.partial
    led = may_lead and worth_leading(len(queries), seconds_a_query=seconds, lanes=lanes * version.n_shards)
    rows = piece_rows(
        len(queries),
        seconds_a_query=seconds,
        lanes=lanes * version.n_shards if led else lanes,
        answer_bytes=argument * RANK_BYTES if method == "search" else 0,
    )
    pieces = cut(len(queries), rows)
    sizes = [piece.stop - piece.start for piece in pieces]
    pace = paces.of(method, argument, sizes[0])
    fanout = Fanout(
        len(pieces),
        version.n_shards,
        version.replicas,
        # One piece that is searched and one that waits for it, on each replica.
        window=2 * lanes * (version.n_shards if led else 1),
        led=led,
        hedge_s=hedge_delay(request.hedge_after_s, pace),
        deadline=None if request.timeout_s is None else time.monotonic() + request.timeout_s,
        timeout_s=request.timeout_s,
    )
    parts: list[dict[int, Any]] = [{} for _ in pieces]
    merged: dict[int, Result] = {}
    bounds: dict[int, NDArray[np.int32]] = {}
    packed: dict[tuple[int, bool], Any] = {}

    def send(actor: Any, piece: int) -> Any:
        key = piece, piece in bounds
        if key not in packed:
            data = pack_question(Question(method, queries[pieces[piece]], argument, bounds.get(piece)))
            # One copy in the object store serves every shard of a node; a few queries travel with the call.
            packed[key] = ray.put(data) if len(data) > INLINE_BYTES else data
        return actor.ask.remote(packed[key])

    def receive(piece: int, shard: int, answer: bytes | Reply) -> None:
        seconds, part = unpack_reply(answer)
        paces.note_search(method, argument, sizes[piece], seconds)
        parts[piece][shard] = part
        if led and isinstance(part, Neighbors) and len(parts[piece]) == 1:
            bounds[piece] = np.minimum(part.distances[:, -1], version.source.n_bits)
        if not fanout.whole(piece):
            return
        packed.pop((piece, False), None)
        packed.pop((piece, True), None)
        # Of a partial answer all pieces have to lack the same shards, which the end tells.
        if not request.partial:
            merged[piece] = _merged(merge, parts[piece], sizes[piece], ())
            parts[piece] = {}

    def note(piece: int, seconds: float) -> None:
        paces.note(method, argument, sizes[piece], seconds)

    stop_on_loss = not request.partial
    converse(version, fanout, send, receive, note=note, typical_s=pace.typical_s, stop_on_loss=stop_on_loss)
    missing = fanout.missing if fanout.lossy else {}
    check_complete(missing, partial=request.partial)
    if request.partial:
        merged = {piece: _merged(merge, parts[piece], sizes[piece], missing) for piece in range(len(pieces))}
    return [merged[piece] for piece in range(len(pieces))], tuple(sorted(missing))


def ask_once(version: Version, send: Callable[[Any], Any], *, timeout_s: float | None) -> list[Any]:
    """Have one replica of each shard do ``send``; return their answers, or raise IncompleteError."""
    answers: dict[int, Any] = {}
    fanout = Fanout(
        1,
        version.n_shards,
        version.replicas,
        deadline=None if timeout_s is None else time.monotonic() + timeout_s,
        timeout_s=timeout_s,
    )
    converse(
        version,
        fanout,
        lambda actor, _: send(actor),
        lambda _, shard, answer: answers.__setitem__(shard, answer),
        note=lambda _, __: None,
        typical_s=None,
        stop_on_loss=True,
    )
    check_complete(fanout.missing if fanout.lossy else {}, partial=False)
    return [answers[shard] for shard in range(version.n_shards)]


def _merged(merge: Merge[Result], parts: dict[int, Any], n: int, without: Any) -> Result:
    return merge([parts[shard] for shard in sorted(parts) if shard not in without], n_queries=n)


def converse(
    version: Version,
    fanout: Fanout,
    send: Send,
    receive: Receive,
    *,
    note: Callable[[int, float], None],
    typical_s: float | None,
    stop_on_loss: bool,
) -> None:
    """Carry a question through.

    ``send(actor, piece)`` asks one replica and returns a reference, ``receive(piece, shard, answer)`` gets
    the first answer of each task, ``note(piece, seconds)`` how long it took; ``typical_s`` is what is usual.
    With ``stop_on_loss`` it ends as soon as a shard is lost. What a replica raises about the question itself
    is raised here as it was.
    """
    pending: dict[Any, tuple[int, Replica, float]] = {}
    try:
        while True:
            now = time.monotonic()
            with version.lock:
                sends = fanout.due(now)
                wake = fanout.wake_at()
                if any(one.late for one in sends):
                    _note_late(pending, now, typical_s)
            for one in sends:
                try:
                    ref = send(version.actor(one.replica), one.piece)
                except KeyError:
                    # It was ended since it was chosen.
                    _failed(version, fanout, one.piece, one.replica, "its process was ended")
                    wake = now
                    continue
                pending[ref] = (one.piece, one.replica, now)
            if fanout.finished or (stop_on_loss and fanout.lossy):
                return
            timeout = None if wake is None else max(0.0, wake - time.monotonic())
            if not pending:
                time.sleep(0.0 if timeout is None else timeout)
                continue
            enough = min(fanout.awaited, len(pending))
            ready, _ = ray.wait(list(pending), num_returns=enough, timeout=timeout)
            for ref, answer in zip(ready, _outcomes(ready), strict=True):
                piece, replica, sent = pending.pop(ref)
                seconds = time.monotonic() - sent
                if isinstance(answer, Exception):
                    _take_out(version, fanout, piece, replica, answer)
                    continue
                if replica.condition is Condition.DAMAGED:
                    # It was found out meanwhile: this answer may come from damaged bytes.
                    _failed(version, fanout, piece, replica, replica.reason)
                    continue
                with version.lock:
                    replica.outstanding -= 1
                    replica.note(seconds)
                    note(piece, seconds)
                    first = fanout.answered(piece, replica.shard, replica.number)
                if first:
                    receive(piece, replica.shard, answer)
    finally:
        if pending:
            version.abandon({ref: replica for ref, (_, replica, _) in pending.items()})


def _outcomes(ready: list[Any]) -> list[Any]:
    """Return the answers, or the exceptions in their place."""
    # One call for all takes less than one for each.
    with contextlib.suppress(Exception):
        return ray.get(ready)
    outcomes: list[Any] = []
    for ref in ready:
        try:
            outcomes.append(ray.get(ref))
        except Exception as error:
            outcomes.append(error)
    return outcomes


def _take_out(version: Version, fanout: Fanout, piece: int, replica: Replica, error: Exception) -> None:
    cause = cause_of(error)
    about_the_replica = isinstance(cause, ray.exceptions.RayError | DamagedError) and not isinstance(
        cause, ray.exceptions.RayTaskError
    )
    if about_the_replica:
        version.take_out(replica, cause, time.monotonic())
    _failed(version, fanout, piece, replica, reason_of(cause))
    if not about_the_replica:
        raise cause from None


def _failed(version: Version, fanout: Fanout, piece: int, replica: Replica, reason: str) -> None:
    with version.lock:
        replica.outstanding -= 1
        fanout.failed(piece, replica.shard, replica.number, reason)


def _note_late(pending: dict[Any, tuple[int, Replica, float]], now: float, typical_s: float | None) -> None:
    """Remember of those who made hedging necessary how late they are."""
    if typical_s:
        for _, replica, sent in pending.values():
            if now - sent > 2.0 * typical_s:
                replica.note_slow((now - sent) / typical_s, now)
