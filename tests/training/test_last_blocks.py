"""Training the last blocks of a backbone: on activations kept in memory, or computed in every step."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from training_runs import Interrupt, N, blobs, codes_of

from hashnet.models import load_model
from hashnet.models.blocks import backbone_blocks
from hashnet.training import TrainConfig, train, trained_part
from hashnet.training.trained_part import LastBlocks

IMAGES, ROWS = blobs(), np.arange(N)
LAST = TrainConfig(
    n_bits=16,
    train_last_blocks=2,
    iterations=30,
    batch_size=32,
    stages=3,
    lr=3e-3,
    backbone_lr_factor=0.1,
    checkpoint_every=7,
    device="cpu",
)


@pytest.fixture(scope="module")
def last(tmp_path_factory):
    """Settings that begin at a backbone which was trained a little, with a new head."""
    start = tmp_path_factory.mktemp("start") / "model"
    first = TrainConfig(n_bits=24, iterations=20, batch_size=32, stages=1, device="cpu")
    train(IMAGES, ROWS, first, output=start)
    return replace(LAST, init_from=str(start))


def weights_of(model_dir):
    return load_file(model_dir / "model.safetensors")


class Phases(Interrupt):
    """Progress that notes the phases."""

    def __init__(self, at=None):
        super().__init__(at)
        self.seen = []

    def start(self, what, total):
        super().start(what, total)
        self.seen.append(what)


@pytest.fixture(scope="module")
def trained(last, tmp_path_factory):
    phases = Phases()
    result = train(IMAGES, ROWS, last, output=tmp_path_factory.mktemp("last") / "model", progress=phases)
    return result, phases.seen


def test_the_last_blocks_change_and_the_others_do_not(last, trained):
    before, after = load_model(last.init_from).network, weights_of(trained[0].model_dir)
    names = {id(parameter): name for name, parameter in before.backbone.named_parameters()}
    blocks = backbone_blocks("small_cnn", before.backbone)
    for number, block in enumerate(blocks):
        for parameter in block.parameters():
            same = torch.equal(parameter, after[f"backbone.{names[id(parameter)]}"])
            assert same == (number < len(blocks) - 2)


def test_statistics_of_batch_norm_change_in_the_last_blocks_alone(last, tmp_path):
    result = train(IMAGES, ROWS, replace(last, freeze_norm=False), output=tmp_path)
    before, after = load_model(last.init_from).network, weights_of(result.model_dir)
    changed = [
        not torch.equal(buffer, after[f"backbone.{name}"])
        for name, buffer in before.backbone.named_buffers()
        if name.endswith("running_mean")
    ]
    assert changed == [False, False, True, True]


def test_images_are_read_once_and_what_the_other_blocks_give_is_kept(trained):
    assert trained[1] == ["features", "train"]


def test_it_learns(trained):
    stages = trained[0].metrics["stages"]
    assert stages[-1]["loss_sgn"] < 0.5 * stages[0]["loss_sgn"]


def test_computing_in_every_step_gives_the_same_training(last, trained, tmp_path, monkeypatch):
    monkeypatch.setattr(trained_part, "CACHE_LIMIT", 0)
    phases = Phases()
    result = train(IMAGES, ROWS, last, output=tmp_path, progress=phases)
    assert phases.seen == ["read images", "train"]
    # Convolutions of batches of other sizes round otherwise, and training amplifies that.
    for kept, computed in zip(trained[0].metrics["stages"], result.metrics["stages"], strict=True):
        assert computed["loss_relaxed"] == pytest.approx(kept["loss_relaxed"], abs=2e-3)
    assert (codes_of(tmp_path, IMAGES) == codes_of(trained[0].model_dir, IMAGES)).mean() > 0.98


def test_augmented_images_pass_all_blocks_in_every_step(last, tmp_path):
    phases = Phases()
    result = train(IMAGES, ROWS, replace(last, augment="flip"), output=tmp_path, progress=phases)
    assert phases.seen == ["read images", "train"]
    stages = result.metrics["stages"]
    assert stages[-1]["loss_relaxed"] < stages[0]["loss_relaxed"]


@pytest.mark.parametrize("change", [{}, {"augment": "shift"}], ids=["kept", "computed"])
def test_an_interrupted_run_ends_at_the_codes_of_an_uninterrupted_one(last, trained, tmp_path, change):
    config = replace(last, **change)
    straight = train(IMAGES, ROWS, config, output=tmp_path / "straight") if change else trained[0]
    with pytest.raises(KeyboardInterrupt):
        train(IMAGES, ROWS, config, output=tmp_path / "m", progress=Interrupt(17))
    resumed = train(IMAGES, ROWS, config, output=tmp_path / "m", resume=True)
    assert resumed.fingerprint == straight.fingerprint


def test_all_blocks_are_the_whole_backbone(last):
    network = load_model(last.init_from).network
    part = trained_part.trained_part(network, replace(LAST, train_last_blocks=4, augment="none"), n_images=9)
    assert not part.cached
    x = torch.rand(3, 3, 8, 8)
    network.eval()
    assert torch.equal(part.module.eval()(x), network(x))


def test_frozen_norm_stays_in_evaluation_mode(last):
    network = load_model(last.init_from).network
    blocks = backbone_blocks("small_cnn", network.backbone)
    norms = [m for m in blocks[-1].modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert norms
    LastBlocks(blocks[-1:], network.head, freeze_norm=True).train()
    assert not any(norm.training for norm in norms)
    LastBlocks(blocks[-1:], network.head, freeze_norm=False).train()
    assert all(norm.training for norm in norms)


def test_a_stage_with_the_factor_0_moves_nothing(last, tmp_path):
    config = replace(last, stage_lr_factors=(0.0, 1.0, 1.0), beta_max=1.0, beta_final=1.0)
    stages = train(IMAGES, ROWS, config, output=tmp_path).metrics["stages"]
    losses = [stage["loss_relaxed"] for stage in stages]
    assert losses[0] == losses[1]
    assert losses[2] < losses[1] - 0.1
