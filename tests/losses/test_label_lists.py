"""Pair counts, weights and c_ij on the label lists of real releases, at their size, against literal ones.

The literal side counts every pair with a product of matrices, a chunk at a time, and weighs pairs with
Python's sets, after the paper: c_ij = |y_i n y_j| / |y_i u y_j| of similar pairs, 1 of dissimilar ones.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from hashnet.datasets import open_label_lists
from hashnet.losses import HashNetLoss, PairCounts, PairWeights, count_pairs, pair_weights
from hashnet.losses.pairs import jaccard

FILES = {
    "coco": "labels_coco.npz",
    "imagenet": "labels_imagenet.npz",
    "nuswide81": "labels_nuswide81_train_test.npz",
    "mirflickr": "labels_mirflickr.npz",
    "voc2012": "labels_voc2012.npz",
}
# |S| / |S1| and |S| / |S0| of the training lists.
WEIGHTS = {
    "coco": (2.8588673, 1.5379620),
    "imagenet": (100.7674419, 1.0100233),
    "nuswide81": (5.8835824, 1.2047677),
    "mirflickr": (1.891102, 2.1222059),
    "voc2012": (5.3074689, 1.2321549),
}


@pytest.fixture(scope="module")
def lists(shared_data):
    return {name: open_label_lists(shared_data / file) for name, file in FILES.items()}


def literal_shares(rows, labels):
    """For each of ``rows``, whether each of ``labels`` shares a label with it."""
    return rows.astype(np.float32) @ labels.astype(np.float32).T > 0


def literal_counts(labels, chunk=1000):
    n = len(labels)
    ordered = sum(int(literal_shares(labels[i : i + chunk], labels).sum()) for i in range(0, n, chunk))
    similar = (ordered - int(labels.any(axis=1).sum())) // 2  # an item shares its labels with itself
    return PairCounts(similar, n * (n - 1) // 2 - similar)


def literal_weight(a, b, weights):
    a, b = set(np.flatnonzero(a)), set(np.flatnonzero(b))
    if a & b:
        return len(a & b) / len(a | b) * weights.similar
    return weights.dissimilar


@pytest.mark.parametrize("name", FILES)
def test_training_lists_are_counted_exactly(lists, name):
    labels = lists[name].train
    assert count_pairs(labels) == literal_counts(labels)
    weights = pair_weights(labels)
    assert (weights.similar, weights.dissimilar) == pytest.approx(WEIGHTS[name])


@pytest.mark.parametrize("name", ["coco", "nuswide81", "mirflickr", "voc2012"])
def test_query_lists_are_counted_exactly(lists, name):
    assert count_pairs(lists[name].query) == literal_counts(lists[name].query)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["coco", "imagenet", "mirflickr", "voc2012"])
def test_database_lists_are_counted_as_their_sampled_rows_say(lists, name):
    # 1.3e10 pairs are too many to look at one by one: 3,000 rows are compared with all others.
    labels = lists[name].database
    counts = count_pairs(labels)
    n = len(labels)
    rows = np.random.default_rng(0).choice(n, min(3000, n), replace=False)
    shares = np.concatenate([literal_shares(labels[part], labels).sum(axis=1) for part in np.split(rows, 10)])
    similar = shares - labels[rows].any(axis=1)
    error = similar.std() / math.sqrt(len(rows))
    assert 2 * counts.similar / n == pytest.approx(similar.mean(), abs=5 * error + 1e-9)
    assert counts.similar + counts.dissimilar == n * (n - 1) // 2


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("use_jaccard", [True, False])
def test_weights_of_pairs_are_the_literal_ones(lists, name, use_jaccard):
    labels = lists[name].train
    weights = pair_weights(labels)
    rng = np.random.default_rng(1)
    rows, others = (labels[rng.choice(len(labels), n, replace=False)] for n in (120, 90))
    loss = HashNetLoss(48, weights=weights, use_jaccard=use_jaccard)
    found, similar = loss.pair_weights(torch.from_numpy(rows).double(), torch.from_numpy(others).double())
    literal = np.array([[literal_weight(a, b, weights) for b in others] for a in rows])
    shares = literal_shares(rows, others)
    if not use_jaccard:
        literal = np.where(shares, weights.similar, weights.dissimilar)
    np.testing.assert_array_equal(similar.numpy(), shares)
    np.testing.assert_allclose(found.numpy(), literal, rtol=1e-12)


@pytest.mark.parametrize("name", ["coco", "nuswide81"])
def test_the_jaccard_index_is_that_of_sets(lists, name):
    labels = lists[name].train[:150]
    found = jaccard(torch.from_numpy(labels).double(), torch.from_numpy(labels).double()).numpy()
    sets = [set(np.flatnonzero(row)) for row in labels]
    literal = [[len(a & b) / len(a | b) if a | b else 0.0 for b in sets] for a in sets]
    np.testing.assert_allclose(found, literal, rtol=1e-12)


def test_rows_without_a_label_are_dissimilar_to_all_and_to_each_other(lists):
    labels = lists["nuswide81"].train
    bare = np.flatnonzero(~labels.any(axis=1))
    assert len(bare) == 2185
    weights = pair_weights(labels)
    loss = HashNetLoss(48, weights=weights)
    rows = torch.from_numpy(labels[bare[:20]]).float()
    found, similar = loss.pair_weights(rows, torch.from_numpy(labels[:200]).float())
    assert not similar.any()
    assert bool((found == np.float32(weights.dissimilar)).all())


@pytest.mark.parametrize("name", ["coco", "nuswide81"])
def test_the_loss_of_a_batch_is_the_literal_sum(lists, name):
    labels = lists[name].train
    weights = pair_weights(labels)
    rng = np.random.default_rng(2)
    rows = rng.choice(len(labels), 40, replace=False)
    g = np.tanh(rng.normal(size=(40, 48)) * 2)
    found = HashNetLoss(48, weights=weights)(torch.from_numpy(g), torch.from_numpy(labels[rows]))
    total = weighed = 0.0
    for i in range(40):
        for j in range(40):
            if i != j:
                w = literal_weight(labels[rows[i]], labels[rows[j]], weights)
                s = bool((labels[rows[i]] & labels[rows[j]]).any())
                d = 10 / 48 * float(g[i] @ g[j])
                weighed += w * (math.log1p(math.exp(d)) - s * d)
                total += w
    assert float(found) == pytest.approx(weighed / total, rel=1e-10)


@pytest.mark.parametrize("name", FILES)
def test_similar_and_dissimilar_pairs_weigh_the_same_over_the_training_set(lists, name):
    # What the weights are for: |S1| |S|/|S1| = |S0| |S|/|S0|, whatever the imbalance.
    counts, weights = count_pairs(lists[name].train), pair_weights(lists[name].train)
    assert isinstance(weights, PairWeights)
    assert counts.similar * weights.similar == pytest.approx(counts.dissimilar * weights.dissimilar)
