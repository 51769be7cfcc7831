"""SDH: every step of the alternation is optimal given the rest, so the objective never rises."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from feature_samples import clusters, multi_hot_of, tagged
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from hashnet.baselines import SDH
from hashnet.baselines.sdh import improve_codes


def features_of(fitted, x):
    return np.hstack([fitted.anchors_.features(x), np.ones((len(x), 1))])


def objective(fitted, x, labels):
    """|Y - B W|^2 + lambda |W|^2 + nu (|B - F P|^2 + r |P|^2), literally."""
    b, w, p = fitted.codes_.astype(float), fitted.classifier_, fitted.projection_
    f = features_of(fitted, x)
    return (
        ((labels - b @ w) ** 2).sum()
        + fitted.weight_decay * (w**2).sum()
        + fitted.code_fit * (((b - f @ p) ** 2).sum() + fitted.ridge * (p**2).sum())
    )


@given(
    weight_decay=st.sampled_from([1e-3, 1.0, 100.0]),
    code_fit=st.sampled_from([1e-5, 1e-2, 1.0]),
    ridge=st.sampled_from([1e-2, 10.0]),
    seed=st.integers(0, 100),
)
@settings(max_examples=20, deadline=None)
def test_no_step_raises_the_objective(weight_decay, code_fit, ridge, seed):
    x, y = clusters(150, seed=seed)
    fitted = SDH(16, seed=seed, n_anchors=40, weight_decay=weight_decay, code_fit=code_fit, ridge=ridge).fit(
        x, y
    )
    losses = np.array(fitted.losses_)
    assert len(losses) == 1 + 3 * 5
    assert (np.diff(losses) <= 1e-10 * losses[0]).all()
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("sample", ["classes", "tags"])
def test_the_last_loss_is_the_literal_objective(sample):
    x, y = tagged() if sample == "tags" else clusters()
    fitted = SDH(16, n_anchors=40, code_fit=0.1).fit(x, y)
    rows = y if sample == "tags" else multi_hot_of(y, 6)
    assert fitted.losses_[-1] == pytest.approx(objective(fitted, x, rows))


def test_classifier_and_projection_are_ridge_regressions():
    x, y = clusters()
    fitted = SDH(16, n_anchors=40, weight_decay=2.0, ridge=0.5).fit(x, y)
    codes = fitted.codes_.astype(float)
    labels = multi_hot_of(y, 6).astype(float)
    classifier = Ridge(alpha=2.0, fit_intercept=False).fit(codes, labels).coef_.T
    projection = Ridge(alpha=0.5, fit_intercept=False).fit(features_of(fitted, x), codes).coef_.T
    np.testing.assert_allclose(fitted.classifier_, classifier, atol=1e-8)
    np.testing.assert_allclose(fitted.projection_, projection, atol=1e-6)


def test_codes_of_features_are_signs_of_the_projected_kernels():
    x, y = clusters()
    fitted = SDH(16, n_anchors=40).fit(x, y)
    np.testing.assert_allclose(fitted.transform(x), features_of(fitted, x) @ fitted.projection_)


def code_objective(codes, pull, gram):
    return np.einsum("nl,lm,nm->n", codes, gram, codes) - 2 * (codes * pull).sum(axis=1)


@given(seed=st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_one_pass_sets_each_bit_to_the_better_of_its_two_values(seed):
    rng = np.random.default_rng(seed)
    codes = rng.choice([-1.0, 1.0], (30, 5))
    pull, w = rng.standard_normal((30, 5)), rng.standard_normal((5, 3))
    expected = codes.copy()
    for bit in range(5):
        tries = []
        for value in (-1.0, 1.0):
            tried = expected.copy()
            tried[:, bit] = value
            tries.append(code_objective(tried, pull, w @ w.T))
        expected[:, bit] = np.where(tries[1] < tries[0], 1.0, -1.0)
    improve_codes(codes, pull, w @ w.T, passes=1)
    np.testing.assert_array_equal(codes, expected)


def test_codes_that_came_to_rest_cannot_be_bettered_by_any_one_bit():
    rng = np.random.default_rng(4)
    codes, pull = rng.choice([-1.0, 1.0], (200, 6)), rng.standard_normal((200, 6))
    w = rng.standard_normal((6, 4))
    improve_codes(codes, pull, w @ w.T, passes=100)
    rest = code_objective(codes, pull, w @ w.T)
    for bit in range(6):
        flipped = codes.copy()
        flipped[:, bit] *= -1
        assert (code_objective(flipped, pull, w @ w.T) >= rest - 1e-12).all()


def test_bits_that_do_not_interact_are_found_exactly():
    rng = np.random.default_rng(6)
    codes, pull, gram = np.ones((20, 4)), rng.standard_normal((20, 4)), np.diag([1.0, 2.0, 3.0, 4.0])
    improve_codes(codes, pull, gram, passes=1)
    every = np.array(list(itertools.product([-1.0, 1.0], repeat=4)))
    for row in range(20):
        best = every[np.argmin(code_objective(every, np.tile(pull[row], (16, 1)), gram))]
        np.testing.assert_array_equal(codes[row], best)


def test_a_bit_with_nothing_to_choose_stays():
    codes = np.array([[1.0, -1.0]])
    improve_codes(codes, np.zeros((1, 2)), np.zeros((2, 2)), passes=3)
    np.testing.assert_array_equal(codes, [[1.0, -1.0]])


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("n_anchors", 0),
        ("width", 0.0),
        ("weight_decay", 0.0),
        ("code_fit", -1.0),
        ("ridge", 0.0),
        ("iterations", 0),
        ("passes", 0),
    ],
)
def test_settings_without_meaning_are_refused(setting, value):
    with pytest.raises(ValueError, match=f"{setting} must be"):
        SDH(8, **{setting: value}).fit(*clusters())
