"""A training that begins at a trained model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from training_runs import Interrupt, N, blobs, codes_of

from hashnet.errors import ResumeError
from hashnet.training import TrainConfig, train

IMAGES, ROWS = blobs(), np.arange(N)
FIRST = TrainConfig(n_bits=16, iterations=30, batch_size=32, stages=2, hidden=24, device="cpu")
STILL = {"lr": 1e-30, "iterations": 1, "stages": 1, "beta_max": 1.0, "augment": "none"}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    output = tmp_path_factory.mktemp("first") / "model"
    train(IMAGES, ROWS, FIRST, output=output)
    return output


def still(model, **changes):
    """Settings that begin at the model and do not move."""
    return replace(TrainConfig(n_bits=16, device="cpu", init_from=str(model), **STILL), **changes)


def same_weights(one, other, part):
    one, other = (load_file(directory / "model.safetensors") for directory in (one, other))
    names = [name for name in one if name.startswith(part)]
    return bool(names) and all(
        one[name].shape == other[name].shape and torch.allclose(one[name].float(), other[name].float())
        for name in names
    )


def test_a_training_that_does_not_move_ends_at_the_codes_of_its_start(model, tmp_path):
    train(IMAGES, ROWS, still(model), output=tmp_path / "m")
    assert np.array_equal(codes_of(tmp_path / "m", IMAGES), codes_of(model, IMAGES))


def test_what_is_left_open_is_taken_from_the_model(model, tmp_path):
    train(IMAGES, ROWS, still(model), output=tmp_path / "m")
    assert same_weights(model, tmp_path / "m", "head.hidden")


def test_of_a_model_with_other_bits_the_backbone_alone_is_taken(model, tmp_path):
    train(IMAGES, ROWS, still(model, n_bits=24), output=tmp_path / "m")
    assert same_weights(model, tmp_path / "m", "backbone.")
    assert not same_weights(model, tmp_path / "m", "head.hash_layer")


@pytest.mark.filterwarnings("ignore::hashnet.errors.CollapseWarning")
def test_of_a_model_with_another_hidden_layer_the_backbone_alone_is_taken(model, tmp_path):
    train(IMAGES, ROWS, still(model, hidden=8), output=tmp_path / "m")
    assert same_weights(model, tmp_path / "m", "backbone.")
    assert not same_weights(model, tmp_path / "m", "head.hash_layer")


def test_a_frozen_backbone_with_a_trained_head_is_not_standardised_anew(model, tmp_path):
    train(IMAGES, ROWS, still(model, freeze_backbone=True), output=tmp_path / "m")
    assert np.array_equal(codes_of(tmp_path / "m", IMAGES), codes_of(model, IMAGES))


def test_it_goes_on_learning(model, tmp_path):
    config = replace(FIRST, init_from=str(model), beta_max=2.0, beta_final=4.0)
    stages = train(IMAGES, ROWS, config, output=tmp_path).metrics["stages"]
    fresh = train(IMAGES, ROWS, replace(config, init_from=None), output=tmp_path / "f").metrics["stages"]
    assert stages[0]["loss_sgn"] < fresh[0]["loss_sgn"] - 0.1


def test_another_backbone_is_refused_naming_both(model, tmp_path):
    config = replace(FIRST, backbone="resnet18", image_size=32, init_from=str(model))
    with pytest.raises(ValueError, match="has the backbone small_cnn, got backbone resnet18"):
        train(IMAGES, ROWS, config, output=tmp_path / "m")


def test_a_start_that_is_no_model_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="is not a model directory"):
        train(IMAGES, ROWS, still(tmp_path / "none"), output=tmp_path / "m")


def test_resuming_from_another_start_is_refused(model, tmp_path):
    config = replace(FIRST, init_from=str(model), checkpoint_every=3)
    with pytest.raises(KeyboardInterrupt):
        train(IMAGES, ROWS, config, output=tmp_path / "m", progress=Interrupt(8))
    other = tmp_path / "other" / "model"
    train(IMAGES, ROWS, replace(FIRST, seed=5), output=other)
    with pytest.raises(ResumeError, match="init_from_fingerprint was"):
        train(IMAGES, ROWS, replace(config, init_from=str(other)), output=tmp_path / "m", resume=True)
