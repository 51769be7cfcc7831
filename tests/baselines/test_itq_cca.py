"""ITQ-CCA: canonical directions as a literal eigenproblem and scikit-learn's CCA have them, then ITQ."""

from __future__ import annotations

import numpy as np
import pytest
from feature_samples import clusters, multi_hot_of, tagged
from scipy.linalg import eigh
from sklearn.cross_decomposition import CCA

from hashnet.baselines import ITQCCA


def literal_cca(x, y, ridge, label_ridge):
    """Squared correlations and directions of Sxy (Syy + s I)^-1 Syx w = c^2 (Sxx + r I) w, falling."""
    n_features = x.shape[1]
    covariance = np.cov(np.hstack([x, y]).T)
    sxx = covariance[:n_features, :n_features] + ridge * np.eye(n_features)
    syy = covariance[n_features:, n_features:] + label_ridge * np.eye(y.shape[1])
    sxy = covariance[:n_features, n_features:]
    squares, directions = eigh(sxy @ np.linalg.inv(syy) @ sxy.T, sxx)
    return squares[::-1], directions[:, ::-1], sxx


@pytest.mark.parametrize("ridge", [1e-4, 1.0])
@pytest.mark.parametrize("sample", ["classes", "tags"])
def test_directions_and_correlations_are_those_of_the_eigenproblem(sample, ridge):
    x, y = tagged() if sample == "tags" else clusters()
    rows = y if sample == "tags" else multi_hot_of(y, 6)
    fitted = ITQCCA(8, ridge=ridge, label_ridge=1e-3).fit(x, y)
    squares, directions, sxx = literal_cca(x, rows, ridge, 1e-3)
    kept = len(fitted.correlations_)
    assert kept == (7 if sample == "tags" else 5)
    np.testing.assert_allclose(fitted.correlations_, np.sqrt(squares[:kept]), rtol=1e-8)
    assert (np.diff(fitted.correlations_) <= 0).all()
    unscaled = fitted.components_ / fitted.correlations_
    np.testing.assert_allclose(unscaled.T @ sxx @ unscaled, np.eye(kept), atol=1e-8)
    np.testing.assert_allclose(np.abs(directions[:, :kept].T @ sxx @ unscaled), np.eye(kept), atol=1e-6)


def test_without_ridge_the_correlations_are_scikit_learns():
    x, tags = tagged()
    fitted = ITQCCA(8, ridge=1e-9, label_ridge=1e-9).fit(x, tags)
    of_x, of_y = CCA(7, max_iter=5000, tol=1e-12).fit_transform(x, tags.astype(float))
    expected = [np.corrcoef(of_x[:, i], of_y[:, i])[0, 1] for i in range(7)]
    np.testing.assert_allclose(fitted.correlations_, expected, rtol=1e-5)


def test_a_direction_is_scaled_by_its_correlation():
    x, y = clusters()
    plain, scaled, squared = (ITQCCA(8, correlation_power=p).fit(x, y) for p in (0, 1, 2))
    np.testing.assert_allclose(scaled.components_, plain.components_ * plain.correlations_)
    np.testing.assert_allclose(squared.components_, plain.components_ * plain.correlations_**2)


@pytest.mark.parametrize("n_bits", [8, 32])
def test_the_loss_never_rises_and_the_rotation_keeps_its_rows_orthonormal(n_bits):
    fitted = ITQCCA(n_bits).fit(*clusters(n_classes=12))
    assert (np.diff(fitted.losses_) <= 1e-12).all()
    rotation = fitted.rotation_
    assert rotation.shape == (min(n_bits, 11), n_bits)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(len(rotation)), atol=1e-10)


def test_more_bits_than_classes_are_a_square_rotation_of_directions_filled_up_with_zeros():
    x, y = clusters(n_classes=6)
    fitted = ITQCCA(32, iterations=3).fit(x, y)
    centred = x - x.mean(axis=0)
    padded = np.pad(centred @ fitted.components_, ((0, 0), (0, 32 - 5)))
    rotation, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((32, 32)))
    for _ in range(3):
        codes = np.where(padded @ rotation > 0, 1.0, -1.0)
        left, _, right = np.linalg.svd(padded.T @ codes)
        rotation = left @ right
    np.testing.assert_array_equal(fitted.encode(x), np.packbits(padded @ rotation > 0, axis=1))


def test_a_greater_ridge_follows_noise_less():
    x, y = clusters(n=400, n_features=200, n_classes=4, spread=3.0, seed=5)
    x, held = x[:200], x[200:]
    labels = multi_hot_of(y, 4)
    correlations = []
    for ridge in (1e-4, 30.0):
        fitted = ITQCCA(8, ridge=ridge).fit(x, y[:200])
        seen = (held - fitted.mean_) @ fitted.components_
        predicted = seen @ np.linalg.lstsq((x - fitted.mean_) @ fitted.components_, labels[:200])[0]
        correlations.append(np.corrcoef(predicted.ravel(), labels[200:].ravel())[0, 1])
    assert correlations[1] > correlations[0] + 0.05


@pytest.mark.parametrize("setting", ["ridge", "label_ridge"])
def test_a_ridge_of_zero_is_refused(setting):
    with pytest.raises(ValueError, match=f"{setting} must be finite and above 0"):
        ITQCCA(8, **{setting: 0.0}).fit(*clusters())
