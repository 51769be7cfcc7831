"""CNNH: the factorisation against the paper's coordinate descent written out, and the fit to its codes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from objective_cases import K, batch_of, gradients_are_those_of_finite_differences, labels_of, training_set

from hashnet.losses import CNNH
from hashnet.losses.similarity_codes import _Factorisation, similarity_codes

multi_hot = arrays(
    np.uint8, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9), elements=st.integers(0, 1)
)


def similarities(labels):
    s = np.where(labels.astype(int) @ labels.T > 0, 1.0, -1.0)
    np.fill_diagonal(s, 1.0)
    return s


def loss_of(h, labels):
    return float(np.mean((similarities(labels) - h @ h.T / h.shape[1]) ** 2))


def one_step(h, labels, i, j):
    """The new entry (i, j) by the paper: the Newton step of the loss in it alone, cut to [-1, 1]."""
    q = h.shape[1]
    r = q * similarities(labels) - np.delete(h, j, axis=1) @ np.delete(h, j, axis=1).T
    x = h[:, j]
    slope = sum(4 * x[k] * (x[i] * x[k] - r[i, k]) for k in range(len(x)))
    bend = 4 * sum(x[k] ** 2 for k in range(len(x))) + 8 * x[i] ** 2 - 4 * r[i, i]
    return float(np.clip(x[i] - slope / bend, -1, 1))


@given(multi_hot, st.integers(0, 99))
def test_the_loss_is_that_of_the_whole_matrix(labels, seed):
    problem = _Factorisation(labels, 8, seed=seed)
    assert problem.loss() == pytest.approx(loss_of(problem.h, labels), rel=1e-10)


@settings(max_examples=40, deadline=None)
@given(multi_hot, st.integers(0, 99))
def test_the_loss_never_rises(labels, seed):
    losses = similarity_codes(labels, 8, seed=seed, sweeps=6).losses
    assert all(after <= before + 1e-12 for before, after in itertools.pairwise(losses))


@pytest.mark.parametrize("single", [True, False])
@pytest.mark.parametrize("n", [300, 700])
def test_with_blocks_of_rows_the_loss_falls_too(single, n):
    labels = labels_of(n, n_classes=5, single=single)
    assert _Factorisation(labels, 8, seed=0).block > 1
    losses = similarity_codes(labels, 8, seed=0).losses
    assert all(after <= before for before, after in itertools.pairwise(losses))
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("single", [True, False])
def test_steps_are_the_newton_steps_of_the_paper(single):
    """20 items of 8 bits are moved one entry at a time; where a step lowers the loss it is the paper's."""
    labels = labels_of(20, single=single)
    problem = _Factorisation(labels, 8, seed=1)
    assert problem.block == 1
    taken = 0
    for column in range(8):
        for row in range(20):
            before = problem.h.copy()
            expected = one_step(before, labels, row, column)
            problem._move_column(column, np.array([row]))
            after = before.copy()
            after[row, column] = expected
            if loss_of(after, labels) < loss_of(before, labels) - 1e-12:
                assert problem.h[row, column] == pytest.approx(expected, abs=1e-9)
                taken += 1
    assert taken > 100


def test_codes_of_two_classes_are_two_opposite_codes():
    labels = np.eye(2, dtype=np.uint8)[np.arange(40) % 2]
    codes = similarity_codes(labels, 8, seed=0).codes
    inner = codes @ codes.T
    assert np.array_equal(inner, 8 * similarities(labels))


def test_codes_follow_from_the_seed():
    labels = labels_of(30)
    first, again, other = (similarity_codes(labels, 8, seed=seed).codes for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert set(np.unique(first)) == {-1, 1}


@pytest.mark.parametrize("single", [True, False])
def test_the_loss_of_the_network_is_the_squared_distance_to_the_codes(single):
    training = training_set(single=single)
    objective, batch = CNNH(training), batch_of(training)
    codes = similarity_codes(training.labels, K, seed=training.seed).codes
    terms = [
        (np.tanh(value) - codes[place, k]) ** 2
        for row, place in zip(batch.z.tolist(), batch.places.tolist(), strict=True)
        for k, value in enumerate(row)
    ]
    assert objective(*batch).item() == pytest.approx(sum(terms) / len(terms), rel=1e-12)


def test_the_gradient_is_that_of_finite_differences():
    training = training_set()
    assert gradients_are_those_of_finite_differences(CNNH(training), batch_of(training))


def test_the_losses_of_the_sweeps_are_told():
    assert len(CNNH(training_set(), sweeps=3).losses) == 4


def test_places_must_be_one_a_row():
    with pytest.raises(ValueError, match=r"places must have shape \(2,\)"):
        CNNH(training_set())(torch.zeros(2, K), torch.zeros(2, 4), torch.arange(3))
