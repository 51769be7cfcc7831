"""Layers that see the whole batch although each process has only a share of it.

Batch norm takes statistics over the batch, and dropout draws from the generator in the order of its rows: on
a share both would silently give another training, which depends on the number of processes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from hashnet.training.world import World, share, share_counts


class WholeBatchNorm2d(nn.BatchNorm2d):
    """Batch norm with the statistics of the whole batch, on any device, in float32 or more.

    Means and variances of the shares are gathered and combined (Chan, Golub, LeVeque 1979), which loses no
    digits where the mean is large. torch's SyncBatchNorm computes the same on GPUs only.
    """

    def __init__(self, like: nn.BatchNorm2d, world: World, batch_size: int) -> None:
        super().__init__(like.num_features, eps=like.eps, momentum=like.momentum, affine=like.affine)
        # The very tensors: an optimizer or a checkpoint may hold them already.
        self.weight, self.bias = like.weight, like.bias
        self.running_mean, self.running_var = like.running_mean, like.running_var
        self.num_batches_tracked = like.num_batches_tracked
        self._shares = _Shares(world, batch_size)
        self.train(like.training)

    def forward(self, x: Tensor) -> Tensor:
        """Return a share ``(n, channels, h, w)`` of the batch, normalised as part of it."""
        if not self.training:
            return super().forward(x)
        with torch.autocast(x.device.type, enabled=False):
            whole = x if x.dtype == torch.float64 else x.float()
            mean, var = self._shares.statistics(whole.detach())
            count = self._shares.count(whole)
            self._track(mean, var, count)
            y: Tensor = _Normalise.apply(  # type: ignore[no-untyped-call]
                whole, self.weight, self.bias, _Moments(mean, var, self.eps, self._shares)
            )
        return y.to(x.dtype)

    def _track(self, mean: Tensor, var: Tensor, n: int) -> None:
        if self.num_batches_tracked is None or self.running_mean is None or self.running_var is None:
            return
        self.num_batches_tracked += 1
        momentum = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(var * (n / max(n - 1, 1)), momentum)


class _Shares:
    """What the processes of a world know together of a batch; every call is made by all of them."""

    def __init__(self, world: World, batch_size: int) -> None:
        self._world, self._batch_size = world, batch_size
        self._ones = [1] * world.size
        self._weights = [count / batch_size for count in share_counts(batch_size, world)]

    def count(self, x: Tensor) -> int:
        """Return how many values a channel has in the whole batch, of which ``x`` is a share."""
        return self._batch_size * x.shape[2] * x.shape[3]

    def statistics(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and variance (with divisor n) of each channel over the whole batch."""
        if x.device.type == "cpu":
            # Five times as fast as var_mean over three dimensions, and the first half of torch's batch norm.
            mean, var = torch.ops.aten.batch_norm_update_stats(x, None, None, 0.0)
        else:
            var, mean = torch.var_mean(x, dim=(0, 2, 3), correction=0)
        of_all = self._world.gather(torch.stack([mean, var])[None], self._ones)
        weights = of_all.new_tensor(self._weights)[:, None]
        means, variances = of_all[:, 0], of_all[:, 1]
        mean = (weights * means).sum(dim=0)
        return mean, (weights * (variances + (means - mean) ** 2)).sum(dim=0)

    def total(self, x: Tensor) -> Tensor:
        """Return the sum of what all processes give."""
        return self._world.gather(x[None], self._ones).sum(dim=0)


class _Moments(NamedTuple):
    mean: Tensor
    var: Tensor
    eps: float
    shares: _Shares


class _Normalise(torch.autograd.Function):
    """``(x - mean) / sqrt(var + eps) * weight + bias``, where mean and variance are those of the whole batch.

    Both depend on the shares of all processes. With u = (x - mean) / sqrt(var + eps), and sums over all n
    values of a channel, the gradient is weight / sqrt(var + eps) * (dy - sum(dy) / n - u sum(dy u) / n). Its
    first term and the sums of one share are what torch's batch norm gives back when its statistics are
    constants, in one pass; the other two are again a batch norm of x, with other weights.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, moments: _Moments) -> Tensor:
        mean, var, eps, shares = moments
        ctx.save_for_backward(x, weight, mean, var)
        ctx.eps, ctx.shares = eps, shares
        return functional.batch_norm(x, mean, var, weight, bias, training=False, eps=eps)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, var = ctx.saved_tensors
        eps, shares = ctx.eps, ctx.shares
        dx, of_weight, of_bias = torch.ops.aten.native_batch_norm_backward(
            gradients[0].contiguous(), x, weight, mean, var, None, None, False, eps, [True, True, True]
        )
        if ctx.needs_input_grad[0]:
            sums = shares.total(torch.stack([of_weight, of_bias]))
            scaled = sums * (weight * torch.rsqrt(var + eps) / shares.count(x))
            dx -= functional.batch_norm(x, mean, var, scaled[0], scaled[1], training=False, eps=eps)
        return dx, of_weight, of_bias, None


class BatchPart:
    """Which rows of the whole batch pass through the network at the moment: the share, or a part of it."""

    def __init__(self, world: World, batch_size: int) -> None:
        self.batch_size = batch_size
        self._share = share(batch_size, rank=world.rank, size=world.size)
        self.rows = self._share

    @contextmanager
    def narrowed_to(self, chunk: slice) -> Iterator[None]:
        """Have only the rows ``chunk`` of the share pass."""
        self.rows = slice(self._share.start + chunk.start, self._share.start + chunk.stop)
        try:
            yield
        finally:
            self.rows = self._share


class WholeBatchDropout(nn.Dropout):
    """Dropout whose mask is drawn for the whole batch, alike in every process, and cut to what passes."""

    def __init__(self, like: nn.Dropout, part: BatchPart) -> None:
        super().__init__(like.p)
        self._part = part
        self.train(like.training)

    def forward(self, x: Tensor) -> Tensor:
        """Return some rows ``(n, ...)`` of the batch, with units left out as in the whole batch."""
        if not self.training or not self.p:
            return x
        # The call that one process would make, on ones: it draws the same numbers, whatever draws them.
        mask = functional.dropout(x.new_ones((self._part.batch_size, *x.shape[1:])), self.p, training=True)
        return x * mask[self._part.rows]


def see_whole_batch(
    module: nn.Module, world: World, *, batch_size: int, micro_batch: int | None = None
) -> BatchPart:
    """Replace, inside ``module``, the layers whose result depends on which rows share a batch.

    One process that sees its batch at once needs nothing replaced. Raises ValueError for a layer that would
    silently train otherwise than in one process.
    """
    part = BatchPart(world, batch_size)
    divided = micro_batch is not None and micro_batch < batch_size
    if world.size > 1 and divided:
        module.train()
        if any(isinstance(norm, _BatchNorm) and norm.training for norm in module.modules()):
            raise ValueError(
                f"micro_batch {micro_batch} and {world.size} workers with batch norm would each normalise by "
                "other rows; set freeze_norm, or leave micro_batch out and take more workers"
            )
    if world.size > 1 or divided:
        _replace(module, world, part)
    return part


def _replace(module: nn.Module, world: World, part: BatchPart) -> None:
    for name, child in list(module.named_children()):
        if isinstance(child, _BatchNorm) and world.size == 1:
            continue  # it normalises what it sees
        if type(child) is nn.BatchNorm2d and child.affine:
            setattr(module, name, WholeBatchNorm2d(child, world, part.batch_size))
        elif type(child) is nn.Dropout:
            setattr(module, name, WholeBatchDropout(child, part))
        elif isinstance(child, (_BatchNorm, _DropoutNd, nn.RReLU)):
            raise ValueError(
                f"a {type(child).__name__} layer acts on the rows of one worker as if they were the batch, "
                f"and {world.size} workers would train another model than one; train with one worker, or "
                "without the layer"
            )
        else:
            _replace(child, world, part)
