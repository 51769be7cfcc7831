"""KSH: residue and gradient against dense references, spectral start, greedy bits that only help."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from feature_samples import clusters, multi_hot_of, tagged
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import eigh
from scipy.optimize import check_grad

from hashnet.baselines import KSH
from hashnet.baselines.ksh import descend, smoothed, whiten
from hashnet.baselines.ksh_pairs import Residue


def similarities(labels):
    """+1 where two rows share a label, -1 elsewhere: S, literally."""
    return np.where(labels.astype(int) @ labels.T > 0, 1.0, -1.0)


def cost_of(kernel, residue, a):
    return smoothed(residue, kernel @ a)[0]


def gradient_of(kernel, residue, a):
    return kernel.T @ smoothed(residue, kernel @ a)[1]


def centred_kernel(fitted, x):
    return fitted.anchors_.features(x) - fitted.kernel_mean_


@given(seed=st.integers(0, 1000), n_tags=st.integers(1, 5), n_taken=st.integers(0, 6))
@settings(max_examples=40, deadline=None)
def test_the_residue_is_the_dense_matrix(seed, n_tags, n_taken):
    rng = np.random.default_rng(seed)
    labels = (rng.random((40, n_tags)) < 0.4).astype(np.uint8)
    residue, dense = Residue(labels, 8), 8 * similarities(labels)
    kernel, b = rng.standard_normal((40, 5)), rng.standard_normal(40)
    np.testing.assert_allclose(residue.gram(kernel), kernel.T @ dense @ kernel, atol=1e-9)
    for _ in range(n_taken):
        h = rng.choice([-1.0, 1.0], 40)
        residue.take_away(h)
        dense -= np.outer(h, h)
    np.testing.assert_allclose(residue.times(b), dense @ b, atol=1e-9)
    assert residue.quadratic(b) == pytest.approx(b @ dense @ b, abs=1e-8)
    assert residue.loss() == pytest.approx((dense**2).mean() / 64)


def test_the_kernels_of_the_training_rows_are_centred():
    x, y = clusters()
    fitted = KSH(8, n_anchors=50, n_labeled=100, iterations=5).fit(x, y)
    np.testing.assert_allclose(centred_kernel(fitted, x).mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(fitted.transform(x), centred_kernel(fitted, x) @ fitted.projection_)


@pytest.mark.parametrize("n_anchors", [10, 60])
def test_whitening_makes_the_kernel_columns_orthonormal(n_anchors):
    rng = np.random.default_rng(0)
    kernel = rng.standard_normal((40, n_anchors))
    kernel[:, -1] = kernel[:, 0]  # a repeated anchor: one direction less
    white = kernel @ whiten(kernel)
    assert white.shape == (40, min(40, n_anchors - 1))
    np.testing.assert_allclose(white.T @ white, np.eye(white.shape[1]), atol=1e-8)


def test_without_descent_the_first_bit_is_the_spectral_relaxation():
    x, y = clusters(n=200)
    fitted = KSH(8, n_anchors=20, iterations=0).fit(x, y)
    kernel = centred_kernel(fitted, x)
    dense = 8 * similarities(multi_hot_of(y, 6))
    _, vectors = eigh(kernel.T @ dense @ kernel, kernel.T @ kernel)
    best, a = vectors[:, -1], fitted.projection_[:, 0]
    assert a @ kernel.T @ kernel @ a == pytest.approx(200)
    assert abs(np.corrcoef(kernel @ best, kernel @ a)[0, 1]) == pytest.approx(1, abs=1e-7)


def test_the_gradient_is_that_of_the_smoothed_cost():
    rng = np.random.default_rng(2)
    labels = (rng.random((30, 4)) < 0.4).astype(np.uint8)
    residue, kernel = Residue(labels, 8), rng.standard_normal((30, 6))
    residue.take_away(rng.choice([-1.0, 1.0], 30))
    for _ in range(5):
        a = rng.standard_normal(6)
        error = check_grad(partial(cost_of, kernel, residue), partial(gradient_of, kernel, residue), a)
        assert error < 1e-4 * np.linalg.norm(gradient_of(kernel, residue, a))


def test_the_smoothed_cost_tends_to_that_of_the_signs():
    rng = np.random.default_rng(3)
    residue, kernel = (
        Residue(np.eye(5, dtype=np.uint8)[rng.integers(0, 5, 30)], 8),
        rng.standard_normal((30, 6)),
    )
    a = rng.standard_normal(6)
    assert cost_of(kernel, residue, 1e6 * a) == pytest.approx(-residue.quadratic(np.sign(kernel @ a)))


def test_descent_lowers_the_cost_down_to_a_point_without_slope():
    x, y = clusters(n=120)
    fitted = KSH(8, n_anchors=15, iterations=0).fit(x, y)
    kernel, residue = centred_kernel(fitted, x), Residue(multi_hot_of(y, 6), 8)
    start = fitted.projection_[:, 0]
    end = descend(kernel, residue, start, iterations=3000, tolerance=0.0)
    assert cost_of(kernel, residue, end) < cost_of(kernel, residue, start)
    slope_start, slope_end = (np.linalg.norm(gradient_of(kernel, residue, a)) for a in (start, end))
    assert slope_end < 0.05 * slope_start


@pytest.mark.parametrize("seed", range(3))
def test_every_bit_lowers_the_residue_and_losses_are_literal(seed):
    x, y = clusters(seed=seed)
    fitted = KSH(16, seed=seed, n_anchors=60).fit(x, y)
    codes = np.where(fitted.transform(x) > 0, 1.0, -1.0)
    similar = similarities(multi_hot_of(y, 6))
    expected = [np.mean((codes[:, :k] @ codes[:, :k].T / 16 - similar) ** 2) for k in range(17)]
    np.testing.assert_allclose(fitted.losses_, expected, rtol=1e-9)
    assert (np.diff(fitted.losses_) < 0).all()


def test_descent_is_the_literal_accelerated_gradient():
    x, y = clusters(n=120)
    fitted = KSH(8, n_anchors=15, iterations=0).fit(x, y)
    kernel, residue = centred_kernel(fitted, x), Residue(multi_hot_of(y, 6), 8)
    a = last = start = fitted.projection_[:, 0]
    beta, delta, last_delta = 1.0, 1.0, 0.0
    for _ in range(12):
        v = a + (last_delta - 1) / delta * (a - last)
        value, slope = cost_of(kernel, residue, v), gradient_of(kernel, residue, v)
        while True:
            z = v - slope / beta
            bound = value + slope @ (z - v) + beta / 2 * (z - v) @ (z - v)
            if cost_of(kernel, residue, z) <= bound:
                break
            beta *= 2
        last, a = a, z
        last_delta, delta = delta, (1 + np.sqrt(1 + 4 * delta**2)) / 2
    got = descend(kernel, residue, start, iterations=12, tolerance=0.0)
    np.testing.assert_allclose(got, a, rtol=1e-7, atol=1e-9)


def test_descent_is_kept_only_where_it_helps():
    x, y = clusters()
    spectral, smoothed = (KSH(8, n_anchors=60, iterations=i).fit(x, y).losses_ for i in (0, 200))
    assert smoothed[1] <= spectral[1]
    assert smoothed[-1] < spectral[-1]


def test_several_labels_a_row_count_as_similar_where_one_is_shared():
    x, tags = tagged()
    fitted = KSH(16, n_anchors=60).fit(x, tags)
    codes = np.where(fitted.transform(x) > 0, 1.0, -1.0)
    assert fitted.losses_[-1] == pytest.approx(np.mean((codes @ codes.T / 16 - similarities(tags)) ** 2))


def test_only_some_rows_need_be_labelled_ones():
    x, y = clusters()
    few = KSH(16, n_anchors=40, n_labeled=60).fit(x, y)
    assert len(few.losses_) == 17
    bits = np.where(few.transform(x) > 0, 1.0, -1.0)
    inner = bits @ bits.T / 16
    same = y[:, None] == y
    assert inner[same].mean() > inner[~same].mean() + 0.5


@pytest.mark.parametrize(
    ("setting", "value"),
    [("n_anchors", 0), ("n_labeled", 1), ("width", 0.0), ("iterations", -1), ("tolerance", -1.0)],
)
def test_settings_without_meaning_are_refused(setting, value):
    with pytest.raises(ValueError, match=f"{setting} must be"):
        KSH(8, **{setting: value}).fit(*clusters())
