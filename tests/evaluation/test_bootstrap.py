"""Bootstrap intervals: the literal resampling, the laws, and how often they cover the truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hashnet.evaluation import bootstrap_means

shares = st.floats(0, 1, width=32)
values = st.integers(1, 60).flatmap(lambda n: arrays(np.float64, n, elements=shares))


def test_the_interval_is_that_of_literal_resampling():
    x = np.random.default_rng(3).random(50)
    rng = np.random.default_rng(7)
    means = [x[rng.integers(0, 50, 50)].mean() for _ in range(1)]
    one = bootstrap_means({"x": x}, resamples=1, seed=7)["x"]
    assert one.low == one.high == pytest.approx(means[0])
    rng = np.random.default_rng(7)
    many = np.array([x[rng.integers(0, 50, 50)].mean() for _ in range(400)])
    found = bootstrap_means({"x": x}, resamples=400, level=0.9, seed=7)["x"]
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(many, [5, 95])))


@given(values, st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_the_point_estimate_lies_in_the_interval_and_the_interval_in_the_data(x, seed):
    found = bootstrap_means({"x": x}, resamples=200, seed=seed)["x"]
    assert found.mean == pytest.approx(x.mean())
    assert found.low <= found.mean <= found.high
    assert x.min() - 1e-9 <= found.low
    assert found.high <= x.max() + 1e-9


@given(shares, st.integers(1, 50))
def test_queries_that_agree_leave_no_doubt(value, n):
    found = bootstrap_means({"x": np.full(n, value)}, resamples=20)["x"]
    assert found.low == found.mean == found.high


@given(values)
@settings(max_examples=30, deadline=None)
def test_a_wider_level_gives_a_wider_interval(x):
    narrow, wide = (bootstrap_means({"x": x}, resamples=200, level=level)["x"] for level in (0.5, 0.99))
    assert wide.low <= narrow.low
    assert narrow.high <= wide.high


def test_all_figures_are_resampled_alike():
    x = np.random.default_rng(0).random(80)
    found = bootstrap_means({"a": x, "b": 1 - x, "sum": x + (1 - x)}, seed=4)
    assert (found["a"].low, found["a"].high) == pytest.approx((1 - found["b"].high, 1 - found["b"].low))
    assert found["sum"].high - found["sum"].low == pytest.approx(0, abs=1e-12)


def test_the_seed_decides_and_chunks_do_not_show(monkeypatch):
    x = np.random.default_rng(0).random(40)
    one = bootstrap_means({"x": x}, seed=1)
    assert one == bootstrap_means({"x": x}, seed=1) != bootstrap_means({"x": x}, seed=2)
    monkeypatch.setattr("hashnet.evaluation.bootstrap._WEIGHTS", 40 * 7)
    chunked = bootstrap_means({"x": x}, seed=1)
    assert (chunked["x"].low, chunked["x"].high) == pytest.approx((one["x"].low, one["x"].high))


def test_intervals_cover_the_true_mean_about_as_often_as_they_say():
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(300):
        found = bootstrap_means({"x": rng.beta(2, 3, 120)}, resamples=200, seed=trial)["x"]
        covered += found.low <= 0.4 <= found.high
    # 0.95 less four standard errors of a share over 300 trials.
    assert covered / 300 > 0.95 - 4 * np.sqrt(0.95 * 0.05 / 300)
    assert covered < 300


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"values": {}}, "one length of at least 1"),
        ({"values": {"a": np.zeros(0)}}, "one length of at least 1"),
        ({"values": {"a": np.zeros(2), "b": np.zeros(3)}}, "one length"),
        ({"resamples": 0}, "resamples must be at least 1, got 0"),
        ({"level": 1.0}, "level must lie between 0 and 1, got 1.0"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        bootstrap_means(**{"values": {"a": np.zeros(2)}, **arguments})
