"""Training inputs: images decoded once, features computed once, augmentation by seed and iteration."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hashnet.datasets import ArrayImages
from hashnet.errors import ResumeError
from hashnet.models import NetworkConfig, Preprocessing, build_network
from hashnet.progress import NO_PROGRESS
from hashnet.training import extract_features
from hashnet.training import pixels as pixels_module
from hashnet.training.augmentation import (
    Draws,
    augmented,
    augmented_on_device,
    normalized_on_device,
)
from hashnet.training.features import load_features, save_features
from hashnet.training.inputs import in_order
from hashnet.training.pixels import load_pixels

PIXELS = np.random.default_rng(0).integers(0, 256, (150, 8, 8, 3), dtype=np.uint8)
IMAGES = ArrayImages(PIXELS, np.arange(150) % 3)
ROWS = np.arange(10, 150, dtype=np.int64)
PREPROCESSING = Preprocessing(8, 8)


def small_network():
    generator = torch.Generator().manual_seed(0)
    return build_network(NetworkConfig("small_cnn", 16), weights=None, generator=generator)


def pixels(tmp_path, augment="none"):
    return load_pixels(
        IMAGES,
        ROWS,
        PREPROCESSING,
        augment=augment,
        seed=1,
        max_error_rate=0.0,
        device=torch.device("cpu"),
        scratch=tmp_path / "scratch",
        progress=NO_PROGRESS,
    )


def test_a_batch_is_the_preprocessed_images_of_its_rows(tmp_path):
    batch = pixels(tmp_path).batch(np.array([3, 70, 139]), iteration=0)
    expected = np.stack([PREPROCESSING(IMAGES.load(row)) for row in (13, 80, 149)])
    assert np.array_equal(batch.numpy(), expected)


def test_images_too_many_for_memory_lie_in_a_file_and_are_the_same(tmp_path, monkeypatch):
    places = np.array([0, 64, 139])
    expected = pixels(tmp_path).batch(places, iteration=None)
    monkeypatch.setattr(pixels_module, "_MEMORY_LIMIT", 1000)
    assert torch.equal(pixels(tmp_path).batch(places, iteration=None), expected)
    assert (tmp_path / "scratch" / "pixels-00000.npy").exists()


def test_augmentation_depends_on_the_iteration_and_on_nothing_else(tmp_path):
    inputs, places = pixels(tmp_path, "flip"), np.arange(20)
    again = pixels(tmp_path, "flip")
    again.batch(places, iteration=4)
    assert torch.equal(inputs.batch(places, iteration=5), again.batch(places, iteration=5))
    assert not torch.equal(inputs.batch(places, iteration=5), inputs.batch(places, iteration=6))


def test_without_an_iteration_nothing_is_augmented(tmp_path):
    plain, places = pixels(tmp_path), np.arange(20)
    assert torch.equal(
        pixels(tmp_path, "flip").batch(places, iteration=None), plain.batch(places, iteration=None)
    )


@given(st.integers(0, 1000))
def test_a_shift_moves_an_image_by_at_most_an_eighth(seed):
    image = np.zeros((1, 16, 16, 3), np.uint8)
    image[0, 8, 8] = 255
    moved = augmented(image, Draws.of(np.random.default_rng(seed), 1, size=16, mirror=False))
    assert np.abs(np.argwhere(moved[0, :, :, 0])[0] - 8).max() <= 2


def padded_and_cut(pixels, draws):
    """The same by padding, as it is told in words."""
    size = pixels.shape[1]
    reach = size // 8
    padded = np.pad(pixels, ((0, 0), (reach, reach), (reach, reach), (0, 0)), mode="edge")
    cut = [
        image[top : top + size, left : left + size]
        for image, (top, left) in zip(padded, draws.shifts, strict=True)
    ]
    return np.stack(
        [image[:, ::-1] if mirror else image for image, mirror in zip(cut, draws.mirrored, strict=True)]
    )


@given(st.integers(0, 1000), st.sampled_from([8, 16, 27]))
def test_shifting_and_mirroring_is_cutting_from_an_image_with_repeated_edges(seed, size):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (5, size, size, 3), dtype=np.uint8)
    draws = Draws.of(rng, 5, size=size, mirror=True)
    expected = padded_and_cut(images, draws)
    assert np.array_equal(augmented(images, draws), expected)
    assert np.array_equal(augmented_on_device(torch.from_numpy(images), draws).numpy(), expected)


def test_normalising_on_a_device_gives_the_bits_of_the_preprocessing():
    table = torch.from_numpy(PREPROCESSING.table())
    found = normalized_on_device(torch.from_numpy(PIXELS), table)
    assert np.array_equal(found.numpy(), PREPROCESSING.normalize(PIXELS))


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_what_is_prepared_ahead_comes_in_order_and_is_bounded(workers):
    begun = []
    results = in_order(lambda at: begun.append(at) or at, iter(range(50)), workers=workers, ahead=2)
    for expected in range(50):
        assert next(results) == expected
        assert len(begun) <= expected + 4
    assert sorted(begun) == list(range(50))


def test_what_fails_ahead_of_the_step_is_raised_at_its_step():
    results = in_order(lambda at: 1 // (at - 2), range(5), workers=2)
    assert (next(results), next(results)) == (-1, -1)
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_without_mirroring_no_image_is_mirrored():
    image = np.zeros((64, 8, 8, 3), np.uint8)
    image[:, :, :4] = 255
    shifted = augmented(image, Draws.of(np.random.default_rng(0), 64, size=8, mirror=False))
    assert (shifted[:, 4, 0, 0] == 255).all()


def test_extracted_features_are_those_of_the_network():
    network = small_network()
    inputs = extract_features(network, IMAGES, ROWS, PREPROCESSING)
    with torch.no_grad():
        expected = network.features(torch.from_numpy(np.stack([PREPROCESSING(IMAGES.load(r)) for r in ROWS])))
    torch.testing.assert_close(inputs.features, expected)
    assert np.array_equal(inputs.rows, ROWS)


def test_kept_features_come_back_only_to_the_run_that_made_them(tmp_path):
    network = small_network()
    inputs = extract_features(network, IMAGES, ROWS, PREPROCESSING)
    save_features(tmp_path / "f", inputs, {"seed": 1})
    kept = load_features(tmp_path / "f", {"seed": 1}, device=torch.device("cpu"))
    assert torch.equal(kept.features, inputs.features)
    with pytest.raises(ResumeError, match="seed was 1, is 2"):
        load_features(tmp_path / "f", {"seed": 2}, device=torch.device("cpu"))


def test_computing_features_leaves_the_number_of_threads_alone():
    network = small_network()
    before = torch.get_num_threads()
    extract_features(network, IMAGES, ROWS, PREPROCESSING)
    assert torch.get_num_threads() == before


def test_no_rows_give_no_features():
    network = small_network()
    assert extract_features(network, IMAGES, ROWS[:0], PREPROCESSING).features.shape == (0, 512)


@pytest.mark.gpu
def test_a_batch_on_a_gpu_has_the_bits_of_one_on_the_cpu(tmp_path):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    on_cpu, places = pixels(tmp_path, "flip"), np.arange(20)
    on_gpu = replace(on_cpu, device=torch.device("cuda"))
    expected = on_cpu.batch(places, iteration=3, part=slice(4, 15))
    assert torch.equal(on_gpu.batch(places, iteration=3, part=slice(4, 15)).cpu(), expected)
