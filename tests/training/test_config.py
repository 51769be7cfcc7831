"""Settings: defaults that run, and refusals that name value and rule."""

from __future__ import annotations

import pytest

from hashnet.losses import OBJECTIVES, LossSettings
from hashnet.models import BACKBONES
from hashnet.training import TrainConfig


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("freeze", [True, False])
@pytest.mark.parametrize("method", OBJECTIVES)
def test_nothing_that_the_method_takes_is_left_open_once_resolved(backbone, freeze, method):
    config = TrainConfig(backbone=backbone, freeze_backbone=freeze, method=method)
    config = config.resolved(image_side=32, n_images=100)
    others = set(LossSettings.names()) - set(OBJECTIVES[method].takes())
    left = {name for name in TrainConfig.names() if getattr(config, name) is None}
    off = {"weights", "init_from", "train_last_blocks", "micro_batch", "tensorboard", "stage_lr_factors"}
    assert left == off | others


def test_what_is_given_is_kept():
    config = TrainConfig(lr=0.5, iterations=7, batch_size=9, hidden=0).resolved(image_side=8, n_images=100)
    assert (config.lr, config.iterations, config.batch_size, config.hidden) == (0.5, 7, 9, 0)


def test_a_frozen_linear_head_has_no_dropout():
    config = TrainConfig(backbone="resnet18", freeze_backbone=True, hidden=0)
    assert config.resolved(image_side=8, n_images=100).dropout == 0


def test_alpha_is_ten_over_n_bits():
    assert TrainConfig(n_bits=40).resolved(image_side=8, n_images=100).alpha == 0.25


@pytest.mark.parametrize(("side", "size"), [(4, 8), (28, 28), (500, 64)])
def test_the_small_cnn_takes_the_size_of_the_images_from_8_to_64(side, size):
    assert TrainConfig().resolved(image_side=side, n_images=100).image_size == size


def test_resolving_twice_changes_nothing():
    config = TrainConfig().resolved(image_side=8, n_images=100)
    assert config.resolved(image_side=99, n_images=7) == config


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"backbone": "resnet"}, "alexnet"),
        ({"n_bits": 12}, "multiple of 8"),
        ({"stages": 0}, "stages must be >= 1, got 0"),
        ({"batch_size": 1}, "batch_size must be >= 2"),
        ({"lr": 0.0}, "lr must be positive"),
        ({"lr": float("nan")}, "lr must be positive"),
        ({"beta_max": 0.5}, "beta must grow"),
        ({"dropout": 1.5}, "dropout must be from 0 to 1"),
        ({"augment": "mixup"}, "augment must be none, shift or flip"),
        ({"optimizer": "lbfgs"}, "adam or sgd"),
        ({"freeze_backbone": True, "augment": "flip"}, "features are computed once"),
        ({"backbone": "alexnet", "image_size": 32}, "image_size must be >= 63"),
        ({"dropout": 0.5, "hidden": 0}, "needs a hidden layer"),
        ({"seed": -1}, "seed must be >= 0"),
        ({"micro_batch": 0}, "micro_batch must be >= 1"),
        ({"ema": 1.0}, "ema must be from 0 to below 1, got 1.0"),
        ({"validation": 1.0}, "validation must be from 0 to below 1"),
        ({"patience": 2}, "patience 2 needs images to validate on"),
        ({"train_last_blocks": 5}, "train_last_blocks must be from 1 to 4, got 5"),
        ({"train_last_blocks": 1, "freeze_backbone": True}, "freeze_backbone trains no block"),
        ({"init_from": "m", "weights": "w.pth"}, "leave one of them out"),
        ({"stages": 2, "stage_lr_factors": (1.0,)}, "2 finite numbers"),
        ({"stages": 1, "stage_lr_factors": (-1.0,)}, "1 finite numbers"),
        ({"amp": "bf16"}, "amp must be auto, on or off"),
        ({"data_workers": -1}, "data_workers must be >= 0"),
        ({"method": "hashnett"}, "method must be one of .*hashnet-w"),
        ({"alpha": 0.0}, "alpha must be positive"),
        ({"method": "hashnet", "quantization": 0.5}, "is no setting of hashnet, which takes alpha, margin"),
    ],
)
def test_a_wrong_setting_is_refused_with_value_and_rule(settings, rule):
    with pytest.raises(ValueError, match=rule):
        TrainConfig(**settings)


def test_where_a_run_is_made_is_no_part_of_its_identity():
    elsewhere = TrainConfig(device="cpu", checkpoint_every=3, data_workers=1, tensorboard="runs")
    assert elsewhere.identity() == TrainConfig().identity()


def test_every_other_setting_is_part_of_the_identity():
    missing = set(TrainConfig.names()) - set(TrainConfig().identity())
    assert missing == {"device", "checkpoint_every", "data_workers", "tensorboard"}


@pytest.mark.parametrize(("side", "size"), [(32, 64), (64, 128), (300, 224)])
def test_small_images_are_enlarged_to_twice_their_side_at_most(side, size):
    config = TrainConfig(backbone="mobilenet_v2", freeze_backbone=True)
    assert config.resolved(image_side=side, n_images=100).image_size == size
