"""The model directory: what is saved is what is loaded, and damage is found."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

from hashnet.errors import DamagedError
from hashnet.models import (
    NetworkConfig,
    Preprocessing,
    build_network,
    fingerprint,
    load_model,
    relaxed,
    save_model,
)

PREPROCESSING = Preprocessing(8, 8)


def network(seed=0, n_bits=16):
    config = NetworkConfig("small_cnn", n_bits)
    return build_network(config, weights=None, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def saved(tmp_path):
    save_model(
        tmp_path / "model", network(), PREPROCESSING, classes=("cat", "dog"), seed=7, metrics={"map": 0.5}
    )
    return tmp_path / "model"


def test_a_loaded_model_gives_the_same_relaxed_codes_as_the_saved_network(saved):
    images = torch.rand(3, 3, 8, 8)
    with torch.no_grad():
        expected = network()(images)
    assert torch.equal(load_model(saved).relaxed(images), expected)


def test_a_loaded_model_knows_its_classes_seed_bits_and_metrics(saved):
    model = load_model(saved)
    assert (model.classes, model.seed, model.n_bits, model.metrics) == (("cat", "dog"), 7, 16, {"map": 0.5})


def test_the_fingerprint_is_that_of_weights_architecture_and_preprocessing(saved):
    model = load_model(saved)
    others = [
        fingerprint(network(seed=1), PREPROCESSING),
        fingerprint(network(n_bits=24), PREPROCESSING),
        fingerprint(network(), Preprocessing(8, 9)),
    ]
    assert model.fingerprint == fingerprint(network(), PREPROCESSING)
    assert model.fingerprint not in others


def test_an_existing_model_is_not_overwritten_unasked(saved):
    with pytest.raises(FileExistsError, match="already holds a model"):
        save_model(saved, network(), PREPROCESSING, classes=(), seed=0, metrics={})


def test_overwriting_replaces_the_model(saved):
    mark = save_model(saved, network(seed=1), PREPROCESSING, classes=(), seed=0, metrics={}, overwrite=True)
    assert load_model(saved).fingerprint == mark


def test_no_temporary_file_remains(saved):
    assert sorted(path.name for path in saved.iterdir()) == [
        "README.md",
        "config.json",
        "metrics.json",
        "model.safetensors",
    ]


@pytest.mark.parametrize("position", [5, 300, -1])
def test_a_flipped_bit_in_the_weights_is_damage(saved, position):
    path = saved / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(DamagedError):
        load_model(saved)


def test_truncated_weights_are_damage(saved):
    path = saved / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DamagedError):
        load_model(saved)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("n_bits", 24),
        ("format", "x"),
        ("architecture", {"backbone": "small_cnn"}),
        ("preprocessing", [1]),
        ("classes", None),
    ],
)
def test_a_changed_configuration_is_damage(saved, key, value):
    path = saved / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(DamagedError):
        load_model(saved)


def test_a_changed_size_in_the_preprocessing_is_damage(saved):
    path = saved / "config.json"
    path.write_text(path.read_text().replace('"resize": 8', '"resize": 9'))
    with pytest.raises(DamagedError, match="fingerprint"):
        load_model(saved)


def test_a_directory_without_a_model_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="not a model directory"):
        load_model(tmp_path)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_non_finite_image_is_refused_by_name(saved, bad):
    images = torch.rand(3, 3, 8, 8)
    images[1, 0, 2, 2] = bad
    with pytest.raises(ValueError, match=r"image b\.jpg has NaN or infinite"):
        load_model(saved).relaxed(images, names=["a.jpg", "b.jpg", "c.jpg"])


def test_a_batch_of_another_size_is_refused(saved):
    with pytest.raises(ValueError, match=r"\(n, 3, 8, 8\)"):
        load_model(saved).relaxed(torch.rand(1, 3, 9, 9))


@pytest.mark.parametrize("size", [(8, 8), (30, 12), (5, 900), (1, 4000)])
def test_preprocessing_gives_finite_float32_of_one_shape(size):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
    x = Preprocessing(12, 16)(image)
    assert (x.dtype, x.shape, bool(np.isfinite(x).all())) == (np.float32, (3, 12, 12), True)


def test_preprocessing_survives_json():
    preprocessing = Preprocessing(100, 128, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    assert Preprocessing.from_json(json.loads(json.dumps(preprocessing.to_json()))) == preprocessing


def test_a_crop_larger_than_the_image_is_refused():
    with pytest.raises(ValueError, match="size <= resize"):
        Preprocessing(64, 32)


def test_the_relaxed_code_tends_to_the_sign():
    z = torch.tensor([-2.0, -0.1, 0.1, 3.0])
    assert torch.equal(relaxed(z, 1e4), z.sign())
