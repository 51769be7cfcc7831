"""DPN against its hinge written as loops, and the margin beyond which it is zero."""

from __future__ import annotations

import math

import pytest
import torch
from objective_cases import K, batch_of, gradients_are_those_of_finite_differences, training_set

from hashnet.losses import DPN


def by_loops(z, labels, objective, margin):
    centres, ties = objective.targets.centres.tolist(), objective.targets.ties.tolist()
    total, n_bits = 0.0, 0
    for row, item in zip(z.tolist(), labels.tolist(), strict=True):
        if not any(item):
            continue
        for k, v in enumerate(row):
            vote = sum(centre[k] for centre, has in zip(centres, item, strict=True) if has)
            t = math.copysign(1, vote) if vote else ties[k]
            total += max(margin - v * t, 0.0)
            n_bits += 1
    return total / max(n_bits, 1)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("single", [True, False])
@pytest.mark.parametrize("margin", [0.5, 1.0, 3.0])
def test_the_loss_equals_the_formula_in_loops(seed, single, margin):
    training = training_set(single=single)
    objective = DPN(training, margin=margin)
    batch = batch_of(training, n=8, seed=seed)
    expected = by_loops(batch.z, batch.labels, objective, margin)
    assert objective(*batch).item() == pytest.approx(expected, rel=1e-12)


def test_the_gradient_is_that_of_finite_differences():
    training = training_set()
    assert gradients_are_those_of_finite_differences(DPN(training), batch_of(training))


def test_beyond_the_margin_on_the_side_of_the_target_loss_and_gradient_are_zero():
    objective = DPN(training_set(single=True), margin=1.5)
    z = (1.6 * objective.targets.centres).requires_grad_()
    loss = objective(z, torch.eye(4), torch.arange(4))
    loss.backward()
    assert (loss.item(), z.grad.abs().max().item()) == (0, 0)


def test_one_output_short_of_the_margin_costs_what_is_missing():
    objective = DPN(training_set(single=True), margin=1.5)
    z = 2.0 * objective.targets.centres
    z[2, 3] *= 0.5
    assert objective(z, torch.eye(4), torch.arange(4)).item() == pytest.approx(0.5 / (4 * K))


def test_every_class_has_as_many_ones_as_zeros_in_its_target():
    assert DPN(training_set()).targets.centres.sum(dim=1).tolist() == [0] * 4
