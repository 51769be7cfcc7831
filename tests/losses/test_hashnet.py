"""HashNetLoss against the formula written as two loops, and its laws."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from objective_cases import batch_of, training_set

from hashnet.losses import HashNetLoss, LossSettings, PairWeights, build_objective, pair_weights

WEIGHTS = PairWeights(similar=7.0, dissimilar=1.25)
K = 8


def by_loops(g, labels, g2=None, labels2=None, *, alpha, weights=None, use_jaccard=True, margin=0.0):
    """The loss of the paper, pair by pair, in Python floats."""
    total = norm = 0.0
    for i, (gi, yi) in enumerate(zip(g.tolist(), labels.tolist(), strict=True)):
        others = zip(
            (g if g2 is None else g2).tolist(), (labels if g2 is None else labels2).tolist(), strict=True
        )
        for j, (gj, yj) in enumerate(others):
            if g2 is None and i == j:
                continue
            shared = sum(a and b for a, b in zip(yi, yj, strict=True))
            union = sum(a or b for a, b in zip(yi, yj, strict=True))
            s = 1.0 if shared else 0.0
            c = shared / union if shared and use_jaccard else 1.0
            w = 1.0 if weights is None else c * weights.similar if s else weights.dissimilar
            d = alpha * (sum(a * b for a, b in zip(gi, gj, strict=True)) - margin * len(gi))
            total += w * (math.log(1 + math.exp(d)) - s * d)
            norm += w
    return total / norm


def batch(seed, n=6, *, n_classes=4, single=False):
    rng = np.random.default_rng(seed)
    g = torch.from_numpy(rng.uniform(-1, 1, (n, K)))
    labels = (
        np.eye(n_classes)[rng.integers(0, n_classes, n)] if single else rng.integers(0, 2, (n, n_classes))
    )
    return g, torch.from_numpy(np.asarray(labels, np.float64))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("use_jaccard", [True, False])
@pytest.mark.parametrize("single", [True, False])
def test_the_loss_equals_the_formula_in_two_loops(seed, weights, use_jaccard, single):
    g, labels = batch(seed, single=single)
    loss = HashNetLoss(K, weights=weights, use_jaccard=use_jaccard)(g, labels)
    expected = by_loops(g, labels, alpha=10 / K, weights=weights, use_jaccard=use_jaccard)
    assert loss.item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_cross_pairs_of_two_batches_equal_the_formula_in_two_loops(seed):
    (g, labels), (g2, labels2) = batch(seed), batch(seed + 100, n=4)
    loss = HashNetLoss(K, alpha=0.3, weights=WEIGHTS)(g, labels, g2, labels2)
    assert loss.item() == pytest.approx(
        by_loops(g, labels, g2, labels2, alpha=0.3, weights=WEIGHTS), rel=1e-12
    )


@pytest.mark.parametrize("margin", [0.1, 0.5])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_with_a_margin_the_loss_equals_the_formula_in_two_loops(weights, margin):
    g, labels = batch(3, single=True)
    loss = HashNetLoss(K, weights=weights, margin=margin)(g, labels)
    expected = by_loops(g, labels, alpha=10 / K, weights=weights, margin=margin)
    assert loss.item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("margin", [-0.1, 1.0, float("nan")])
def test_a_margin_that_is_no_share_is_refused(margin):
    with pytest.raises(ValueError, match="margin must be a share of n_bits"):
        HashNetLoss(K, margin=margin)


def test_with_a_margin_silence_has_no_loss_of_its_own():
    assert build_objective("hashnet", training_set()).silent_loss == pytest.approx(math.log(2))
    assert build_objective("hashnet", training_set(), LossSettings(margin=0.3)).silent_loss is None


@pytest.mark.parametrize("cross", [False, True])
def test_the_gradient_is_that_of_finite_differences(cross):
    (g, labels), (g2, labels2) = batch(0), batch(1, n=3)
    loss = HashNetLoss(K, weights=WEIGHTS)
    inputs = (g.requires_grad_(), g2.requires_grad_()) if cross else (g.requires_grad_(),)
    assert torch.autograd.gradcheck(
        (lambda a, b: loss(a, labels, b, labels2)) if cross else (lambda a: loss(a, labels)), inputs
    )


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.randoms())
def test_the_loss_does_not_depend_on_the_order_of_the_batch(seed, random):
    g, labels = batch(seed)
    order = list(range(len(g)))
    random.shuffle(order)
    loss = HashNetLoss(K, weights=WEIGHTS)
    assert loss(g[order], labels[order]).item() == pytest.approx(loss(g, labels).item(), rel=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_the_loss_of_two_batches_is_symmetric(seed):
    (g, labels), (g2, labels2) = batch(seed), batch(seed + 1, n=3)
    loss = HashNetLoss(K, weights=WEIGHTS)
    assert loss(g, labels, g2, labels2).item() == pytest.approx(
        loss(g2, labels2, g, labels).item(), rel=1e-12
    )


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.randoms())
def test_flipping_and_permuting_bits_changes_nothing(seed, random):
    g, labels = batch(seed)
    order = list(range(K))
    random.shuffle(order)
    signs = torch.tensor([random.choice([-1.0, 1.0]) for _ in range(K)], dtype=g.dtype)
    loss = HashNetLoss(K, weights=WEIGHTS)
    assert loss(g[:, order] * signs, labels).item() == pytest.approx(loss(g, labels).item(), rel=1e-12)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_codes_that_say_nothing_have_the_loss_ln_2(weights):
    _, labels = batch(0)
    loss = HashNetLoss(K, weights=weights)(torch.zeros(6, K), labels)
    assert loss.item() == pytest.approx(math.log(2), rel=1e-6)


@pytest.mark.parametrize("scale", [1e3, -1e3])
def test_huge_inner_products_do_not_overflow(scale):
    g = torch.full((2, K), 1.0)
    labels = torch.eye(2)
    loss = HashNetLoss(K, alpha=abs(scale))(g, labels, g * (1 if scale > 0 else -1), labels)
    assert loss.isfinite()


def test_a_dissimilar_multi_label_pair_keeps_its_weight():
    loss = HashNetLoss(K, weights=WEIGHTS)
    weight, _ = loss.pair_weights(torch.tensor([[1.0, 1.0, 0.0]]), torch.tensor([[0.0, 0.0, 1.0]]))
    assert weight.item() == WEIGHTS.dissimilar


def test_a_similar_multi_label_pair_weighs_its_jaccard_index():
    loss = HashNetLoss(K, weights=WEIGHTS)
    weight, _ = loss.pair_weights(torch.tensor([[1.0, 1.0, 0.0]]), torch.tensor([[0.0, 1.0, 1.0]]))
    assert weight.item() == pytest.approx(WEIGHTS.similar / 3)


def test_alpha_is_ten_over_n_bits_unless_given():
    assert (HashNetLoss(40).alpha, HashNetLoss(40, alpha=1.0).alpha) == (0.25, 1.0)


@pytest.mark.parametrize(
    ("g", "labels", "rule"),
    [
        (torch.zeros(3, 9), torch.zeros(3, 2), r"\(n, 8\)"),
        (torch.zeros(3, 8), torch.zeros(2, 2), r"\(3, n_classes\)"),
        (torch.zeros(1, 8), torch.ones(1, 2), "at least two"),
    ],
)
def test_wrong_input_is_refused_with_the_rule(g, labels, rule):
    with pytest.raises(ValueError, match=rule):
        HashNetLoss(K)(g, labels)


def test_labels_of_the_second_batch_must_be_given():
    with pytest.raises(ValueError, match="belong together"):
        HashNetLoss(K)(torch.zeros(2, 8), torch.ones(2, 1), torch.zeros(2, 8))


VARIANTS = {
    "hashnet": (True, False, True),
    "hashnet-c": (True, True, True),
    "hashnet-w": (False, False, True),
    "hashnet-sgn": (True, False, False),
}


@pytest.mark.parametrize("single", [True, False])
@pytest.mark.parametrize("beta", [1.0, 4.0])
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_variant_is_the_formula_with_its_weights_and_its_relaxation(variant, beta, single):
    weighted, use_jaccard, continues = VARIANTS[variant]
    training = training_set(single=single)
    batch = batch_of(training)
    expected = by_loops(
        torch.tanh((beta if continues else 1.0) * batch.z),
        batch.labels,
        alpha=10 / K,
        weights=pair_weights(training.labels) if weighted else None,
        use_jaccard=use_jaccard,
    )
    loss = build_objective(variant, training)(*batch, beta)
    assert loss.item() == pytest.approx(expected, rel=1e-12)


def test_the_jaccard_index_changes_the_loss_of_multi_label_data_only():
    for single in (True, False):
        training = training_set(single=single)
        losses = [build_objective(name, training)(*batch_of(training)) for name in ("hashnet", "hashnet-c")]
        assert (losses[0] == losses[1]) == single


def test_a_training_set_of_one_class_has_nothing_to_balance():
    training = training_set(single=True, n_classes=1)
    with pytest.raises(ValueError, match="no dissimilar pair"):
        build_objective("hashnet", training)
