"""ITQ's analytic properties: orthogonal rotation, PCA directions, a loss that never rises."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashnet.baselines import ITQ
from hashnet.codes import pack


def features(n=300, n_features=32, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, n_features)) @ rng.standard_normal((n_features, n_features)) + 1.0


def test_the_rotation_is_orthogonal():
    rotation = ITQ(16).fit(features()).rotation
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(16), atol=1e-10)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_the_quantisation_loss_never_rises(seed):
    losses = ITQ(8, seed, iterations=20).fit(features(seed=seed)).losses
    assert len(losses) == 21
    assert (np.diff(losses) <= 1e-12).all()


def test_the_components_span_the_main_directions():
    data = features()
    components = ITQ(8).fit(data).components
    _, _, directions = np.linalg.svd(data - data.mean(axis=0), full_matrices=False)
    np.testing.assert_allclose(components @ components.T, directions[:8].T @ directions[:8], atol=1e-8)


def test_codes_are_the_signs_of_the_rotated_projection():
    data = features()
    itq = ITQ(16).fit(data)
    expected = pack((data - itq.mean) @ itq.components @ itq.rotation)
    np.testing.assert_array_equal(itq.encode(data), expected)


def test_features_at_the_corners_of_a_cube_lose_nothing():
    corners = np.array([[(i >> b) & 1 for b in range(8)] for i in range(256)]) * 2.0 - 1.0
    axes, _ = np.linalg.qr(np.random.default_rng(3).standard_normal((8, 8)))
    best = min(ITQ(8, seed).fit(corners @ axes).losses[-1] for seed in range(5))
    assert best == pytest.approx(0.0, abs=1e-6)


def test_learning_leaves_the_features_alone():
    data = features()
    before = data.copy()
    ITQ(8).fit(data)
    np.testing.assert_array_equal(data, before)


def test_more_bits_than_features_are_refused():
    with pytest.raises(ValueError, match="at most the number of features, 32, got 40"):
        ITQ(40).fit(features())


def test_encoding_before_fitting_is_refused():
    with pytest.raises(ValueError, match="ITQ is not fitted"):
        ITQ(8).encode(features())


def test_negative_iterations_are_refused():
    with pytest.raises(ValueError, match="iterations must be at least 0, got -1"):
        ITQ(8, iterations=-1)
