"""Bit balance, distinct codes and correlation on codes whose answer is known."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashnet.evaluation import bit_statistics, count_codes, count_distinct


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


def entropy(counts):
    share = np.array(counts) / sum(counts)
    return float(-(share * np.log2(share)).sum())


@given(
    n_bytes=st.sampled_from([1, 3, 8, 9, 16, 24]),
    n=st.integers(1, 60),
    seed=st.integers(0, 999),
    few=st.booleans(),
)
@settings(max_examples=80, deadline=None)
def test_entropies_are_the_literal_ones_and_keep_their_bounds(n_bytes, n, seed, few):
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 2 if few else 256, (n, n_bytes), dtype=np.uint8)
    statistics = bit_statistics(codes)
    counts = list(Counter(code.tobytes() for code in codes).values())
    assert sorted(count_codes(codes).tolist()) == sorted(counts)
    assert statistics.distinct_codes == len(counts)
    assert statistics.code_entropy == pytest.approx(entropy(counts), abs=1e-12)
    assert statistics.largest_share == max(counts) / n
    expected = min(entropy(counts) + (len(counts) - 1) / (2 * n * np.log(2)), 8.0 * n_bytes)
    assert statistics.code_entropy_miller_madow == pytest.approx(expected, abs=1e-12)
    ones = np.unpackbits(codes, axis=1).mean(axis=0)
    alone = sum(entropy([p, 1 - p]) for p in ones if 0 < p < 1)
    assert statistics.bit_entropy == pytest.approx(alone, abs=1e-9)
    assert 0 <= statistics.code_entropy <= min(np.log2(n), 8 * n_bytes) + 1e-9
    # Subadditivity: whole codes never say more than their bits one by one.
    assert statistics.code_entropy <= statistics.bit_entropy


def test_all_codes_equally_often_have_all_the_entropy_there_is():
    statistics = bit_statistics(np.arange(256, dtype=np.uint8)[:, None])
    assert statistics.code_entropy == pytest.approx(8)
    assert statistics.bit_entropy == pytest.approx(8)
    assert statistics.mean_imbalance == 0


def test_a_repeated_bit_says_nothing_more():
    statistics = bit_statistics(np.array([[0b00000000], [0b11000000]] * 5, dtype=np.uint8))
    assert (statistics.code_entropy, statistics.bit_entropy) == pytest.approx((1, 2))


def test_collapsed_codes_have_no_entropy():
    statistics = bit_statistics(np.zeros((9, 16), dtype=np.uint8))
    assert (statistics.code_entropy, statistics.largest_share, statistics.mean_imbalance) == (0, 1, 0.5)
