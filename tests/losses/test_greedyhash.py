"""GreedyHash against its formula written as loops, and the gradient it hands through."""

from __future__ import annotations

import math

import pytest
import torch
from objective_cases import K, batch_of, training_set

from hashnet.losses import GreedyHash
from hashnet.losses.greedyhash import straight_through_sgn


def by_loops(z, labels, weight, *, quantization, multi_label):
    """The loss in Python floats."""
    rows, y, w = z.tolist(), labels.tolist(), weight.tolist()
    codes = [[1.0 if value > 0 else -1.0 for value in row] for row in rows]
    total, count = 0.0, 0
    for code, item in zip(codes, y, strict=True):
        logits = [sum(a * b for a, b in zip(of_class, code, strict=True)) for of_class in w]
        if multi_label:
            for logit, has in zip(logits, item, strict=True):
                total += math.log(1 + math.exp(logit)) - has * logit
                count += 1
        elif any(item):
            normaliser = math.log(sum(math.exp(logit) for logit in logits))
            total += normaliser - logits[item.index(1)]
            count += 1
    penalty = [abs(abs(value) - 1) ** 3 for row in rows for value in row]
    return total / max(count, 1) + quantization * sum(penalty) / len(penalty)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("single", [True, False])
@pytest.mark.parametrize("quantization", [0.0, 0.7])
def test_the_loss_equals_the_formula_in_loops(seed, single, quantization):
    training = training_set(single=single, seed=seed)
    objective = GreedyHash(training, quantization=quantization).double()
    batch = batch_of(training, n=8, seed=seed)
    expected = by_loops(
        batch.z, batch.labels, objective.classifier, quantization=quantization, multi_label=not single
    )
    assert objective(*batch).item() == pytest.approx(expected, rel=1e-12)


def test_the_sign_is_strict_and_its_gradient_is_that_of_the_identity():
    z = torch.tensor([[-3.0, -0.1, 0.0, 0.1, 3.0]], requires_grad=True)
    weights = torch.tensor([[5.0, -4.0, 3.0, 2.0, 1.0]])
    codes = straight_through_sgn(z)
    (codes * weights).sum().backward()
    assert codes.tolist() == [[-1, -1, -1, 1, 1]]
    assert torch.equal(z.grad, weights)


@pytest.mark.parametrize("single", [True, False])
def test_the_gradient_of_z_is_that_of_the_classifier_at_the_code_plus_that_of_the_penalty(single):
    training = training_set(single=single)
    objective = GreedyHash(training, quantization=0.7).double()
    batch = batch_of(training)
    z = batch.z.clone().requires_grad_()
    objective(z, batch.labels, batch.places).backward()
    code = torch.where(batch.z > 0, 1.0, -1.0).double().requires_grad_()
    GreedyHash(training, quantization=0.0).double()(code, batch.labels, batch.places).backward()
    away = batch.z - code.detach()
    expected = code.grad + 0.7 * 3 * away.abs() * away / away.numel()
    assert torch.allclose(z.grad, expected, atol=1e-12)


def test_the_gradient_of_the_classifier_is_that_of_finite_differences():
    training = training_set()
    objective = GreedyHash(training).double()
    batch = batch_of(training)
    assert torch.autograd.gradcheck(lambda weight: objective(*batch), (objective.classifier,))


def test_a_code_has_no_penalty():
    training = training_set()
    codes = torch.ones(2, K)
    labels, places = torch.eye(4)[:2], torch.arange(2)
    losses = [GreedyHash(training, quantization=q)(codes, labels, places).item() for q in (0.0, 9.0)]
    assert losses[0] == losses[1]


def test_the_classifier_follows_from_the_seed():
    first, again, other = (GreedyHash(training_set(seed=seed)).classifier for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
