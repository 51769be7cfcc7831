"""A step on a batch that the network cannot see at once: all its pairs in the loss, a part of it in memory.

The gradient of a pairwise loss does not split into sums over parts of a batch, so gradients of parts cannot
simply be added up. But it is a chain of two: dL/dz of the whole batch, and dz/dtheta of each image. The codes
of all parts are computed first, without what backward would need; the loss and its gradient by z follow from
all of them; then each part is computed once more, and sent backward from its rows of that gradient. This is
gradient caching (Gao, Zhang, Han, Callan, "Scaling Deep Contrastive Learning Batch Size under Memory Limited
Setup", RepL4NLP 2021), and costs one forward pass more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from hashnet.training.whole_batch import BatchPart
from hashnet.training.world import World

Forward = Callable[[Tensor], Tensor]
LossOfBatch = Callable[[Tensor], Tensor]


class MicroBatches:
    """Leaves in the parameters the gradient of a batch, of which the network sees ``size`` rows at once.

    It is the gradient of the undivided batch, up to rounding: dropout leaves out the same units, since both
    passes draw the mask of the whole batch from one state of torch's generators (``whole_batch``), and
    augmentation is drawn by iteration. Batch norm that is not frozen is the exception: it normalises
    each part by the statistics of that part, in both passes alike, and its running statistics are taken from
    the first ("ghost batch norm"; Hoffer, Hubara, Soudry 2017). ``size`` None takes the batch at once.
    """

    def __init__(self, replica: nn.Module, world: World, *, size: int | None, part: BatchPart) -> None:
        self._replica, self._world, self._size, self._part = replica, world, size, part

    def backward(
        self, forward: Forward, x: Tensor, counts: Sequence[int], loss_of_batch: LossOfBatch
    ) -> Tensor:
        """Return the loss of a batch of which ``x`` is the share of this process, and go backward from it.

        ``forward`` gives z of some rows through the replica; ``counts`` are the shares of all processes, of
        whose z ``loss_of_batch`` is computed.
        """
        if self._size is None or len(x) <= self._size:
            value = loss_of_batch(self._world.gather(forward(x), counts))
            value.backward()  # type: ignore[no-untyped-call]
            return value.detach()
        chunks = [slice(at, min(at + self._size, len(x))) for at in range(0, len(x), self._size)]
        state = _generators(x.device)
        parts: list[Tensor] = []
        with torch.no_grad():
            for chunk in chunks:
                _restore(state, x.device)
                with self._part.narrowed_to(chunk):
                    parts.append(forward(x[chunk]))
        z = torch.cat(parts).requires_grad_()
        value = loss_of_batch(self._world.gather(z, counts))
        value.backward()  # type: ignore[no-untyped-call]
        if z.grad is None:
            raise ValueError("the loss does not depend on z; there is nothing to learn from")
        after = _generators(x.device)
        with _statistics_kept(self._replica):
            for number, chunk in enumerate(chunks):
                _restore(state, x.device)
                last = number == len(chunks) - 1
                with self._part.narrowed_to(chunk), nullcontext() if last else _without_sync(self._replica):
                    forward(x[chunk]).backward(z.grad[chunk])  # type: ignore[no-untyped-call]
        _restore(after, x.device)
        return value.detach()


def _without_sync(replica: nn.Module) -> AbstractContextManager[None]:
    """Have DistributedDataParallel add up gradients without exchanging them: once a step is enough."""
    no_sync: Callable[[], AbstractContextManager[None]] = getattr(replica, "no_sync", nullcontext)
    return no_sync()


@contextmanager
def _statistics_kept(module: nn.Module) -> Iterator[None]:
    """Leave running statistics alone, which the first pass has taken."""
    norms = [norm for norm in module.modules() if isinstance(norm, _BatchNorm) and norm.track_running_stats]
    for norm in norms:
        norm.track_running_stats = not norm.training
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True


def _generators(device: torch.device) -> tuple[Tensor, Tensor | None]:
    return torch.get_rng_state(), torch.cuda.get_rng_state(device) if device.type == "cuda" else None


def _restore(state: tuple[Tensor, Tensor | None], device: torch.device) -> None:
    torch.set_rng_state(state[0])
    if state[1] is not None:
        torch.cuda.set_rng_state(state[1], device)
