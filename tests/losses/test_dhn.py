"""DHN against its two terms written as loops, and the law of its quantisation term."""

from __future__ import annotations

import math

import pytest
import torch
from objective_cases import batch_of, gradients_are_those_of_finite_differences, training_set

from hashnet.losses import DHN
from hashnet.losses.quantization import bimodal_laplacian


def by_loops(z, labels, *, alpha, quantization):
    """The loss in Python floats, pair by pair and bit by bit."""
    g = [[math.tanh(value) for value in row] for row in z.tolist()]
    y = labels.tolist()
    likelihood, n_pairs = 0.0, 0
    for i in range(len(g)):
        for j in range(len(g)):
            if i == j:
                continue
            s = 1.0 if any(a and b for a, b in zip(y[i], y[j], strict=True)) else 0.0
            d = alpha * sum(a * b for a, b in zip(g[i], g[j], strict=True))
            likelihood += math.log(1 + math.exp(d)) - s * d
            n_pairs += 1
    bits = [math.log(math.cosh(abs(value) - 1)) for row in g for value in row]
    return likelihood / n_pairs + quantization * sum(bits) / len(bits)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("single", [True, False])
@pytest.mark.parametrize("settings", [{"alpha": 1.0, "quantization": 0.1}, {"alpha": 0.2, "quantization": 3}])
def test_the_loss_equals_the_formula_in_loops(seed, single, settings):
    training = training_set(single=single)
    batch = batch_of(training, seed=seed)
    loss = DHN(training, **settings)(*batch).item()
    assert loss == pytest.approx(by_loops(batch.z, batch.labels, **settings), rel=1e-12)


def test_the_gradient_is_that_of_finite_differences():
    training = training_set()
    assert gradients_are_those_of_finite_differences(DHN(training, quantization=2.0), batch_of(training))


def test_the_quantisation_term_and_its_gradient_vanish_at_the_corners_of_the_cube():
    g = torch.tensor([[1.0, -1.0, 1.0]], dtype=torch.float64, requires_grad=True)
    value = bimodal_laplacian(g)
    value.backward()
    assert value.item() == pytest.approx(0, abs=1e-15)
    assert g.grad.abs().max() < 1e-15


def test_the_quantisation_term_draws_to_the_nearer_corner():
    g = torch.tensor([[0.5, -0.5, 1.5, -1.5]], dtype=torch.float64, requires_grad=True)
    bimodal_laplacian(g).backward()
    assert g.grad.sign().tolist() == [[-1, 1, 1, -1]]


def test_the_quantisation_term_is_nearly_the_distance_to_the_corner_where_that_is_large():
    g = torch.full((1, 1), 500.0, dtype=torch.float64)
    assert bimodal_laplacian(g).item() == pytest.approx(499 - math.log(2))


def test_a_batch_of_one_item_has_no_pairs():
    training = training_set()
    with pytest.raises(ValueError, match="at least two items"):
        DHN(training)(*batch_of(training, n=1))
