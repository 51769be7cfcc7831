"""OrthoHash against its softmax of cosines in loops, and the batch norm that becomes part of the head."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from objective_cases import K, batch_of, gradients_are_those_of_finite_differences, training_set

from hashnet.losses import OrthoHash
from hashnet.models import HashHead


def by_loops(g, labels, targets, *, margin, scale):
    """The loss of normalised outputs g in Python floats."""
    total, count = 0.0, 0
    for row, item in zip(g.tolist(), labels.tolist(), strict=True):
        if not any(item):
            continue
        length = math.sqrt(sum(value * value for value in row))
        cosines = [
            sum(a * b for a, b in zip(row, target, strict=True)) / (length * math.sqrt(len(row)))
            for target in targets.tolist()
        ]
        logits = [scale * (cosine - margin * has) for cosine, has in zip(cosines, item, strict=True)]
        normaliser = math.log(sum(math.exp(logit) for logit in logits))
        n_labels = sum(item)
        total += sum(has / n_labels * (normaliser - logit) for has, logit in zip(item, logits, strict=True))
        count += 1
    return total / max(count, 1)


def normalised(z, norm):
    """Batch norm in training, in numpy: statistics of the batch with divisor n."""
    x = z.numpy()
    weight, bias = norm.weight.detach().numpy(), norm.bias.detach().numpy()
    return (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + norm.eps) * weight + bias


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("single", [True, False])
@pytest.mark.parametrize("settings", [{"margin": 0.2, "scale": 8.0}, {"margin": 0.0, "scale": 1.0}])
def test_the_loss_equals_the_formula_in_loops(seed, single, settings):
    training = training_set(single=single)
    objective = OrthoHash(training, **settings).double()
    with torch.no_grad():
        objective.norm.weight += torch.linspace(-0.5, 0.5, K)
        objective.norm.bias += torch.linspace(-1, 1, K)
    batch = batch_of(training, n=8, seed=seed)
    g = normalised(batch.z, objective.norm)
    expected = by_loops(g, batch.labels, objective.targets, **settings)
    assert objective(*batch).item() == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("single", [True, False])
def test_the_gradients_are_those_of_finite_differences(single):
    training = training_set(single=single)
    assert gradients_are_those_of_finite_differences(OrthoHash(training), batch_of(training))


def test_targets_are_orthogonal():
    targets = OrthoHash(training_set()).targets
    assert torch.equal(targets @ targets.T, K * torch.eye(4))


def test_a_margin_raises_the_loss():
    training = training_set()
    batch = batch_of(training)
    objectives = [OrthoHash(training, margin=margin).double() for margin in (0.0, 0.2, 0.5)]
    losses = [objective(*batch).item() for objective in objectives]
    assert losses == sorted(losses)
    assert losses[0] < losses[-1]


def test_in_evaluation_the_running_statistics_are_used_and_kept():
    training = training_set()
    objective = OrthoHash(training).double()
    for seed in range(30):
        objective(*batch_of(training, seed=seed))
    objective.eval()
    before = {name: value.clone() for name, value in objective.state_dict().items()}
    rows = batch_of(training)
    together = objective.relax(rows.z)
    alone = torch.cat([objective.relax(row[None]) for row in rows.z])
    assert torch.equal(together, alone)
    assert all(torch.equal(value, before[name]) for name, value in objective.state_dict().items())


@pytest.mark.parametrize("hidden", [0, 10])
def test_the_finished_head_gives_what_head_and_batch_norm_gave(hidden):
    training = training_set()
    objective, head = OrthoHash(training).double(), HashHead(5, K, hidden=hidden).double()
    x = torch.randn(6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        objective.norm.weight.mul_(torch.linspace(-1, 2, K))
        objective.norm.bias.add_(torch.linspace(-1, 1, K))
    for seed in range(20):
        batch = batch_of(training, seed=seed)
        objective(head(x) + 3 * batch.z, batch.labels, batch.places)
    objective.eval()
    before = objective.relax(head(x)).detach()
    objective.finish(head)
    assert torch.allclose(head(x), before, atol=1e-12)
    assert torch.equal(objective.relax(head(x)) > 0, before > 0)


def test_a_batch_without_labels_has_no_loss():
    training = training_set()
    batch = batch_of(training)
    assert OrthoHash(training)(batch.z.float(), 0 * batch.labels, batch.places).item() == 0
