"""DNNH against every triplet in turn, its threshold, and the slices of its head."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from objective_cases import K, batch_of, gradients_are_those_of_finite_differences, training_set

from hashnet.losses import DNNH
from hashnet.losses.dnnh import triplet_ranking
from hashnet.models import HashHead


def by_loops(v, labels, margin):
    """The mean hinge over all triplets, in Python floats; 0 where there is none."""
    total, n_triplets = 0.0, 0
    for i, anchor in enumerate(v):
        for j, positive in enumerate(v):
            for k, negative in enumerate(v):
                if i in (j, k) or not (labels[i] @ labels[j] > 0) or labels[i] @ labels[k] > 0:
                    continue
                near = sum((a - b) ** 2 for a, b in zip(anchor, positive, strict=True))
                far = sum((a - b) ** 2 for a, b in zip(anchor, negative, strict=True))
                total += max(0.0, margin + near - far)
                n_triplets += 1
    return total / max(n_triplets, 1)


def thresholded(z, epsilon):
    v = 1 / (1 + math.exp(-z))
    return 0.0 if v < 0.5 - epsilon else 1.0 if v > 0.5 + epsilon else v


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("single", [True, False])
@pytest.mark.parametrize("margin", [0.2, 1.0, 50.0])
@pytest.mark.parametrize("epsilon", [0.1, 0.5])
def test_the_loss_equals_the_formula_over_every_triplet(seed, single, margin, epsilon):
    training = training_set(single=single)
    batch = batch_of(training, n=8, seed=seed)
    v = [[thresholded(value, epsilon) for value in row] for row in batch.z.tolist()]
    loss = DNNH(training, margin=margin, epsilon=epsilon)(*batch).item()
    assert loss == pytest.approx(by_loops(v, batch.labels.numpy(), margin), rel=1e-10, abs=1e-12)


def test_the_gradient_is_that_of_finite_differences():
    training = training_set()
    assert gradients_are_those_of_finite_differences(DNNH(training), batch_of(training, n=8))


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 9), st.integers(1, 3), st.integers(0, 10_000), st.floats(0, 4))
def test_sorted_negatives_give_the_sum_over_every_triplet(n, n_classes, seed, margin):
    rng = np.random.default_rng(seed)
    v = torch.from_numpy(rng.integers(0, 3, (n, 4)) / 2)
    labels = np.eye(n_classes)[rng.integers(0, n_classes, n)]
    found = triplet_ranking(v, torch.from_numpy(labels @ labels.T > 0), margin=margin)
    assert found.item() == pytest.approx(by_loops(v.tolist(), labels, margin), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("classes", [[0, 0, 0], [0, 1, 2]], ids=["one class", "no positive"])
def test_a_batch_without_a_triplet_has_loss_and_gradient_zero(classes):
    labels = torch.eye(4, dtype=torch.float64)[classes]
    z = torch.randn(3, K, dtype=torch.float64, requires_grad=True)
    loss = DNNH(training_set(single=True))(z, labels, torch.arange(3))
    loss.backward()
    assert (loss.item(), z.grad.abs().max().item()) == (0, 0)


def test_triplets_farther_apart_than_the_margin_have_no_loss():
    z = torch.tensor([[9.0] * K, [9.0] * K, [-9.0] * K, [-9.0] * K])
    labels = torch.eye(4)[[0, 0, 1, 1]]
    assert DNNH(training_set(), margin=float(K) - 0.1)(z, labels, torch.arange(4)).item() == 0


def test_the_threshold_keeps_the_middle_and_cuts_the_rest():
    objective = DNNH(training_set(), epsilon=0.1)
    z = torch.tensor([[-3.0, -0.3, -0.1, 0.0, 0.1, 0.3, 3.0, 0.5]])
    v = (objective.relax(z)[0] + 1) / 2
    assert v.tolist() == pytest.approx([thresholded(value, 0.1) for value in z[0].tolist()])


def test_no_gradient_comes_back_from_where_the_threshold_cuts():
    z = torch.tensor([[3.0, -3.0, 0.1]], requires_grad=True)
    DNNH(training_set(), epsilon=0.1).relax(z).sum().backward()
    assert [value != 0 for value in z.grad[0].tolist()] == [False, False, True]


@pytest.mark.parametrize("hidden", [0, 19])
@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.AdamW])
def test_each_bit_depends_on_its_own_slice_alone_however_it_is_trained(hidden, kind):
    training = training_set()
    objective, head = DNNH(training), HashHead(17, K, hidden=hidden)
    objective.shape_head(head)
    optimizer = kind(head.parameters(), lr=0.1, weight_decay=0.01)
    before = head.hash_layer.weight.detach().clone()
    for seed in range(3):
        batch = batch_of(training, n=8, seed=seed)
        x = torch.from_numpy(np.random.default_rng(seed).normal(size=(8, 17))).float()
        optimizer.zero_grad()
        objective(head(x), batch.labels, batch.places).backward()
        optimizer.step()
    used = (head.hash_layer.weight != 0).int()
    assert not torch.equal(head.hash_layer.weight, before)
    assert used.sum(dim=0).tolist() == [1] * (hidden or 17)
    sizes = used.sum(dim=1).tolist()
    assert max(sizes) - min(sizes) <= 1


def test_fewer_inputs_than_bits_cannot_be_divided():
    with pytest.raises(ValueError, match="an input for each of 8 bits, got 5"):
        DNNH(training_set()).shape_head(HashHead(17, K, hidden=5))


@pytest.mark.parametrize("epsilon", [0.0, 0.6])
def test_a_threshold_outside_the_range_of_a_sigmoid_is_refused(epsilon):
    with pytest.raises(ValueError, match=r"at most 0.5 .no threshold"):
        DNNH(training_set(), epsilon=epsilon)
