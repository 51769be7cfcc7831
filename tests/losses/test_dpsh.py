"""DPSH against its loss and the paper's gradient written as loops, and what it remembers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from objective_cases import N_TRAIN, K, batch_of, gradients_are_those_of_finite_differences, training_set

from hashnet.losses import DPSH

ALPHA, ETA = 0.5, 0.3


def shares(a, b):
    return any(x and y for x, y in zip(a, b, strict=True))


def by_loops(u, labels, others, other_labels, pairs):
    """The loss over the given pairs of rows of u with rows of others, in Python floats."""
    likelihood = 0.0
    for i, j in pairs:
        d = ALPHA * sum(a * b for a, b in zip(u[i], others[j], strict=True))
        s = 1.0 if shares(labels[i], other_labels[j]) else 0.0
        likelihood += math.log(1 + math.exp(d)) - s * d
    bits = [(value - (1 if value > 0 else -1)) ** 2 for row in u for value in row]
    return likelihood / len(pairs) + ETA * sum(bits) / len(bits)


@pytest.fixture(params=[True, False], ids=["single", "multi"])
def training(request):
    return training_set(single=request.param)


def test_in_evaluation_the_pairs_are_those_of_the_batch(training):
    batch = batch_of(training)
    u, y = batch.z.tolist(), batch.labels.tolist()
    pairs = [(i, j) for i in range(len(u)) for j in range(len(u)) if i != j]
    loss = DPSH(training, alpha=ALPHA, quantization=ETA).eval()(*batch)
    assert loss.item() == pytest.approx(by_loops(u, y, u, y, pairs), rel=1e-12)


def test_in_training_the_pairs_are_those_of_the_batch_with_all_last_outputs(training):
    objective = DPSH(training, alpha=ALPHA, quantization=ETA).double().train()
    memory = np.zeros((N_TRAIN, K))
    for seed in range(4):
        batch = batch_of(training, seed=seed)
        places = batch.places.tolist()
        memory[places] = batch.z.numpy()
        pairs = [(i, j) for i in range(len(places)) for j in range(N_TRAIN) if places[i] != j]
        expected = by_loops(
            batch.z.tolist(), batch.labels.tolist(), memory.tolist(), training.labels.tolist(), pairs
        )
        assert objective(*batch).item() == pytest.approx(expected, rel=1e-12)
    assert np.array_equal(objective.outputs.numpy(), memory)


def test_the_gradient_in_training_is_that_of_the_paper(training):
    """dJ/du_i = sum_j (sigma(d_ij) - s_ij) alpha u_j + 2 eta (u_i - b_i), with means for sums."""
    objective = DPSH(training, alpha=ALPHA, quantization=ETA).double().train()
    objective(*batch_of(training, seed=1))
    batch = batch_of(training, seed=2)
    z = batch.z.clone().requires_grad_()
    objective(z, batch.labels, batch.places).backward()
    u, memory = batch.z.numpy(), objective.outputs.numpy()
    expected = np.zeros_like(u)
    n_pairs = len(u) * (N_TRAIN - 1)
    for i, place in enumerate(batch.places.tolist()):
        for j in range(N_TRAIN):
            if j != place:
                s = 1.0 if shares(training.labels[place], training.labels[j]) else 0.0
                d = ALPHA * float(u[i] @ memory[j])
                expected[i] += (1 / (1 + math.exp(-d)) - s) * ALPHA * memory[j] / n_pairs
        expected[i] += 2 * ETA * (u[i] - np.where(u[i] > 0, 1, -1)) / u.size
    assert np.abs(z.grad.numpy() - expected).max() < 1e-12


def test_the_gradient_in_evaluation_is_that_of_finite_differences(training):
    assert gradients_are_those_of_finite_differences(DPSH(training).eval(), batch_of(training))


def test_evaluation_remembers_nothing(training):
    objective = DPSH(training).eval()
    objective(*batch_of(training))
    assert not objective.outputs.any()


def test_what_it_remembers_is_saved_and_the_labels_are_not(training):
    assert list(DPSH(training).state_dict()) == ["outputs"]


def test_outputs_at_the_corners_of_the_cube_have_no_quantisation_loss(training):
    batch = batch_of(training)
    codes = torch.where(batch.z > 0, 1.0, -1.0).double()
    losses = [
        DPSH(training, quantization=eta).eval()(codes, batch.labels, batch.places) for eta in (0.0, 5.0)
    ]
    assert losses[0] == losses[1]


@pytest.mark.parametrize("columns", [1, 5, 12, 100])
def test_how_many_columns_are_taken_at_once_changes_nothing(training, monkeypatch, columns):
    found = []
    for at_once in (columns, 2048):
        monkeypatch.setattr("hashnet.losses.dpsh._COLUMNS", at_once)
        objective = DPSH(training).double().train()
        objective(*batch_of(training, seed=1))
        batch = batch_of(training, seed=2)
        z = batch.z.clone().requires_grad_()
        loss = objective(z, batch.labels, batch.places)
        loss.backward()
        found.append((loss.item(), z.grad))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-12)
    assert torch.allclose(found[0][1], found[1][1], atol=1e-15)
