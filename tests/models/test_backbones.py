"""Backbones: shapes, padding, weights."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

from hashnet.errors import DamagedError, HashnetError
from hashnet.models import BACKBONES, NetworkConfig, backbone_info, build_backbone, build_network
from hashnet.models.backbones import SamePaddingConv2d
from hashnet.models.torchvision_compat import torchvision_models
from hashnet.models.weights import load_weights, read_state


def small(weights=None, *, seed=0, **settings):
    config = NetworkConfig("small_cnn", 16, **settings)
    return build_network(config, weights=weights, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", [name for name in BACKBONES if name not in ("alexnet", "vgg16")])
def test_a_backbone_gives_as_many_features_as_it_says(name):
    info = backbone_info(name)
    backbone = build_backbone(name).eval()
    images = torch.rand(2, 3, info.min_image_size, info.min_image_size)
    assert backbone(images).shape == (2, info.n_features)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["alexnet", "vgg16"])
def test_the_features_of_the_large_classics_are_fc7(name):
    info = backbone_info(name)
    images = torch.rand(1, 3, info.min_image_size, info.min_image_size)
    assert build_backbone(name).eval()(images).shape == (1, 4096)


def test_an_unknown_backbone_is_refused_by_name():
    with pytest.raises(ValueError, match=r"alexnet.*got 'resnet'"):
        build_backbone("resnet")


@pytest.mark.parametrize("side", [8, 16, 32, 64])
def test_the_small_cnn_takes_images_of_8_to_64_pixels(side):
    assert small()(torch.rand(2, 3, side, side)).shape == (2, 16)


def test_same_padding_puts_the_odd_pixel_right_and_below():
    torch.manual_seed(0)
    same = SamePaddingConv2d(2, 3, 3, stride=2)
    x = torch.rand(1, 2, 8, 8)
    expected = functional.conv2d(functional.pad(x, (0, 1, 0, 1)), same.weight, same.bias, stride=2)
    torch.testing.assert_close(same(x), expected)


def test_same_padding_changes_the_five_strided_convolutions_of_mobilenet():
    backbone = build_backbone("mobilenet_v2", same_padding=True)
    assert sum(isinstance(module, SamePaddingConv2d) for module in backbone.modules()) == 5


def test_same_padding_is_refused_for_other_backbones():
    with pytest.raises(ValueError, match="mobilenet_v2 only"):
        NetworkConfig("resnet18", 16, same_padding=True)


def test_one_seed_gives_one_network():
    first, second = small(seed=3), small(seed=3)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_building_leaves_the_global_generator_alone():
    before = torch.random.get_rng_state()
    small(seed=3)
    assert torch.equal(before, torch.random.get_rng_state())


def test_the_hash_layer_starts_gaussian_with_deviation_one_hundredth():
    weight = small().head.hash_layer.weight
    assert weight.std().item() == pytest.approx(0.01, rel=0.05)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_weight_file_fills_the_backbone_ignoring_its_classifier(tmp_path, suffix):
    source = small(seed=1).backbone
    state = {
        key: value.half() if value.is_floating_point() else value
        for key, value in source.state_dict().items()
    }
    state["classifier.1.weight"] = torch.zeros(1000, 512)
    path = tmp_path / f"weights{suffix}"
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    filled = small(path, seed=2).backbone
    key = "features.0.weight"
    assert torch.equal(filled.state_dict()[key], source.state_dict()[key].half().float())


def test_a_weight_file_of_another_network_is_refused_naming_the_keys(tmp_path):
    save_file({"conv.weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match=r"missing: features\.0\.weight.*not in the network: conv\.weight"):
        small(tmp_path / "other.safetensors")


def test_a_wrong_shape_in_a_weight_file_is_refused_with_both_shapes(tmp_path):
    state = dict(small().backbone.state_dict())
    state["features.0.weight"] = torch.zeros(32, 1, 3, 3)
    save_file(state, tmp_path / "grey.safetensors")
    with pytest.raises(ValueError, match=r"\(32, 1, 3, 3\) instead of \(32, 3, 3, 3\)"):
        small(tmp_path / "grey.safetensors")


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_truncated_weight_file_is_damaged(tmp_path, suffix):
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(b"\x10\0\0\0\0\0\0\0{")
    with pytest.raises(DamagedError, match="weights"):
        read_state(path)


class Intruder:
    def __reduce__(self):
        return (print, ("executed",))


def test_a_pth_file_with_code_in_it_is_not_executed(tmp_path, capsys):
    torch.save({"features.0.weight": Intruder()}, tmp_path / "evil.pth")
    with pytest.raises(DamagedError):
        read_state(tmp_path / "evil.pth")
    assert "executed" not in capsys.readouterr().out


def test_a_missing_weight_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.safetensors does not exist"):
        small(tmp_path / "none.safetensors")


def test_torchvision_weights_that_cannot_be_fetched_name_the_remedy(monkeypatch):
    def offline(*args, **kwargs):
        raise OSError("no route to host")

    # Through this, so that the patch below finds torchvision where its compiled library does not load.
    torchvision_models()
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", offline)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", offline)
    with pytest.raises(HashnetError, match=r"no route to host.*pass its path as weights"):
        load_weights(nn.Identity(), "squeezenet1_0", "torchvision")


@pytest.mark.parametrize("name", ["mobilenet_v2", "squeezenet1_0"])
def test_the_given_imagenet_weights_fit(shared_data, name):
    config = NetworkConfig(name, 16, same_padding=name == "mobilenet_v2")
    path = shared_data / "weights" / f"{name}_imagenet_fp16.safetensors"
    network = build_network(config, weights=path, generator=torch.Generator().manual_seed(0))
    assert network.features(torch.rand(1, 3, 64, 64)).isfinite().all()
