"""The average of the weights: its formula, and that it is the model that remains."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from training_runs import Interrupt, N, blobs

from hashnet.training import TrainConfig, train
from hashnet.training.averaging import WeightAverage

IMAGES, ROWS = blobs(), np.arange(N)
CONFIG = TrainConfig(
    n_bits=16, iterations=30, batch_size=32, stages=3, ema=0.9, checkpoint_every=7, device="cpu"
)


def steps(module, average, n):
    """Move the weights n times; return them after each step."""
    rng = np.random.default_rng(0)
    seen = []
    for step in range(1, n + 1):
        with torch.no_grad():
            module.weight.copy_(torch.from_numpy(rng.normal(size=(2, 3))).float())
        seen.append(module.weight.detach().clone().numpy())
        average.update(step)
    return seen


@pytest.mark.parametrize("decay", [0.5, 0.9])
def test_the_average_is_that_of_the_formula(decay):
    module = nn.Linear(3, 2)
    expected = module.weight.detach().numpy().copy()
    average = WeightAverage(module, decay=decay)
    for step, weights in enumerate(steps(module, average, 20), start=1):
        d = min(decay, (1 + step) / (10 + step))
        expected = d * expected + (1 - d) * weights
    with average.applied():
        assert np.allclose(module.weight.detach().numpy(), expected, atol=1e-6)


def test_the_own_weights_come_back_to_the_bit():
    module = nn.Linear(3, 2)
    average = WeightAverage(module, decay=0.9)
    last = steps(module, average, 5)[-1]
    with average.applied():
        assert not np.array_equal(module.weight.detach().numpy(), last)
    assert np.array_equal(module.weight.detach().numpy(), last)


def test_a_decay_of_0_keeps_and_changes_nothing():
    module = nn.Linear(3, 2)
    average = WeightAverage(module, decay=0.0)
    last = steps(module, average, 3)[-1]
    average.apply()
    assert average.state() == {}
    assert np.array_equal(module.weight.detach().numpy(), last)


def test_a_restored_average_goes_on_as_if_it_had_not_stopped():
    module, other = nn.Linear(3, 2), nn.Linear(3, 2)
    average, again = (WeightAverage(one, decay=0.9) for one in (module, other))
    steps(module, average, 4)
    again.restore({name: value.clone() for name, value in average.state().items()})
    other.load_state_dict(module.state_dict())
    for one, of in ((module, average), (other, again)):
        with torch.no_grad():
            one.weight.add_(1)
        of.update(5)
    assert torch.equal(average.state()["weight"], again.state()["weight"])


def test_the_average_becomes_the_model_and_its_figures_are_those_reported(tmp_path):
    averaged = train(IMAGES, ROWS, CONFIG, output=tmp_path / "a")
    plain = train(IMAGES, ROWS, replace(CONFIG, ema=0.0), output=tmp_path / "p")
    assert averaged.fingerprint != plain.fingerprint
    # The steps are the same, so what is before the first of them is, and what is after them is not.
    assert averaged.metrics["stages"][0] == plain.metrics["stages"][0]
    assert averaged.metrics["stages"][1] != plain.metrics["stages"][1]
    assert averaged.metrics["stages"][-1]["loss_sgn"] < averaged.metrics["stages"][0]["loss_sgn"]


def test_an_interrupted_run_ends_at_the_average_of_an_uninterrupted_one(tmp_path):
    straight = train(IMAGES, ROWS, CONFIG, output=tmp_path / "straight")
    with pytest.raises(KeyboardInterrupt):
        train(IMAGES, ROWS, CONFIG, output=tmp_path / "m", progress=Interrupt(17))
    resumed = train(IMAGES, ROWS, CONFIG, output=tmp_path / "m", resume=True)
    assert resumed.fingerprint == straight.fingerprint
