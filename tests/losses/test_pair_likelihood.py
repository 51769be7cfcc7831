"""The likelihood of pairs in blocks has value and gradient of whole matrices, whatever their size."""

from __future__ import annotations

import pytest
import torch

from hashnet.losses import pair_likelihood
from hashnet.losses.hashnet import HashNetLoss
from hashnet.losses.pairs import PairWeights, jaccard, logistic, similarity

N, M, K, CLASSES = 23, 17, 8, 5
WEIGHTS = PairWeights(7.0, 1.2)


def sides(seed=0):
    generator = torch.Generator().manual_seed(seed)
    g, g2 = (torch.randn(n, K, dtype=torch.float64, generator=generator) for n in (N, M))
    labels, labels2 = ((torch.rand(n, CLASSES, generator=generator) < 0.3).double() for n in (N, M))
    return g.requires_grad_(), labels, g2.requires_grad_(), labels2


def whole(g, labels, g2, labels2, *, alpha, margin, within):
    """The same by whole matrices, differentiated by torch."""
    d = alpha * (g @ g2.T - margin * K)
    similar = similarity(labels, labels2)
    weight = WEIGHTS.similar * jaccard(labels, labels2) + WEIGHTS.dissimilar * (1 - similar)
    if within:
        weight = weight * (1 - torch.eye(len(g), dtype=g.dtype))
    return (weight * logistic(d, similar)).sum() / weight.sum()


@pytest.mark.parametrize("within", [True, False])
@pytest.mark.parametrize("at_once", [1, M, 3 * N, 10 * N, 1 << 16])
@pytest.mark.parametrize("margin", [0.0, 0.2])
def test_blocks_of_any_size_give_value_and_gradient_of_whole_matrices(monkeypatch, within, at_once, margin):
    monkeypatch.setitem(pair_likelihood._PAIRS_AT_ONCE, "cpu", at_once)
    g, labels, g2, labels2 = sides()
    loss = HashNetLoss(K, alpha=0.3, weights=WEIGHTS, margin=margin)
    found = loss(g, labels) if within else loss(g, labels, g2, labels2)
    asked = (g,) if within else (g, g2)
    gradients = torch.autograd.grad(3 * found, asked)
    other = (g, labels) if within else (g2, labels2)
    expected = whole(g, labels, *other, alpha=0.3, margin=margin, within=within)
    assert found.item() == pytest.approx(expected.item(), rel=1e-12)
    for one, of_whole in zip(gradients, torch.autograd.grad(3 * expected, asked), strict=True):
        torch.testing.assert_close(one, of_whole, rtol=1e-10, atol=1e-14)


def test_labels_are_not_touched_and_no_gradient_is_asked_for_where_none_is_taken():
    g, labels, _, _ = sides(1)
    before = labels.clone()
    with torch.no_grad():
        assert not HashNetLoss(K, weights=WEIGHTS)(g, labels).requires_grad
    assert torch.equal(labels, before)
