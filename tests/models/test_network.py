"""The network: two halves, a fixed standardisation, and batch norm that can be frozen."""

from __future__ import annotations

import pytest
import torch

from hashnet.models import HashHead, HashNetwork, NetworkConfig


def network(**settings):
    torch.manual_seed(0)
    return HashNetwork(NetworkConfig("small_cnn", 16, **settings))


@pytest.mark.parametrize("hidden", [0, 24])
def test_the_network_is_its_features_and_then_its_hash(hidden):
    whole = network(hidden=hidden).eval()
    images = torch.rand(3, 3, 8, 8)
    assert torch.equal(whole(images), whole.hash(whole.features(images)))


def test_standardised_features_have_mean_0_and_deviation_1():
    features = torch.randn(500, 6) * torch.tensor([1, 2, 3, 4, 5, 6.0]) + 7
    head = HashHead(6, 8)
    head.standardize(features)
    x = (features - head.shift) * head.scale
    torch.testing.assert_close(x.mean(dim=0), torch.zeros(6), atol=1e-5, rtol=0)
    torch.testing.assert_close(x.std(dim=0, correction=0), torch.ones(6))


def test_a_constant_feature_is_not_blown_up():
    features = torch.randn(50, 3)
    features[:, 1] = 4.0
    head = HashHead(3, 8)
    head.standardize(features)
    assert head.scale[1] == 1


def test_dropout_acts_in_training_only():
    head = HashHead(6, 8, hidden=64)
    head.dropout.p = 0.5
    x = torch.rand(2, 6)
    assert torch.equal(head.eval()(x), head.eval()(x))
    assert not torch.equal(head.train()(x), head.train()(x))


@pytest.mark.parametrize("freeze_norm", [True, False])
def test_frozen_batch_norm_keeps_its_statistics_in_training(freeze_norm):
    whole = network()
    whole.freeze_norm = freeze_norm
    before = whole.backbone.features[1].running_mean.clone()
    whole.train()(torch.rand(4, 3, 8, 8))
    assert torch.equal(before, whole.backbone.features[1].running_mean) == freeze_norm


@pytest.mark.parametrize(
    "values", [None, {}, {"backbone": "small_cnn", "n_bits": "16", "hidden": 0, "same_padding": False}]
)
def test_an_architecture_that_hashnet_did_not_write_is_refused(values):
    with pytest.raises(ValueError, match="architecture"):
        NetworkConfig.from_json(values)


def test_an_architecture_survives_json():
    config = NetworkConfig("mobilenet_v2", 48, hidden=7, same_padding=True)
    assert NetworkConfig.from_json(config.to_json()) == config
