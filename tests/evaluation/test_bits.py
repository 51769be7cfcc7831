"""Bit balance, distinct codes and correlation on codes whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from hashnet.evaluation import bit_statistics, count_distinct


def test_balance_is_the_share_of_ones_in_bit_order():
    codes = np.array([[0b10000000], [0b11000000]], dtype=np.uint8)
    assert bit_statistics(codes).balance[:3] == (1.0, 0.5, 0.0)


def test_distinct_codes_are_counted_once():
    codes = np.array([[1, 2], [1, 2], [2, 1], [0, 0]], dtype=np.uint8)
    assert count_distinct(codes) == 3


def test_correlation_is_that_of_numpy():
    rng = np.random.default_rng(0)
    bits = rng.random((400, 16)) < rng.random(16) * 0.6 + 0.2
    bits[:, 3] = bits[:, 2]
    expected = np.abs(np.corrcoef(bits.T.astype(float)))[~np.eye(16, dtype=bool)]
    statistics = bit_statistics(np.packbits(bits, axis=1))
    assert statistics.mean_abs_correlation == pytest.approx(expected.mean(), abs=1e-6)
    assert statistics.max_abs_correlation == pytest.approx(1.0, abs=1e-6)


def test_a_constant_bit_is_counted_and_uncorrelated():
    statistics = bit_statistics(np.zeros((5, 2), dtype=np.uint8))
    assert (statistics.constant_bits, statistics.max_abs_correlation) == (16, 0.0)


def test_no_codes_have_no_statistics():
    with pytest.raises(ValueError, match="n >= 1"):
        bit_statistics(np.zeros((0, 2), dtype=np.uint8))
