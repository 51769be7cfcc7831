"""Pair counts and weights of a training set, against counting every pair."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from hashnet.losses import PairCounts, PairWeights, count_pairs, pair_weights
from hashnet.losses import pairs as pairs_module

multi_hot = arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.integers(0, 1))


def counted(labels):
    similar = sum(bool((a & b).any()) for i, a in enumerate(labels) for b in labels[:i])
    return PairCounts(similar, len(labels) * (len(labels) - 1) // 2 - similar)


@given(multi_hot)
def test_counts_equal_those_of_every_pair(labels):
    assert count_pairs(labels) == counted(labels)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=40))
def test_counts_of_single_labels_equal_those_of_every_pair(classes):
    labels = np.eye(5, dtype=np.uint8)[classes]
    assert count_pairs(labels) == counted(labels)


def test_counting_in_chunks_changes_nothing(monkeypatch):
    labels = np.random.default_rng(0).integers(0, 2, (60, 7), dtype=np.uint8)
    monkeypatch.setattr(pairs_module, "_CHUNK_PAIRS", 128)
    assert count_pairs(labels) == counted(labels)


@given(multi_hot, st.randoms())
def test_counts_do_not_depend_on_the_order(labels, random):
    order = list(range(len(labels)))
    random.shuffle(order)
    assert count_pairs(labels[order]) == count_pairs(labels)


def test_weights_are_the_ratios_of_the_paper():
    labels = np.eye(2, dtype=np.uint8)[[0, 0, 1, 1]]
    assert pair_weights(labels) == PairWeights(similar=6 / 2, dissimilar=6 / 4)


def test_a_hundred_thousand_items_are_counted_from_their_classes():
    labels = np.eye(100, dtype=np.uint8)[np.arange(100_000) % 100]
    assert count_pairs(labels).similar == 100 * (1000 * 999 // 2)


@pytest.mark.parametrize(("classes", "missing"), [([0, 0], "dissimilar"), ([0, 1], "no similar")])
def test_pairs_of_one_kind_only_are_refused(classes, missing):
    with pytest.raises(ValueError, match=missing):
        pair_weights(np.eye(2, dtype=np.uint8)[classes])


@pytest.mark.parametrize("labels", [np.array([1, 2]), [[0, 1]]])
def test_labels_that_are_not_uint8_are_refused(labels):
    with pytest.raises(TypeError, match="uint8"):
        count_pairs(labels)


@pytest.mark.parametrize("labels", [np.zeros(3, np.uint8), np.full((2, 2), 2, np.uint8)])
def test_labels_that_are_not_multi_hot_are_refused(labels):
    with pytest.raises(ValueError, match="multi-hot"):
        count_pairs(labels)
