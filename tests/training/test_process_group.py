"""Several processes see one batch: what they gather, and the gradients that come back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from hashnet.errors import ErrorRateError, HashnetError
from hashnet.losses import HashNetLoss, pair_weights
from hashnet.models import NetworkConfig, build_network, relaxed
from hashnet.training.whole_batch import WholeBatchNorm2d, see_whole_batch
from hashnet.training.world import ALONE, share, share_counts, together

SETTINGS = {
    "weighted": {},
    "without weights": {"weighted": False},
    "without Jaccard": {"use_jaccard": False},
    "large alpha": {"alpha": 2.0},
}


def part_of(world, n):
    return share(n, rank=world.rank, size=world.size)


def gathered(world, counts):
    x = torch.full((counts[world.rank], 2), float(world.rank))
    return world.gather(x, counts).tolist()


@pytest.mark.parametrize("counts", [[2, 2], [3, 1], [0, 2], [2, 0, 1], [0, 0]])
def test_gathering_returns_the_rows_of_all_processes_in_order(gang, counts):
    expected = [[float(rank)] * 2 for rank, count in enumerate(counts) for _ in range(count)]
    assert gang(__file__, "gathered", counts, n=len(counts)) == [expected] * len(counts)


def gradient_of_gathered(world, counts):
    x = torch.zeros((counts[world.rank], 1), requires_grad=True)
    everything = world.gather(x, counts)
    # Process q weighs row i with (i + 1) (q + 1).
    weights = torch.arange(1.0, sum(counts) + 1)[:, None] * (world.rank + 1)
    (everything * weights).sum().backward()
    return x.grad.flatten().tolist()


def test_the_gradient_of_gathering_sums_over_processes(gang):
    assert gang(__file__, "gradient_of_gathered", [2, 1], n=2) == [[3.0, 6.0], [9.0]]


def told(world):
    return world.exchange("" if world.rank == 1 else f"ä{world.rank}" * 3), world.any(world.rank == 1)


def test_texts_and_flags_reach_all_processes(gang):
    assert gang(__file__, "told", n=3) == [(["ä0ä0ä0", "", "ä2ä2ä2"], True)] * 3


def batch_for(n, *, seed=0):
    """Images and multi-hot labels of which some are shared."""
    rng = np.random.default_rng(seed)
    labels = np.eye(4, dtype=np.uint8)[np.arange(n) % 4]
    labels[rng.random((n, 4)) < 0.2] = 1
    return torch.from_numpy(rng.random((n, 3, 8, 8), dtype=np.float32)), labels


def gradients(world, n, settings, dtype, freeze_norm=False):
    """The loss of a batch of n and the gradient of every parameter, computed in shares."""
    settings = dict(settings)
    images, labels = batch_for(n)
    generator = torch.Generator().manual_seed(3)
    network = build_network(NetworkConfig("small_cnn", 16, hidden=24), weights=None, generator=generator)
    network.freeze_norm = freeze_norm
    network.head.dropout.p = 0.3
    network.to(getattr(torch, dtype))
    see_whole_batch(network, world, batch_size=n)
    weights = pair_weights(labels) if settings.pop("weighted", True) else None
    loss = HashNetLoss(16, weights=weights, **settings)
    replica = world.replicate(network)
    replica.train()
    torch.manual_seed(11)
    mine = images[part_of(world, n)].to(getattr(torch, dtype))
    z = world.gather(replica(mine), share_counts(n, world))
    value = loss(relaxed(z, 4.0), torch.from_numpy(labels).to(z.dtype))
    value.backward()
    found = {name: parameter.grad.numpy() for name, parameter in network.named_parameters()}
    statistics = {name: buffer.numpy().copy() for name, buffer in network.named_buffers()}
    return float(value.detach()), found, statistics


def differences(one, other):
    """The largest difference of each array, over its largest value or 1e-3, whichever is larger."""
    return {name: np.abs(one[name] - other[name]).max() / max(np.abs(one[name]).max(), 1e-3) for name in one}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize(("n", "size"), [(16, 2), (15, 2), (13, 3)])
def test_gradients_are_those_of_one_process_with_the_whole_batch(gang, settings, n, size):
    value, alone, statistics = gradients(ALONE, n, settings, "float32")
    for loss, found, seen in gang(__file__, "gradients", n, settings, "float32", n=size):
        assert loss == pytest.approx(value, abs=1e-6)
        assert max(np.abs(found[name] - alone[name]).max() for name in alone) < 1e-6
        assert max(np.abs(seen[name] - statistics[name]).max() for name in statistics) < 1e-6


@pytest.mark.parametrize("freeze_norm", [False, True])
def test_in_double_precision_gradients_agree_to_ten_digits(gang, freeze_norm):
    _, alone, _ = gradients(ALONE, 14, {}, "float64", freeze_norm)
    for _, found, _ in gang(__file__, "gradients", 14, {}, "float64", freeze_norm, n=3):
        assert max(differences(alone, found).values()) < 1e-10


def test_without_the_whole_batch_norm_would_give_other_gradients(gang):
    """The comparison above sees a wrong batch norm."""
    _, alone, _ = gradients(ALONE, 14, {}, "float64")
    _, frozen, _ = gradients(ALONE, 14, {}, "float64", True)
    assert max(differences(alone, frozen).values()) > 1e-2


def normalised(world, dtype, whole):
    """A batch far from 0 normalised in shares: values, gradients of input and weights, statistics."""
    rng = np.random.default_rng(5)
    n, channels = 13, 3
    x = torch.from_numpy(rng.normal(200.0, 1.0, (n, channels, 5, 7)) * [[[[1.0]], [[3.0]], [[0.1]]]])
    dy = torch.from_numpy(rng.normal(size=x.shape))
    x, dy = (each[part_of(world, n)].to(getattr(torch, dtype)).requires_grad_() for each in (x, dy))
    norm = nn.BatchNorm2d(channels).to(x.dtype)
    with torch.no_grad():
        norm.weight += torch.arange(channels)
        norm.bias -= 1
    if whole:
        norm = WholeBatchNorm2d(norm, world, n)
    norm.train()
    y = norm(x)
    y.backward(dy)
    per_row = np.concatenate([y.detach().numpy(), x.grad.numpy()], axis=1)
    per_channel = np.stack([norm.weight.grad.numpy(), norm.bias.grad.numpy()])
    return per_row, per_channel, np.stack([norm.running_mean.numpy(), norm.running_var.numpy()])


def test_far_from_zero_batch_norm_in_shares_is_as_exact_as_in_one_process(gang):
    rows, sums, statistics = normalised(ALONE, "float64", False)
    native = normalised(ALONE, "float32", False)
    answers = gang(__file__, "normalised", "float32", True, n=3)
    found = (
        np.concatenate([rows for rows, _, _ in answers]),
        np.sum([sums for _, sums, _ in answers], axis=0),
        answers[1][2],
    )
    for name, exact, one, several in zip("ysr", (rows, sums, statistics), native, found, strict=True):
        error, of_native = np.abs(several - exact).max(), np.abs(one - exact).max()
        assert error <= 3 * of_native, name
    double = gang(__file__, "normalised", "float64", True, n=2)
    assert np.abs(np.concatenate([rows for rows, _, _ in double]) - rows).max() < 1e-9


@pytest.mark.parametrize("layer", [nn.BatchNorm1d(3), nn.Dropout2d(), nn.AlphaDropout(), nn.RReLU()])
def test_a_layer_that_would_silently_act_on_a_share_is_refused(layer):
    class Two:
        rank, size = 0, 2

    with pytest.raises(ValueError, match=f"{type(layer).__name__} layer.*train with one worker"):
        see_whole_batch(nn.Sequential(nn.Sequential(layer)), Two(), batch_size=4)
    see_whole_batch(nn.Sequential(nn.Sequential(layer)), ALONE, batch_size=4)


def work_that_fails(world, failing, kind):
    def work():
        if world.rank in failing:
            raise {"rate": ErrorRateError, "os": OSError, "stop": KeyboardInterrupt}[kind]("no room")
        return "done"

    try:
        return together(world, work)
    except (Exception, KeyboardInterrupt) as error:
        return type(error).__name__, str(error)


def test_where_one_process_fails_all_raise(gang):
    told_by_first = ("HashnetError", "worker 1 failed: OSError: no room")
    assert gang(__file__, "work_that_fails", [1], "os", n=3) == [
        told_by_first,
        ("OSError", "no room"),
        told_by_first,
    ]


def test_errors_of_ours_and_interrupts_keep_their_kind(gang):
    assert gang(__file__, "work_that_fails", [0], "rate", n=2) == [("ErrorRateError", "no room")] * 2
    assert gang(__file__, "work_that_fails", [1], "stop", n=2)[0] == ("KeyboardInterrupt", "")


def test_without_failure_all_have_their_result(gang):
    assert gang(__file__, "work_that_fails", [], "os", n=2) == ["done", "done"]


@pytest.mark.parametrize(("n", "size", "unit"), [(10, 3, 1), (130, 4, 64), (5, 2, 64), (0, 2, 1), (7, 7, 1)])
def test_shares_cover_all_rows_once_in_order_and_differ_by_a_unit(n, size, unit):
    parts = [share(n, rank=rank, size=size, unit=unit) for rank in range(size)]
    rows = [row for part in parts for row in range(n)[part]]
    assert rows == list(range(n))
    lengths = [-(-(part.stop - part.start) // unit) for part in parts]
    assert max(lengths) - min(lengths) <= 1
    assert all(part.start % unit == 0 or part.start == n for part in parts)


def test_an_error_in_one_process_alone_is_its_own():
    def fails():
        raise HashnetError("why")

    with pytest.raises(HashnetError, match=r"^why$"):
        together(ALONE, fails)
