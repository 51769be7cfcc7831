"""BRE: exact line searches against brute force, an objective that never rises, and its pairs."""

from __future__ import annotations

import numpy as np
import pytest
from feature_samples import clusters, multi_hot_of, tagged
from hypothesis import given, settings
from hypothesis import strategies as st

from hashnet.baselines import BRE
from hashnet.baselines.bre import best_step, reconstruct
from hashnet.baselines.bre_pairs import Pairs, choose_pairs


def all_pairs(n, seed=0):
    rng = np.random.default_rng(seed)
    first, second = np.triu_indices(n, 1)
    return Pairs(first, second, rng.random(len(first)))


def cost_at(t, value, column, pairs, cost):
    on = value + t * column > 0
    return cost[on[pairs.first] != on[pairs.second]].sum()


@given(seed=st.integers(0, 5000), n=st.integers(2, 14))
@settings(max_examples=80, deadline=None)
def test_the_step_is_the_exact_minimum_along_a_weight(seed, n):
    rng = np.random.default_rng(seed)
    value, column = rng.standard_normal(n), rng.standard_normal(n)
    column[rng.random(n) < 0.2] = 0.0
    pairs = all_pairs(n)
    cost = rng.standard_normal(len(pairs.first))
    step = best_step(value, column, pairs, cost)
    moving = column != 0
    thresholds = np.sort(-value[moving] / column[moving])
    # One t in each interval between thresholds, the two unbounded ones included: brute force over all.
    tries = [0.0]
    if moving.any():
        tries += [thresholds[0] - 1, thresholds[-1] + 1, *((thresholds[1:] + thresholds[:-1]) / 2)]
    best = min(cost_at(t, value, column, pairs, cost) for t in tries)
    assert cost_at(step, value, column, pairs, cost) == pytest.approx(best, abs=1e-9)
    # And a dense grid finds nothing better.
    grid = np.linspace(-20, 20, 801)
    assert min(cost_at(t, value, column, pairs, cost) for t in grid) >= best - 1e-9


def test_no_step_is_made_where_nothing_is_gained():
    pairs = all_pairs(6)
    value = np.linspace(-1, 1, 6)
    assert best_step(value, np.zeros(6), pairs, pairs.target) == 0.0
    # Bits all equal cost 0, and every cost is positive: there is no better place.
    assert best_step(np.ones(6), np.linspace(0.1, 1, 6), pairs, pairs.target) == 0.0


def test_equal_thresholds_flip_together():
    pairs = Pairs(np.array([0]), np.array([1]), np.array([0.0]))
    # Rows 0 and 1 flip at the same t: no step can part them, however much a parting would gain.
    assert best_step(np.array([1.0, 2.0]), np.array([1.0, 2.0]), pairs, np.array([-1.0])) == 0.0


@pytest.mark.parametrize("seed", range(5))
def test_the_objective_never_rises_and_is_the_literal_one(seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((40, 6))
    kernel, pairs = x @ x.T, all_pairs(40, seed)
    anchors = [np.sort(rng.choice(40, 7, replace=False)) for _ in range(8)]
    weights = np.zeros((40, 8))
    for bit, own in enumerate(anchors):
        weights[own, bit] = rng.standard_normal(7)

    def literal():
        bits = kernel @ weights > 0
        hamming = (bits[pairs.first] != bits[pairs.second]).mean(axis=1)
        return np.mean((pairs.target - hamming) ** 2)

    before = literal()
    losses = reconstruct(kernel, anchors, weights, pairs, sweeps=4, tolerance=0.0)
    assert losses[0] == pytest.approx(before)
    assert losses[-1] == pytest.approx(literal())
    assert (np.diff(losses) <= 1e-12).all()
    assert losses[-1] < losses[0]
    for bit, own in enumerate(anchors):
        assert set(np.flatnonzero(weights[:, bit])) <= set(own)


def test_when_it_rests_no_single_weight_can_better_it():
    rng = np.random.default_rng(7)
    x = rng.standard_normal((25, 5))
    kernel, pairs = x @ x.T, all_pairs(25)
    anchors = [np.arange(4 * b, 4 * b + 4) for b in range(4)]
    weights = np.zeros((25, 4))
    for bit, own in enumerate(anchors):
        weights[own, bit] = rng.standard_normal(4)
    losses = reconstruct(kernel, anchors, weights, pairs, sweeps=100, tolerance=0.0)
    for bit, own in enumerate(anchors):
        for anchor in own:
            for t in np.linspace(-30, 30, 121):
                tried = weights.copy()
                tried[anchor, bit] += t
                bits = kernel @ tried > 0
                hamming = (bits[pairs.first] != bits[pairs.second]).mean(axis=1)
                assert np.mean((pairs.target - hamming) ** 2) >= losses[-1] - 1e-12


def test_losses_of_a_fit_are_those_of_its_codes():
    x, y = clusters(80)
    fitted = BRE(16, n_train=80, n_anchors=20, n_pairs=None).fit(x, y)
    bits = fitted.transform(x) > 0
    first, second = np.triu_indices(80, 1)
    wanted = (y[first] != y[second]).astype(float)
    expected = np.mean((wanted - (bits[first] != bits[second]).mean(axis=1)) ** 2)
    assert fitted.losses_[-1] == pytest.approx(expected)
    assert (np.diff(fitted.losses_) <= 0).all()


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_without_labels_hamming_distances_follow_those_of_the_features(kernel):
    x, _ = clusters(100, n_features=8)
    fitted = BRE(64, n_train=100, n_anchors=20, sweeps=3, kernel=kernel).fit(x)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    distances = 0.5 * ((unit[:, None] - unit) ** 2).sum(axis=2)
    bits = fitted.transform(x) > 0
    hamming = (bits[:, None] != bits).mean(axis=2)
    upper = np.triu_indices(100, 1)
    assert np.corrcoef(distances[upper], hamming[upper])[0, 1] > 0.8
    if kernel == "linear":
        assert np.abs(distances[upper] - hamming[upper]).mean() < 0.1


def test_the_scale_of_a_row_does_not_matter():
    x, y = clusters()
    fitted = BRE(16, n_train=80, sweeps=1).fit(x, y)
    scale = np.random.default_rng(0).uniform(0.1, 10, (300, 1))
    np.testing.assert_array_equal(fitted.encode(scale * x), fitted.encode(x))


def test_each_bit_has_anchors_of_its_own():
    fitted = BRE(16, n_train=100, n_anchors=12, sweeps=1).fit(*clusters())
    used = [frozenset(np.flatnonzero(fitted.weights_[:, bit])) for bit in range(16)]
    assert max(map(len, used)) <= 12
    assert len(set(used)) == 16


def test_half_of_the_pairs_are_near_and_each_counts_once():
    labels = multi_hot_of(clusters(60)[1], 6).astype(int)
    target = np.where(labels @ labels.T > 0, 0.0, 1.0)
    pairs = choose_pairs(target, 10, rng=np.random.default_rng(0))
    assert (pairs.first < pairs.second).all()
    assert len(set(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))) == len(pairs.first)
    np.testing.assert_array_equal(pairs.target, target[pairs.first, pairs.second])
    partners = np.bincount(np.concatenate([pairs.first, pairs.second]), minlength=60)
    assert partners.min() >= 10
    similar = np.concatenate([pairs.first[pairs.target == 0], pairs.second[pairs.target == 0]])
    assert np.bincount(similar, minlength=60).min() >= 5
    assert 0.3 < (pairs.target == 0).mean() < 0.7


def test_all_pairs_are_taken_on_request_or_when_fewer_exist():
    target = np.random.default_rng(0).random((9, 9))
    for n_pairs in (None, 8, 100):
        pairs = choose_pairs(target, n_pairs, rng=np.random.default_rng(0))
        assert len(pairs.first) == 36


def test_rows_with_several_labels_are_near_where_one_is_shared():
    x, tags = tagged(80)
    fitted = BRE(16, n_train=80, n_pairs=None, sweeps=3).fit(x, tags)
    bits = fitted.transform(x) > 0
    first, second = np.triu_indices(80, 1)
    wanted = np.where((tags[first] & tags[second]).any(axis=1), 0.0, 1.0)
    expected = np.mean((wanted - (bits[first] != bits[second]).mean(axis=1)) ** 2)
    assert fitted.losses_[-1] == pytest.approx(expected)


def test_a_row_of_zeros_gets_a_code():
    x, y = clusters()
    fitted = BRE(8, n_train=80, sweeps=1).fit(x, y)
    assert np.isfinite(fitted.transform(np.zeros((1, 24)))).all()


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("n_train", 1),
        ("n_anchors", 0),
        ("n_pairs", 1),
        ("kernel", "cosine"),
        ("width", 0.0),
        ("sweeps", -1),
        ("tolerance", -0.1),
    ],
)
def test_settings_without_meaning_are_refused(setting, value):
    with pytest.raises(ValueError, match=f"{setting} must be"):
        BRE(8, **{setting: value}).fit(*clusters())
