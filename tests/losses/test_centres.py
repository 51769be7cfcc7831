"""Target codes: their distances, and the vote of several labels."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hashnet.losses.centres import (
    LabelCentres,
    balanced_centres,
    hadamard_centres,
    least_distance,
    mean_where,
    orthogonal_centres,
)


def distances(centres):
    return [int((a != b).sum()) for a, b in itertools.combinations(centres, 2)]


@pytest.mark.parametrize("n_bits", [8, 16, 64])
def test_up_to_n_bits_classes_have_centres_half_the_bits_apart(n_bits):
    assert set(distances(hadamard_centres(n_bits, n_bits, seed=0))) == {n_bits // 2}


@pytest.mark.parametrize("n_bits", [8, 64])
def test_up_to_twice_n_bits_classes_have_centres_half_the_bits_or_all_of_them_apart(n_bits):
    assert set(distances(hadamard_centres(2 * n_bits, n_bits, seed=0))) == {n_bits // 2, n_bits}


@pytest.mark.parametrize(("n_classes", "n_bits"), [(100, 48), (20, 24), (50, 16)])
def test_where_there_is_no_hadamard_row_half_the_bits_are_ones(n_classes, n_bits):
    centres = hadamard_centres(n_classes, n_bits, seed=0)
    fixed = 2 * n_bits if n_bits == 16 else 0
    assert set(centres[fixed:].sum(axis=1)) == {0}
    assert np.mean(distances(centres)) == pytest.approx(n_bits / 2, rel=0.02)


def test_the_draw_with_the_farthest_nearest_centres_is_taken():
    found = [least_distance(hadamard_centres(100, 48, seed=seed)) for seed in range(5)]
    plain = [least_distance(balanced_centres(100, 48, seed=seed)) for seed in range(5)]
    assert np.mean(found) > np.mean(plain)


@given(st.integers(2, 12), st.integers(0, 99))
def test_the_least_distance_is_that_of_the_two_nearest(n_classes, seed):
    centres = balanced_centres(n_classes, 16, seed=seed)
    assert least_distance(centres) == min(distances(centres))


@pytest.mark.parametrize("n_bits", [8, 32])
def test_orthogonal_targets_are_orthogonal_up_to_n_bits_classes(n_bits):
    centres = orthogonal_centres(n_bits, n_bits, seed=0)
    assert np.array_equal(centres @ centres.T, n_bits * np.eye(n_bits))


@pytest.mark.parametrize(("n_classes", "n_bits"), [(100, 64), (20, 48)])
def test_more_targets_are_orthogonal_on_average(n_classes, n_bits):
    centres = orthogonal_centres(n_classes, n_bits, seed=0)
    inner = (centres @ centres.T)[~np.eye(n_classes, dtype=bool)]
    assert abs(inner.mean()) < 1 < inner.std() < 2 * n_bits**0.5


@pytest.mark.parametrize("make", [hadamard_centres, balanced_centres, orthogonal_centres])
def test_centres_follow_from_the_seed(make):
    first, again, other = (make(100, 48, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert set(np.unique(first)) == {-1, 1}


@pytest.mark.parametrize("make", [hadamard_centres, balanced_centres, orthogonal_centres])
def test_centres_of_no_class_are_refused(make):
    with pytest.raises(ValueError, match="a class and an even n_bits"):
        make(0, 16, seed=0)


def test_one_label_has_the_centre_of_its_class():
    centres = hadamard_centres(4, 8, seed=0)
    targets, labelled = LabelCentres(centres, seed=0)(torch.eye(4))
    assert np.array_equal(targets.numpy(), centres)
    assert labelled.all()


def test_several_labels_vote_bit_by_bit_and_a_tie_is_broken_by_one_fixed_code():
    centres = hadamard_centres(4, 8, seed=0)
    of_labels = LabelCentres(centres, seed=3)
    labels = torch.tensor([[1.0, 1.0, 1.0, 0.0], [1.0, 1.0, 0.0, 0.0], [0.0, 1.0, 0.0, 1.0]])
    targets, _ = of_labels(labels)
    ties = of_labels.ties.tolist()
    for row, target in zip(labels.tolist(), targets.tolist(), strict=True):
        for bit in range(8):
            vote = sum(centres[c, bit] for c in range(4) if row[c])
            assert target[bit] == (np.sign(vote) if vote else ties[bit])
    assert set(ties) == {-1, 1}


def test_an_item_without_a_label_has_no_target():
    _, labelled = LabelCentres(hadamard_centres(4, 8, seed=0), seed=0)(torch.eye(4)[[0, 1]] * 0)
    assert labelled.tolist() == [False, False]


def test_labels_of_other_classes_are_refused():
    with pytest.raises(ValueError, match="each of the 4 classes of training, got 5"):
        LabelCentres(hadamard_centres(4, 8, seed=0), seed=0)(torch.eye(5))


def test_the_mean_of_chosen_rows_leaves_out_the_others_and_is_zero_for_none():
    values = torch.tensor([[1.0, 3.0], [torch.inf, torch.nan]])
    assert mean_where(values, torch.tensor([True, False])).item() == 2
    assert mean_where(values, torch.tensor([False, False])).item() == 0
