"""The processes that train one model: what each computes of a batch, and what they tell one another."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from torch import Tensor, nn

from hashnet import errors
from hashnet.errors import HashnetError

T = TypeVar("T")

Stop = Callable[[], bool]
"""Whether the training was asked to stop: asked between batches, it answers at once."""


def never() -> bool:
    """Return False: nobody asks the training to stop."""
    return False


class World(Protocol):
    """The processes of a training, of which this one has number ``rank``; every call is made by all of them.

    What they train on is the same in all: the batch of a step, and everything random in it, follow from seed
    and iteration. Each computes its ``share`` of the batch, gathers the codes of the whole batch, and takes
    the loss over all its pairs: a loss knows nothing of processes.
    """

    @property
    def rank(self) -> int:
        """The number of this process, from 0."""

    @property
    def size(self) -> int:
        """The number of processes."""

    def gather(self, x: Tensor, counts: Sequence[int]) -> Tensor:
        """Return the rows of all processes, in order of rank; that of rank r gives ``counts[r]``.

        Differentiable: the gradient of ``x`` is the sum over processes of the gradients of its rows.
        """

    def replicate(self, module: nn.Module) -> nn.Module:
        """Return ``module`` as what to call in training: backward leaves in all processes the mean gradient.

        Parameters and buffers of all processes become those of rank 0.
        """

    def exchange(self, text: str) -> list[str]:
        """Return the texts of all processes, in order of rank."""

    def any(self, flag: bool) -> bool:
        """Return whether any process has the flag."""


class SingleProcess:
    """A world of one process, which computes everything itself."""

    rank = 0
    size = 1

    def gather(self, x: Tensor, counts: Sequence[int]) -> Tensor:
        """Return ``x``."""
        return x

    def replicate(self, module: nn.Module) -> nn.Module:
        """Return ``module``."""
        return module

    def exchange(self, text: str) -> list[str]:
        """Return the text alone."""
        return [text]

    def any(self, flag: bool) -> bool:
        """Return ``flag``."""
        return flag


ALONE: World = SingleProcess()


def share(n: int, *, rank: int, size: int, unit: int = 1) -> slice:
    """Return which of ``n`` rows process ``rank`` computes; all are multiples of ``unit`` but for the end.

    Shares are contiguous, in order of rank, and differ by at most one unit.
    """
    units = -(-n // unit)
    return slice(min(units * rank // size * unit, n), min(units * (rank + 1) // size * unit, n))


def share_counts(n: int, world: World, *, unit: int = 1) -> list[int]:
    """Return the number of rows in the share of each process."""
    parts = [share(n, rank=rank, size=world.size, unit=unit) for rank in range(world.size)]
    return [part.stop - part.start for part in parts]


def of_first(world: World, module: nn.Module) -> None:
    """Give every process the buffers that ``module`` has in process 0."""
    if world.size == 1:
        return
    for buffer in module.buffers():
        rows = buffer.reshape(-1)
        counts = [len(rows), *[0] * (world.size - 1)]
        mine = rows if world.rank == 0 else rows[:0]
        buffer.copy_(world.gather(mine, counts).reshape(buffer.shape))


def together(world: World, work: Callable[[], T]) -> T:
    """Return the result of ``work``, done by every process; if it fails in one of them, all of them raise.

    Otherwise the others would wait for ever for a process that left. A process that failed raises its own
    error, the others that of the first: KeyboardInterrupt as such, an error of ours as far as its text says
    it all, anything else as HashnetError.
    """
    failed: BaseException | None = None
    result: T | None = None
    try:
        result = work()
    except (Exception, KeyboardInterrupt) as error:  # whatever it is, the others must hear of it
        failed = error
    told = world.exchange("" if failed is None else json.dumps([type(failed).__name__, str(failed)]))
    if failed is not None:
        raise failed
    for rank, text in enumerate(told):
        if text:
            kind, message = json.loads(text)
            raise _error(kind, message, rank)
    return result  # type: ignore[return-value]


def _error(kind: str, message: str, rank: int) -> BaseException:
    if kind == "KeyboardInterrupt":
        return KeyboardInterrupt()
    if kind in ("ErrorRateError", "ResumeError"):
        of_ours: type[HashnetError] = getattr(errors, kind)
        return of_ours(message)
    return HashnetError(f"worker {rank} failed: {kind}: {message}")
