"""LSH keeps angles: the share of differing bits estimates them."""

from __future__ import annotations

import numpy as np
import pytest
from feature_samples import clusters
from hypothesis import given, settings
from hypothesis import strategies as st

from hashnet.baselines import LSH


def test_the_planes_are_gaussian_and_go_through_the_mean():
    x, _ = clusters()
    fitted = LSH(1024).fit(x)
    np.testing.assert_allclose(fitted.mean_, x.mean(axis=0))
    np.testing.assert_allclose(fitted.transform(x), (x - x.mean(axis=0)) @ fitted.projection_)
    assert fitted.projection_.mean() == pytest.approx(0, abs=0.03)
    assert fitted.projection_.std() == pytest.approx(1, abs=0.03)


@given(angle=st.floats(0.05, np.pi), seed=st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_the_share_of_differing_bits_is_the_angle_over_pi(angle, seed):
    lsh = LSH(1024, seed=seed).fit(clusters(n=50, n_features=3)[0])
    pair = np.array([[1.0, 0.0, 0.0], [np.cos(angle), np.sin(angle), 0.0]]) + lsh.mean_
    codes = lsh.encode(pair)
    share = np.bitwise_count(codes[0] ^ codes[1]).sum() / 1024
    # 1,024 independent bits: five standard deviations are at most .079.
    assert share == pytest.approx(angle / np.pi, abs=0.08)


def test_mirrored_features_get_complementary_codes():
    x, _ = clusters()
    lsh = LSH(64).fit(x)
    np.testing.assert_array_equal(lsh.encode(2 * lsh.mean_ - x), ~lsh.encode(x))


def test_there_may_be_more_bits_than_features():
    x, _ = clusters(n_features=4)
    assert LSH(256).fit(x).encode(x).shape == (300, 32)
