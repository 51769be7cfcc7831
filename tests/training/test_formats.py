"""bfloat16, memory layout and compilation: each trains the same network, up to its rounding."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from training_runs import Interrupt, N, blobs

from hashnet.errors import HashnetError
from hashnet.models import load_model
from hashnet.training import TrainConfig, train
from hashnet.training.forward import compiled

IMAGES, ROWS = blobs(), np.arange(N)
CONFIG = TrainConfig(
    n_bits=16, iterations=30, batch_size=32, stages=3, augment="shift", checkpoint_every=7, device="cpu"
)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return train(IMAGES, ROWS, CONFIG, output=tmp_path_factory.mktemp("plain") / "model")


def first_losses(result):
    return [stage["loss_relaxed"] for stage in result.metrics["stages"]][:2]


def test_channels_last_trains_the_same_network(plain, tmp_path):
    result = train(IMAGES, ROWS, replace(CONFIG, channels_last=True), output=tmp_path)
    assert first_losses(result) == pytest.approx(first_losses(plain), abs=1e-3)
    # The model on disk knows nothing of the layout.
    weights = load_model(tmp_path).network.backbone.features[3].weight
    assert weights.is_contiguous()


def test_channels_last_keeps_the_layout_of_what_passes():
    network = nn.Sequential(nn.Conv2d(3, 4, 3)).to(memory_format=torch.channels_last)
    x = torch.rand(2, 3, 8, 8).contiguous(memory_format=torch.channels_last)
    assert network(x).is_contiguous(memory_format=torch.channels_last)


def test_bfloat16_on_the_cpu_is_there_where_it_is_asked_for(plain, tmp_path):
    low = train(IMAGES, ROWS, replace(CONFIG, amp="on"), output=tmp_path / "on")
    off = train(IMAGES, ROWS, replace(CONFIG, amp="off"), output=tmp_path / "off")
    assert off.fingerprint == plain.fingerprint
    assert low.fingerprint != plain.fingerprint
    assert first_losses(low) == pytest.approx(first_losses(plain), abs=0.05)
    assert low.metrics["stages"][-1]["loss_sgn"] < 0.5 * low.metrics["stages"][0]["loss_sgn"]


@pytest.mark.parametrize("change", [{"amp": "on"}, {"channels_last": True}])
def test_an_interrupted_run_ends_at_the_codes_of_an_uninterrupted_one(tmp_path, change):
    config = replace(CONFIG, **change)
    straight = train(IMAGES, ROWS, config, output=tmp_path / "straight")
    with pytest.raises(KeyboardInterrupt):
        train(IMAGES, ROWS, config, output=tmp_path / "m", progress=Interrupt(17))
    resumed = train(IMAGES, ROWS, config, output=tmp_path / "m", resume=True)
    assert resumed.fingerprint == straight.fingerprint


@pytest.mark.parametrize("micro_batch", [5, 16, 31])
def test_micro_batches_follow_the_curve_of_the_undivided_batch(tmp_path, micro_batch):
    config = replace(
        CONFIG,
        freeze_backbone=True,
        augment=None,
        hidden=24,
        dropout=0.5,
        stages=2,
        beta_max=1.0,
        beta_final=2.0,
        iterations=40,
    )
    whole = train(IMAGES, ROWS, config, output=tmp_path / "w").metrics["stages"]
    found = train(IMAGES, ROWS, replace(config, micro_batch=micro_batch), output=tmp_path / "m")
    for expected, stage in zip(whole, found.metrics["stages"], strict=True):
        assert stage["loss_relaxed"] == pytest.approx(expected["loss_relaxed"], abs=1e-4)


@pytest.mark.slow
def test_a_compiled_network_trains_like_one_that_is_not(plain, tmp_path):
    result = train(IMAGES, ROWS, replace(CONFIG, compile=True), output=tmp_path)
    assert first_losses(result) == pytest.approx(first_losses(plain), abs=1e-3)
    assert load_model(tmp_path).fingerprint == result.fingerprint


def test_where_it_cannot_be_compiled_the_error_says_what_to_do(monkeypatch):
    from torch._dynamo.exc import TorchDynamoException

    def refuses(module):
        def call(x):
            raise TorchDynamoException("no compiler found")

        return call

    monkeypatch.setattr(torch, "compile", refuses)
    with pytest.raises(HashnetError, match=r"cannot compile.*no compiler found.*leave compile out"):
        compiled(nn.Linear(2, 2))(torch.zeros(1, 2))
