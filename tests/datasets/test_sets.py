"""Digits, arrays, opening and splitting."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashnet.datasets import ArrayImages, ImageSet, one_hot, open_images, split


def test_digits_are_real_images_of_ten_classes():
    digits = open_images("digits")
    assert isinstance(digits, ImageSet)
    assert (len(digits), digits.name, digits.key(7)) == (1797, "digits", "digits/0007")
    assert digits.load(0).size == (8, 8)
    assert digits.load(0).mode == "RGB"
    assert digits.labels.sum(axis=1).tolist() == [1] * 1797
    assert digits.identity() == open_images("digits").identity()


def test_arrays_give_back_their_pixels():
    pixels = np.random.default_rng(0).integers(0, 256, (3, 5, 4, 3), dtype=np.uint8)
    images = ArrayImages(pixels, np.array([2, 0, 1]))
    assert np.array_equal(np.asarray(images.load(2)), pixels[2])
    assert images.labels.tolist() == [[0, 0, 1], [1, 0, 0], [0, 1, 0]]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_pixels_that_are_not_finite_are_refused(bad):
    pixels = np.zeros((2, 4, 4), dtype=np.float32)
    pixels[1, 2, 3] = bad
    with pytest.raises(ValueError, match="NaN or infinity in image 1"):
        ArrayImages(pixels)


def test_float_pixels_are_not_converted_silently():
    with pytest.raises(TypeError, match="must have dtype uint8"):
        ArrayImages(np.zeros((2, 4, 4)))


@pytest.mark.parametrize("shape", [(4, 4), (2, 4, 4, 4), (2, 0, 4), (2, 4, 4, 1)])
def test_pixels_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match="must have shape"):
        ArrayImages(np.zeros(shape, dtype=np.uint8))


def test_labels_must_be_one_row_an_image():
    with pytest.raises(ValueError, match="multi-hot of shape"):
        ArrayImages(np.zeros((3, 2, 2), dtype=np.uint8), np.zeros((2, 4), dtype=np.uint8))


def test_a_label_outside_the_classes_is_named():
    with pytest.raises(ValueError, match="label 5 of row 1 is outside the 3 classes"):
        one_hot(np.array([0, 5]), 3)


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("missing", FileNotFoundError, "does not exist; data is the word digits"),
        ("cat.jpg", ValueError, "is a single image"),
        ("a.parquet", ValueError, "ends in '.parquet'"),
    ],
)
def test_data_of_no_known_kind_says_what_is_wanted(tmp_path, name, error, message):
    if name != "missing":
        (tmp_path / name).touch()
    with pytest.raises(error, match=message):
        open_images(tmp_path / name)


def test_an_image_root_that_is_no_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="image_root"):
        open_images("digits", image_root=tmp_path / "nowhere")


@given(
    label=st.lists(st.integers(0, 4), min_size=2, max_size=60),
    fraction=st.floats(0.05, 0.95),
    seed=st.integers(0, 9),
)
def test_a_split_is_a_partition_that_leaves_every_class_in_the_database(label, fraction, seed):
    label = np.array(label)
    images = ArrayImages(np.zeros((len(label), 1, 1), dtype=np.uint8), label, classes=tuple("abcde"))
    database, query = split(images, query_fraction=fraction, seed=seed)
    assert sorted([*database.tolist(), *query.tolist()]) == list(range(len(label)))
    assert set(label[database]) == set(label)
    again = split(images, query_fraction=fraction, seed=seed)
    assert np.array_equal(again.query, query)


def test_a_split_is_stratified():
    digits = open_images("digits")
    _, query = split(digits, query_fraction=0.1, seed=3)
    of_class = digits.labels[query].sum(axis=0)
    assert np.array_equal(of_class, np.rint(digits.labels.sum(axis=0) * 0.1))


def test_two_seeds_split_differently():
    digits = open_images("digits")
    assert not np.array_equal(split(digits, seed=1).query, split(digits, seed=2).query)


@pytest.mark.parametrize("fraction", [0, 1, -0.1, float("nan")])
def test_a_fraction_outside_0_and_1_is_refused(fraction):
    with pytest.raises(ValueError, match="query_fraction must lie between 0 and 1"):
        split(open_images("digits"), query_fraction=fraction)
