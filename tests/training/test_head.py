"""Heads on given features: every deep method learns, repeats itself, and ends as its paper says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from hashnet.evaluation import mean_average_precision, rank
from hashnet.losses import OBJECTIVES
from hashnet.models import HashHead
from hashnet.training import TrainConfig
from hashnet.training import head as head_module
from hashnet.training.head import HeadSettings, train_head

N, N_FEATURES, N_CLASSES, K = 240, 24, 6, 16
QUICK = HeadSettings(hidden=64, iterations=120, batch_size=64, lr=5e-3)
METHODS = pytest.mark.parametrize("method", OBJECTIVES)


def classes(n=N, *, seed=0):
    """Features of overlapping classes, in which a sixth of the directions say which."""
    rng = np.random.default_rng(seed)
    middles = np.random.default_rng(99).normal(size=(N_CLASSES, N_FEATURES))
    y = np.arange(n) % N_CLASSES
    return (middles[y] + rng.normal(0, 1.0, (n, N_FEATURES))).astype(np.float32), np.eye(
        N_CLASSES, dtype=np.uint8
    )[y]


FEATURES, LABELS = classes()


@pytest.fixture(scope="module")
def trained():
    """Trained heads by method, each trained when first asked for."""
    heads = {}

    def get(method):
        if method not in heads:
            heads[method] = train_head(FEATURES, LABELS, method, n_bits=K, seed=1, settings=QUICK)
        return heads[method]

    return get


def untrained():
    torch.manual_seed(1)
    head = HashHead(N_FEATURES, K, hidden=64)
    head.standardize(torch.from_numpy(FEATURES))
    return head


def retrieval(encode):
    queries, labels = classes(120, seed=5)
    ranking = rank(encode(queries), labels, encode(FEATURES), LABELS, at=N)
    return mean_average_precision(ranking, tie_aware=True)


@METHODS
def test_what_was_learned_retrieves_the_class_of_items_never_seen(trained, method):
    assert retrieval(trained(method).encode) > 0.75


def test_chance_and_a_random_head_retrieve_less():
    with torch.no_grad():
        head = untrained().eval()
        random = retrieval(lambda x: np.packbits(head(torch.from_numpy(x)).numpy() > 0, axis=1))
    assert random < 0.55


@METHODS
def test_the_same_arguments_give_the_same_codes(trained, method):
    again = train_head(FEATURES, LABELS, method, n_bits=K, seed=1, settings=QUICK)
    assert np.array_equal(again.encode(FEATURES), trained(method).encode(FEATURES))


def test_another_seed_gives_other_codes(trained):
    other = train_head(FEATURES, LABELS, "hashnet", n_bits=K, seed=2, settings=QUICK)
    assert not np.array_equal(other.encode(FEATURES), trained("hashnet").encode(FEATURES))


@METHODS
def test_codes_are_packed_signs_of_the_relaxed_values(trained, method):
    head = trained(method)
    relaxed = head.relaxed(FEATURES)
    assert relaxed.shape == (N, K)
    assert np.array_equal(head.encode(FEATURES), np.packbits(relaxed > 0, axis=1))


@METHODS
def test_a_head_is_in_evaluation_mode_and_encodes_each_item_by_itself(trained, method):
    head = trained(method)
    together = head.encode(FEATURES[:50])
    assert np.array_equal(np.concatenate([head.encode(row[None]) for row in FEATURES[:50]]), together)


@pytest.mark.parametrize("method", [name for name in OBJECTIVES if name.startswith("hashnet")])
def test_with_continuation_all_relaxed_codes_end_as_sgn_codes(trained, method):
    saturated = trained(method).saturation
    if method == "hashnet-sgn":
        assert saturated is None
        return
    assert (saturated.n, saturated.differing_codes) == (N, 0)
    assert saturated.gap < 1e-3


@METHODS
def test_items_with_several_labels_and_with_none_can_be_trained_on(method):
    labels = LABELS.copy()
    labels[::5, 0] = 1
    labels[::7] = 0
    head = train_head(FEATURES, labels, method, n_bits=K, settings=HeadSettings(hidden=16, iterations=10))
    assert np.isfinite(head.relaxed(FEATURES)).all()


@METHODS
def test_bfloat16_products_learn_as_well_and_keep_codes_of_float32(method):
    fast = train_head(FEATURES, LABELS, method, n_bits=K, seed=1, settings=replace(QUICK, amp="on"))
    assert {p.dtype for p in fast.head.parameters()} == {torch.float32}
    assert fast.relaxed(FEATURES).dtype == np.float32
    assert retrieval(fast.encode) > 0.75


def test_training_leaves_the_global_generator_alone():
    before = torch.random.get_rng_state()
    train_head(FEATURES, LABELS, "greedyhash", n_bits=K, settings=HeadSettings(hidden=8, iterations=2))
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_linear_head_has_no_hidden_layer_and_no_dropout():
    head = train_head(FEATURES, LABELS, "csq", n_bits=K, settings=HeadSettings(hidden=0, iterations=2)).head
    assert (head.hidden, head.dropout.p) == (None, 0.0)


def test_bits_of_dnnh_see_their_own_slice_of_the_hidden_layer(trained):
    used = trained("dnnh").head.hash_layer.weight != 0
    assert used.sum(dim=0).tolist() == [1] * 64


class Steps:
    """Progress that counts."""

    def __init__(self):
        self.total, self.done, self.losses = None, 0, []

    def start(self, what, total):
        self.total = total

    def advance(self, done=1, **figures):
        self.done += done
        self.losses += [figures["loss"]] if "loss" in figures else []

    def finish(self):
        pass


def test_progress_hears_every_step_and_a_loss_that_falls():
    steps = Steps()
    train_head(FEATURES, LABELS, "dhn", n_bits=K, settings=QUICK, progress=steps)
    assert (steps.total, steps.done) == (120, 120)
    assert steps.losses[-1] < 0.8 * steps.losses[0]


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"hidden": -1}, "hidden must be >= 0"),
        ({"iterations": 0}, "iterations must be >= 1"),
        ({"batch_size": 1}, "batch_size must be >= 2"),
        ({"lr": 0.0}, "lr must be positive"),
        ({"dropout": 1.0}, "dropout must be at least 0 and below 1"),
        ({"dropout": 0.5, "hidden": 0}, "needs a hidden layer"),
        ({"weight_decay": float("inf")}, "weight_decay must be >= 0 and finite"),
        ({"lr_decay": "step"}, "cosine or none"),
        ({"amp": "auto"}, "amp must be on or off, got .auto"),
        ({"beta_max": 0.5}, "beta must grow"),
        ({"margin": -1.0}, "margin must be >= 0"),
    ],
)
def test_a_wrong_setting_is_refused_with_value_and_rule(settings, rule):
    with pytest.raises(ValueError, match=rule):
        HeadSettings(**settings)


def test_a_setting_that_the_method_does_not_take_is_refused():
    with pytest.raises(ValueError, match=r"scale=2.0 is no setting of dhn, which takes alpha, quantization"):
        train_head(FEATURES, LABELS, "dhn", n_bits=K, settings=HeadSettings(scale=2.0))


@pytest.mark.parametrize(
    ("features", "error", "rule"),
    [
        ([[1.0]], TypeError, "real numbers"),
        (np.zeros((2, 3), complex), TypeError, "real numbers"),
        (np.zeros(3), ValueError, "must have shape"),
        (np.zeros((0, 3)), ValueError, "neither 0"),
        (np.array([[0.0, 1.0], [np.nan, 1.0]]), ValueError, "row 1 is not"),
        (np.zeros((3, 2)), ValueError, "a row for each of 3 features, got 240"),
    ],
)
def test_wrong_features_are_refused(features, error, rule):
    with pytest.raises(error, match=rule):
        train_head(features, LABELS, "hashnet", n_bits=K)


def test_features_of_another_length_are_refused_when_encoding(trained):
    with pytest.raises(ValueError, match="24 columns, as those of training had, got 3"):
        trained("hashnet").encode(np.zeros((2, 3), np.float32))


@METHODS
def test_nothing_is_left_open_once_resolved_and_what_is_given_is_kept(method):
    resolved = HeadSettings(lr=0.123, hidden=7).resolved(method)
    assert (resolved.lr, resolved.hidden) == (0.123, 7)
    assert None not in (resolved.dropout, resolved.iterations, resolved.batch_size, resolved.weight_decay)
    config = TrainConfig(backbone="resnet18", freeze_backbone=True, method=method, lr=0.123, hidden=7)
    config = config.resolved(image_side=8, n_images=100)
    for name in ("dropout", "iterations", "batch_size", "weight_decay"):
        assert getattr(resolved, name) == getattr(config, name)


@METHODS
def test_the_stages_tell_loss_and_gap_from_the_start_to_the_end(trained, method):
    stages = trained(method).stages
    assert [stage.stage for stage in stages] == [-1, *range(10)]
    assert [stage.iteration for stage in stages] == [0, *range(12, 121, 12)]
    assert all(np.isfinite([stage.loss_relaxed, stage.loss_sgn, stage.gap]).all() for stage in stages)
    assert stages[-1].loss_sgn < stages[0].loss_sgn


def test_the_last_stage_is_what_the_trained_head_gives(trained):
    # All 240 items are measured, in evaluation mode as at the end.
    head = trained("hashnet")
    assert head.stages[-1].gap == pytest.approx(head.saturation.gap, abs=1e-6)
    assert head.stages[-1].distinct_codes == len(np.unique(head.encode(FEATURES), axis=0))
    assert head.stages[0].gap > 0.5 > head.stages[-1].gap


def test_looking_at_stages_leaves_the_training_as_it_is(monkeypatch):
    settings = HeadSettings(hidden=32, iterations=20, batch_size=64, lr=5e-3, dropout=0.5)
    for method in ("hashnet", "dpsh", "greedyhash"):
        looked = train_head(FEATURES, LABELS, method, n_bits=K, seed=1, settings=settings)
        with monkeypatch.context() as patch:
            patch.setattr(head_module._Run, "_measure", lambda *args, **options: None)
            blind = train_head(FEATURES, LABELS, method, n_bits=K, seed=1, settings=settings)
        assert blind.stages == ()
        assert np.array_equal(looked.relaxed(FEATURES), blind.relaxed(FEATURES))
