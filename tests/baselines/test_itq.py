"""ITQ's analytic properties: orthogonal rotation, PCA directions, a loss that never rises."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashnet.baselines import ITQ


def features(n=300, n_features=32, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, n_features)) @ rng.standard_normal((n_features, n_features)) + 1.0


def test_the_rotation_is_orthogonal():
    rotation = ITQ(16).fit(features()).rotation_
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(16), atol=1e-10)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_the_quantisation_loss_never_rises(seed):
    losses = ITQ(8, seed=seed, iterations=20).fit(features(seed=seed)).losses_
    assert len(losses) == 21
    assert (np.diff(losses) <= 1e-12).all()


def test_the_losses_are_those_of_the_codes():
    data = features()
    fitted = ITQ(8, iterations=7).fit(data)
    relaxed = fitted.transform(data)
    bits = np.where(relaxed > 0, 1.0, -1.0)
    assert fitted.losses_[-1] == pytest.approx(((bits - relaxed) ** 2).mean())


def test_the_last_rotation_is_the_best_one_for_the_codes_before_it():
    data = features()
    before, after = (ITQ(8, iterations=i).fit(data) for i in (4, 5))
    bits = np.where(before.transform(data) > 0, 1.0, -1.0)
    projected = (data - after.mean_) @ after.components_
    best = ((bits - projected @ after.rotation_) ** 2).sum()
    rng = np.random.default_rng(1)
    for size in (1e-3, 1e-1, 10.0):
        other, _ = np.linalg.qr(after.rotation_ + size * rng.standard_normal((8, 8)))
        # QR is free to flip columns; the nearest of these rotations is the one to compare with.
        other *= np.sign(np.sum(other * after.rotation_, axis=0))
        assert ((bits - projected @ other) ** 2).sum() > best


@pytest.mark.parametrize("n", [300, 20])
def test_the_components_span_the_main_directions(n):
    data = features(n)
    components = ITQ(8).fit(data).components_
    _, _, directions = np.linalg.svd(data - data.mean(axis=0), full_matrices=False)
    np.testing.assert_allclose(components @ components.T, directions[:8].T @ directions[:8], atol=1e-8)


def test_codes_are_the_signs_of_the_rotated_projection():
    data = features()
    itq = ITQ(16).fit(data)
    expected = (data - itq.mean_) @ itq.components_ @ itq.rotation_
    np.testing.assert_array_equal(itq.encode(data), np.packbits(expected > 0, axis=1))


def test_features_at_the_corners_of_a_cube_lose_nothing():
    corners = np.array([[(i >> b) & 1 for b in range(8)] for i in range(256)]) * 2.0 - 1.0
    axes, _ = np.linalg.qr(np.random.default_rng(3).standard_normal((8, 8)))
    best = min(ITQ(8, seed=seed).fit(corners @ axes).losses_[-1] for seed in range(40))
    assert best == pytest.approx(0.0, abs=1e-6)


def test_more_bits_than_features_are_refused():
    with pytest.raises(ValueError, match=r"at most the number of features .* 32 features, got 40"):
        ITQ(40).fit(features())


def test_more_bits_than_rows_are_refused():
    with pytest.raises(ValueError, match=r"n_samples = 10 .* got 16"):
        ITQ(16).fit(features(10))


def test_negative_iterations_are_refused():
    with pytest.raises(ValueError, match="iterations must be at least 0, got -1"):
        ITQ(8, iterations=-1).fit(features())
