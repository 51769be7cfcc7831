"""Micro-batches leave the gradient of the whole batch, in one process and in several."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from hashnet.losses import HashNetLoss, pair_weights
from hashnet.models import NetworkConfig, build_network, relaxed
from hashnet.training.micro_batches import MicroBatches
from hashnet.training.whole_batch import see_whole_batch
from hashnet.training.world import ALONE, share, share_counts

BETA = 3.0


def batch_for(n):
    rng = np.random.default_rng(0)
    labels = np.eye(4, dtype=np.uint8)[np.arange(n) % 4]
    labels[rng.random((n, 4)) < 0.2] = 1
    return torch.from_numpy(rng.random((n, 3, 8, 8), dtype=np.float32)), labels


def network_for(*, dropout, freeze_norm):
    generator = torch.Generator().manual_seed(3)
    network = build_network(NetworkConfig("small_cnn", 16, hidden=24), weights=None, generator=generator)
    network.freeze_norm = freeze_norm
    network.head.dropout.p = dropout
    return network


def gradients(world, n, micro, dropout=0.4, freeze_norm=True, dtype="float32"):
    """Loss, gradient of every parameter, statistics, and what the generator gives next."""
    images, labels = batch_for(n)
    network = network_for(dropout=dropout, freeze_norm=freeze_norm).to(getattr(torch, dtype))
    part = see_whole_batch(network, world, batch_size=n, micro_batch=micro)
    loss = HashNetLoss(16, weights=pair_weights(labels))
    replica = world.replicate(network)
    replica.train()
    torch.manual_seed(11)
    mine = images[share(n, rank=world.rank, size=world.size)].to(getattr(torch, dtype))
    value = MicroBatches(replica, world, size=micro, part=part).backward(
        replica,
        mine,
        share_counts(n, world),
        lambda z: loss(relaxed(z, BETA), torch.from_numpy(labels).to(z.dtype)),
    )
    found = {name: parameter.grad.numpy() for name, parameter in network.named_parameters()}
    statistics = {name: buffer.numpy().copy() for name, buffer in network.named_buffers()}
    return float(value), found, statistics, float(torch.rand(()))


def largest_difference(one, other):
    return max(np.abs(one[name] - other[name]).max() / np.abs(one[name]).max() for name in one)


@pytest.mark.parametrize("micro", [1, 4, 7, 12, 19])
@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_gradients_are_those_of_the_undivided_batch(micro, dropout):
    value, whole, _, after = gradients(ALONE, 20, None, dropout)
    found_value, found, _, found_after = gradients(ALONE, 20, micro, dropout)
    assert found_value == pytest.approx(value, abs=1e-6)
    assert largest_difference(whole, found) < 1e-5
    assert found_after == after, "the next step would draw other numbers"


def test_in_double_precision_they_agree_to_twelve_digits():
    _, whole, _, _ = gradients(ALONE, 20, None, dtype="float64")
    _, found, _, _ = gradients(ALONE, 20, 6, dtype="float64")
    assert largest_difference(whole, found) < 1e-12


def test_adding_up_the_gradients_of_parts_would_be_another_gradient():
    """The comparison above sees a loss that lost the pairs between parts."""
    _, whole, _, _ = gradients(ALONE, 20, None, 0.0)
    images, labels = batch_for(20)
    network = network_for(dropout=0.0, freeze_norm=True)
    loss = HashNetLoss(16, weights=pair_weights(labels))
    network.train()
    for part in (slice(0, 10), slice(10, 20)):
        (loss(relaxed(network(images[part]), BETA), torch.from_numpy(labels[part]).float()) / 2).backward()
    summed = {name: parameter.grad.numpy() for name, parameter in network.named_parameters()}
    assert largest_difference(whole, summed) > 1e-2


def test_batch_norm_normalises_each_part_by_itself_and_counts_it_once():
    n, micro = 20, 8
    images, labels = batch_for(n)
    network = network_for(dropout=0.0, freeze_norm=False)
    network.train()
    z = torch.cat([network(images[at : at + micro]) for at in range(0, n, micro)])
    loss = HashNetLoss(16, weights=pair_weights(labels))
    loss(relaxed(z, BETA), torch.from_numpy(labels).float()).backward()
    expected = {name: parameter.grad.numpy() for name, parameter in network.named_parameters()}
    _, found, statistics, _ = gradients(ALONE, n, micro, 0.0, False)
    # Gradients of biases before a batch norm vanish; there are none in this network.
    assert largest_difference(expected, found) < 1e-5
    for name, buffer in network.named_buffers():
        assert np.abs(statistics[name] - buffer.numpy()).max() < 1e-6, name


@pytest.mark.parametrize(("n", "micro", "size"), [(20, 4, 2), (21, 4, 2), (17, 8, 2), (20, 3, 3)])
def test_several_processes_with_micro_batches_leave_the_gradient_of_one_without(gang, n, micro, size):
    value, whole, _, after = gradients(ALONE, n, None)
    for found_value, found, _, found_after in gang(__file__, "gradients", n, micro, n=size):
        assert found_value == pytest.approx(value, abs=1e-6)
        assert largest_difference(whole, found) < 1e-5
        assert found_after == after


def test_several_processes_with_micro_batches_and_batch_norm_are_refused():
    class Two:
        rank, size = 0, 2

    network = network_for(dropout=0.0, freeze_norm=False)
    with pytest.raises(ValueError, match=r"micro_batch 4 and 2 workers with batch norm.*set freeze_norm"):
        see_whole_batch(network, Two(), batch_size=8, micro_batch=4)


def test_less_is_kept_in_memory_for_backward_at_a_time():
    """What micro-batches are for: the widest batch that passes forward with a graph is a micro-batch."""
    widths = []

    class Watched(nn.Linear):
        def forward(self, x):
            if torch.is_grad_enabled():
                widths.append(len(x))
            return super().forward(x)

    module = nn.Sequential(Watched(3, 16))
    part = see_whole_batch(module, ALONE, batch_size=10, micro_batch=4)
    MicroBatches(module, ALONE, size=4, part=part).backward(
        module, torch.ones(10, 3), [10], lambda z: z.square().sum()
    )
    assert widths == [4, 4, 2]
