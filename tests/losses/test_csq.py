"""CSQ against its two terms written as loops."""

from __future__ import annotations

import math

import pytest
import torch
from objective_cases import K, batch_of, gradients_are_those_of_finite_differences, training_set

from hashnet.losses import CSQ


def by_loops(z, labels, objective, quantization):
    """The loss in Python floats: the centre of each item by vote, cross-entropy, quantisation."""
    centres, ties = objective.targets.centres.tolist(), objective.targets.ties.tolist()
    entropy, n_bits, away = 0.0, 0, []
    for row, item in zip(z.tolist(), labels.tolist(), strict=True):
        for k, value in enumerate(row):
            g = math.tanh(value)
            away.append(math.log(math.cosh(abs(g) - 1)))
            if not any(item):
                continue
            vote = sum(centre[k] for centre, has in zip(centres, item, strict=True) if has)
            t = (math.copysign(1, vote) if vote else ties[k]) / 2 + 0.5
            p = (g + 1) / 2
            entropy -= t * math.log(p) + (1 - t) * math.log(1 - p)
            n_bits += 1
    return entropy / max(n_bits, 1) + quantization * sum(away) / len(away)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("single", [True, False])
@pytest.mark.parametrize("quantization", [0.0, 2.0])
def test_the_loss_equals_the_formula_in_loops(seed, single, quantization):
    training = training_set(single=single)
    objective = CSQ(training, quantization=quantization)
    batch = batch_of(training, n=8, seed=seed)
    expected = by_loops(batch.z, batch.labels, objective, quantization)
    assert objective(*batch).item() == pytest.approx(expected, rel=1e-10)


def test_the_gradient_is_that_of_finite_differences():
    training = training_set()
    assert gradients_are_those_of_finite_differences(CSQ(training, quantization=1.0), batch_of(training))


def test_an_output_at_the_centre_of_its_class_has_no_loss_and_another_has():
    objective = CSQ(training_set(single=True))
    at = 20 * objective.targets.centres
    labels, places = torch.eye(4), torch.arange(4)
    assert objective(at, labels, places).item() == pytest.approx(0, abs=1e-6)
    assert objective(at.roll(1, dims=0), labels, places).item() > 10


@pytest.mark.parametrize("scale", [30.0, 1e30])
def test_saturated_outputs_do_not_overflow(scale):
    objective = CSQ(training_set(single=True))
    z = torch.full((4, K), scale, requires_grad=True)
    loss = objective(z, torch.eye(4), torch.arange(4))
    loss.backward()
    assert loss.isfinite()
    assert z.grad.isfinite().all()


def test_items_without_a_label_are_drawn_to_no_centre():
    objective = CSQ(training_set())
    z = torch.randn(3, K, requires_grad=True)
    labels = torch.zeros(3, 4)
    labels[0, 1] = 1
    (objective(z, labels, torch.arange(3)) - 0).backward()
    alone = z.detach()[:1].clone().requires_grad_()
    objective_alone = CSQ(training_set(), quantization=0.0)
    objective_alone(alone, labels[:1], torch.arange(1)).backward()
    assert torch.allclose(z.grad[:1], alone.grad, atol=1e-4)
    assert z.grad[1:].abs().max() < 1e-4
