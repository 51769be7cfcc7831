"""Figures of a stage, the theorem on sgn codes, and the collapse warning."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hashnet.errors import CollapseWarning
from hashnet.losses import HashNet, TrainingSet
from hashnet.training import diagnostics
from hashnet.training.diagnostics import measure, saturation, sgn

LABELS = np.eye(4, dtype=np.uint8)[np.arange(40) % 4]
HASHNET = HashNet(TrainingSet(LABELS, 16), weighted=False)
SILENT = HASHNET.silent_loss


def figures(z, *, beta=1.0, n_classes=4):
    labels = torch.eye(n_classes)[torch.arange(len(z)) % n_classes]
    return measure(z, labels, torch.arange(len(z)), HASHNET, beta=beta, stage=2, iteration=10)


def collapse(metrics, silent_loss=SILENT):
    return diagnostics.collapse(metrics, n_bits=16, n_classes=4, silent_loss=silent_loss)


def warn_of_collapse(metrics):
    return diagnostics.warn_of_collapse(metrics, n_bits=16, n_classes=4, silent_loss=SILENT)


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
    assert collapse(figures(4 * z)) is None


def test_a_loss_at_ln_2_is_collapse(z):
    with pytest.warns(CollapseWarning, match="ln 2"):
        assert warn_of_collapse(figures(1e-4 * z))


def test_one_code_for_all_is_collapse():
    with pytest.warns(CollapseWarning, match="1 distinct codes among 40 images"):
        assert warn_of_collapse(figures(torch.ones(40, 16)))


def test_mostly_constant_bits_are_collapse(z):
    z[:, 4:] = 1
    assert "12 of 16 bits are constant" in str(collapse(figures(4 * z)))


def test_a_loss_at_ln_2_is_no_collapse_of_a_method_whose_silent_loss_is_another(z):
    metrics = figures(1e-4 * z)
    assert collapse(metrics, silent_loss=None) is None
    assert "sits at 0.695" in str(collapse(metrics, silent_loss=0.695))


def test_saturation_counts_what_is_not_yet_sgn():
    z = torch.tensor([[1.0] * 16, [1e-3] * 8 + [-1.0] * 8])
    figures = saturation(z, HASHNET, beta=10.0)
    assert figures.gap == pytest.approx(8 * (1 - np.tanh(0.01)) / 32, abs=1e-6)
    assert (figures.n, figures.unsaturated, figures.differing_codes) == (2, 8 / 32, 0)


def test_saturation_counts_codes_whose_relaxed_value_lost_its_sign():
    """tanh(beta z) underflows to 0, which is no 1 bit."""
    z = torch.tensor([[1e-45] * 16, [1.0] * 16])
    assert saturation(z, HASHNET, beta=0.1).differing_codes == 1
