"""LSH keeps angles: the share of differing bits estimates them."""

from __future__ import annotations

import numpy as np
import pytest

from hashnet.baselines import LSH


def features(n=50, n_features=20, seed=0):
    return np.random.default_rng(seed).standard_normal((n, n_features)) + 3.0


def test_the_share_of_differing_bits_is_the_angle_over_pi():
    data = features(n=2, n_features=3)
    lsh = LSH(1024).fit(data + np.array([[0.0] * 3, [1.0] * 3]))
    pair = np.array([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]]) + lsh.mean
    codes = lsh.encode(pair)
    assert np.bitwise_count(codes[0] ^ codes[1]).sum() / 1024 == pytest.approx(0.25, abs=0.05)


def test_mirrored_features_get_complementary_codes():
    data = features()
    lsh = LSH(64).fit(data)
    np.testing.assert_array_equal(lsh.encode(2 * lsh.mean - data), ~lsh.encode(data))


def test_a_seed_repeats_and_another_differs():
    data = features()
    one, same, other = (LSH(64, seed).fit(data).encode(data) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_there_may_be_more_bits_than_features():
    assert LSH(256).fit(features(n_features=4)).encode(features(n_features=4)).shape == (50, 32)


def test_encoding_before_fitting_is_refused():
    with pytest.raises(ValueError, match="LSH is not fitted"):
        LSH(8).encode(features())


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_not_finite_are_refused(value):
    data = features()
    data[7, 3] = value
    with pytest.raises(ValueError, match="row 7"):
        LSH(8).fit(data)


def test_another_number_of_features_is_refused():
    with pytest.raises(ValueError, match="must have 20 columns"):
        LSH(8).fit(features()).encode(features(n_features=19))


def test_codes_are_not_taken_for_features():
    with pytest.raises(TypeError, match="real numbers"):
        LSH(8).fit([[1.0, 2.0]])
