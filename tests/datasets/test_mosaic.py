"""Mosaics: which tiles they show, what they are labelled, and that all of it follows from the seed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashnet.datasets import ArrayImages, ImageSet, MosaicImages


def tiles(n=60, n_classes=6, side=3, seed=0):
    """Images of one colour each, which tells the image: a mosaic shows what it is made of."""
    rng = np.random.default_rng(seed)
    label = np.concatenate([np.arange(n_classes), np.arange(n_classes), rng.integers(0, n_classes, n)])
    splits = np.concatenate([np.zeros(n_classes), np.ones(n_classes), rng.integers(0, 2, n)]).astype(np.uint8)
    pixels = np.zeros((len(label), side, side, 3), dtype=np.uint8)
    pixels[...] = np.arange(len(label))[:, None, None, None]
    return ArrayImages(pixels, label, splits=splits)


@given(seed=st.integers(0, 2**32 - 1), n_train=st.integers(1, 40), n_query=st.integers(1, 20))
@settings(max_examples=40, deadline=None)
def test_labels_are_the_union_and_tiles_keep_to_their_side(seed, n_train, n_query):
    base = tiles()
    mosaic = MosaicImages(base, n_train=n_train, n_query=n_query, seed=seed)
    assert len(mosaic) == n_train + n_query
    assert mosaic.splits.tolist() == [0] * n_train + [1] * n_query
    for i, four in enumerate(mosaic.tiles):
        assert mosaic.labels[i].tolist() == base.labels[four].max(axis=0).tolist()
        assert set(base.splits[four]) == {mosaic.splits[i]}


def test_a_mosaic_shows_its_tiles_row_by_row():
    mosaic = MosaicImages(tiles(side=3), n_train=5, n_query=1)
    assert isinstance(mosaic, ImageSet)
    pixels = np.asarray(mosaic.load(2))
    assert pixels.shape == (6, 6, 3)
    assert pixels[::3, ::3, 0].ravel().tolist() == mosaic.tiles[2].tolist()


def test_tiles_are_scaled_to_the_side_asked_for():
    assert MosaicImages(tiles(), n_train=1, n_query=1, side=8).load(0).size == (16, 16)


def test_one_to_four_classes_are_equally_frequent():
    mosaic = MosaicImages(tiles(n=600), n_train=4000, n_query=1)
    frequency = np.bincount(mosaic.labels[:4000].sum(axis=1), minlength=5)[1:] / 4000
    # Four standard errors of a share of one quarter.
    assert np.abs(frequency - 0.25).max() < 4 * np.sqrt(0.25 * 0.75 / 4000)


def test_every_class_is_drawn_equally_often_whatever_its_size():
    base = tiles(n=0)
    uneven = ArrayImages(
        np.zeros((40, 2, 2), np.uint8),
        np.concatenate([np.arange(5), np.zeros(30, int), np.arange(5)]),
        splits=np.array([0] * 35 + [1] * 5),
    )
    assert base.labels is not None
    shown = MosaicImages(uneven, n_train=3000, n_query=1).labels[:3000].mean(axis=0)
    assert np.abs(shown - shown.mean()).max() < 0.04


def test_the_seed_tells_all_and_the_queries_do_not_depend_on_the_training_set():
    one, same, more, other = (
        MosaicImages(tiles(), n_train=n, n_query=7, seed=seed)
        for n, seed in ((30, 5), (30, 5), (50, 5), (30, 6))
    )
    assert np.array_equal(one.tiles, same.tiles)
    assert one.identity() == same.identity() != other.identity()
    assert np.array_equal(one.tiles[30:], more.tiles[50:])
    assert not np.array_equal(one.tiles, other.tiles)


def test_the_tiles_of_a_seed_are_these():
    # A change of numpy's generator or of the drawing would move every figure.
    assert MosaicImages(tiles(), n_train=2, n_query=1, seed=0).tiles.tolist() == [
        [69, 15, 25, 31],
        [31, 25, 2, 44],
        [8, 13, 43, 36],
    ]


@pytest.mark.parametrize(
    ("base", "message"),
    [
        (ArrayImages(np.zeros((8, 2, 2), np.uint8), np.arange(8)), "has no split of its own"),
        (ArrayImages(np.zeros((2, 2, 2), np.uint8), splits=np.array([0, 1])), "one label each"),
        (
            ArrayImages(np.zeros((2, 2, 2), np.uint8), np.ones((2, 3), np.uint8), splits=np.array([0, 1])),
            "one label each",
        ),
        (
            ArrayImages(np.zeros((6, 2, 2), np.uint8), np.arange(6) % 3, splits=np.array([0, 0, 0, 1, 1, 1])),
            "at least 4 classes, got 3",
        ),
    ],
)
def test_a_base_that_gives_no_mosaics_is_refused(base, message):
    with pytest.raises(ValueError, match=message):
        MosaicImages(base, n_train=2, n_query=2)


@pytest.mark.parametrize("arguments", [{"n_train": 0, "n_query": 1}, {"n_train": 1, "n_query": 0}])
def test_a_side_without_mosaics_is_refused(arguments):
    with pytest.raises(ValueError, match="n_train and n_query must be at least 1"):
        MosaicImages(tiles(), **arguments)
