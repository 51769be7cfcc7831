"""Figures of a stage, the theorem on sgn codes, and the collapse warning."""

from __future__ import annotations

import pytest
import torch

from hashnet.errors import CollapseWarning
from hashnet.losses import HashNetLoss
from hashnet.training.diagnostics import collapse, measure, sgn, warn_of_collapse

LOSS = HashNetLoss(16)


def figures(z, *, beta=1.0, n_classes=4):
    labels = torch.eye(n_classes)[torch.arange(len(z)) % n_classes]
    return measure(z, labels, LOSS, beta=beta, stage=2, iteration=10)


@pytest.fixture
def z():
    return torch.randn(40, 16, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("beta", [0.1, 2.0, 64.0, 1e6])
def test_switching_beta_at_fixed_weights_leaves_the_loss_on_sgn_codes_exactly_unchanged(z, beta):
    assert figures(z, beta=beta).loss_sgn == figures(z, beta=1.0).loss_sgn


def test_the_loss_on_relaxed_codes_tends_to_that_on_sgn_codes(z):
    metrics = figures(z, beta=1e6)
    assert metrics.loss_relaxed == pytest.approx(metrics.loss_sgn, abs=1e-5)


def test_the_gap_vanishes_as_beta_grows(z):
    gaps = [figures(z, beta=beta).gap for beta in (1.0, 8.0, 64.0, 1e5)]
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[-1] < 1e-3


def test_the_sign_of_zero_is_that_of_packed_codes():
    assert sgn(torch.tensor([-1.0, 0.0, 2.0])).tolist() == [-1, -1, 1]


def test_constant_bits_and_distinct_codes_are_counted():
    z = torch.ones(8, 16)
    z[:4, 0] = -1
    metrics = figures(z)
    assert (metrics.constant_bits, metrics.distinct_codes) == (15, 2)
    assert metrics.bit_balance == pytest.approx(15 / 16)


def test_codes_that_differ_and_a_loss_away_from_ln_2_are_no_collapse(z):
    assert collapse(figures(4 * z), n_bits=16, n_classes=4) is None


def test_a_loss_at_ln_2_is_collapse(z):
    with pytest.warns(CollapseWarning, match="ln 2"):
        assert warn_of_collapse(figures(1e-4 * z), n_bits=16, n_classes=4)


def test_one_code_for_all_is_collapse():
    with pytest.warns(CollapseWarning, match="1 distinct codes among 40 images"):
        assert warn_of_collapse(figures(torch.ones(40, 16)), n_bits=16, n_classes=4)


def test_mostly_constant_bits_are_collapse(z):
    z[:, 4:] = 1
    assert "12 of 16 bits are constant" in str(collapse(figures(4 * z), n_bits=16, n_classes=4))
