"""A world of several processes over torch.distributed (gloo on CPUs, NCCL on GPUs)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


class ProcessGroup:
    """The processes of a ``torch.distributed`` group (default: all), each on its ``device``."""

    def __init__(self, device: torch.device, group: dist.ProcessGroup | None = None) -> None:
        self._device = device
        self._group = group

    @property
    def rank(self) -> int:
        """The number of this process in the group."""
        return dist.get_rank(self._group)

    @property
    def size(self) -> int:
        """The number of processes in the group."""
        return dist.get_world_size(self._group)

    def gather(self, x: Tensor, counts: Sequence[int]) -> Tensor:
        """Return the rows of all processes; the gradient of ``x`` sums those of all processes.

        Why this gives the gradient of one process with the whole batch. Let L_q be the loss as process q
        computes it, from the gathered codes G = (g_0, ..., g_{N-1}); all L_q have the same value L. The
        adjoint of gathering sends to process r the sum over q of dL_q/dg_r = N dL/dg_r. Backward through the
        network there gives N (dg_r/dtheta)^T dL/dg_r, of which DDP takes the mean over r:
        1/N sum_r N (dg_r/dtheta)^T dL/dg_r = dL/dtheta. No factor is missing, and none depends on how many
        rows each process has. The same holds with other gathered values inside the network (the statistics of
        batch norm), because sums over processes are adjoint to gathering wherever it happens: what DDP
        descends is the mean of the L_q, as a function of one theta.
        """
        gathered: Tensor = _Gather.apply(x, list(counts), self._group)  # type: ignore[no-untyped-call]
        return gathered

    def replicate(self, module: nn.Module) -> nn.Module:
        """Return ``module`` under DistributedDataParallel."""
        # Buffers are computed alike everywhere; sending them in every step would be for nothing.
        # Gradients lie where they are summed, which saves a copy of all of them in every step.
        return DistributedDataParallel(
            module, process_group=self._group, broadcast_buffers=False, gradient_as_bucket_view=True
        )

    def exchange(self, text: str) -> list[str]:
        """Return the texts of all processes, sent as bytes."""
        data = torch.tensor(list(text.encode()), dtype=torch.uint8, device=self._device)
        lengths = _all_gather(torch.tensor([len(data)], device=self._device), [1] * self.size, self._group)
        counts = [int(length) for length in lengths]
        everything = bytes(_all_gather(data, counts, self._group).cpu().tolist())
        starts = [sum(counts[:rank]) for rank in range(self.size)]
        return [everything[at : at + n].decode() for at, n in zip(starts, counts, strict=True)]

    def any(self, flag: bool) -> bool:
        """Return whether any process has the flag."""
        flags = torch.tensor([int(flag)], device=self._device)
        dist.all_reduce(flags, op=dist.ReduceOp.MAX, group=self._group)
        return bool(flags.item())


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, counts: list[int], group: dist.ProcessGroup | None) -> Tensor:
        ctx.counts, ctx.group = counts, group
        return _all_gather(x, counts, group)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        total = gradients[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total, group=ctx.group)
        rank = dist.get_rank(ctx.group)
        start = sum(ctx.counts[:rank])
        return total[start : start + ctx.counts[rank]], None, None


def _all_gather(x: Tensor, counts: list[int], group: dist.ProcessGroup | None) -> Tensor:
    """Return the rows of all processes; collectives want equal parts, so shorter ones are padded."""
    widest = max(counts)
    if widest == 0:
        return x
    sent = x.contiguous()
    if len(x) < widest:
        sent = torch.cat([sent, sent.new_zeros((widest - len(x), *x.shape[1:]))])
    gathered = x.new_empty((len(counts) * widest, *x.shape[1:]))
    dist.all_gather_into_tensor(gathered, sent, group=group)
    if min(counts) == widest:
        return gathered
    return torch.cat([gathered[r * widest : r * widest + count] for r, count in enumerate(counts)])
