"""An evaluation carries its figures and its protocol."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hashnet.evaluation import evaluate, mean_average_precision, rank


def sample(n=200, n_bits=16):
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 256, (n, n_bits // 8), dtype=np.uint8)
    labels = np.eye(4, dtype=np.uint8)[rng.integers(0, 4, n)]
    return codes[:20], labels[:20], codes[20:], labels[20:]


def test_codes_that_are_their_class_are_perfect():
    labels = np.eye(8, dtype=np.uint8)[np.arange(80) % 8]
    codes = np.packbits(labels, axis=1)
    evaluation = evaluate(codes, labels, codes, labels, at=10)
    assert (evaluation.map, evaluation.map_tie_aware, evaluation.precision_at[10]) == (1.0, 1.0, 1.0)


def test_without_a_seed_the_database_keeps_its_order():
    expected = mean_average_precision(rank(*sample(), at=50))
    assert evaluate(*sample(), at=50, seed=None).map == expected


def test_the_seed_shuffles_codes_and_labels_alike():
    one, other = (evaluate(*sample(), at=50, seed=seed) for seed in (1, None))
    assert one.map_tie_aware == pytest.approx(other.map_tie_aware, abs=1e-12)
    assert one.map != other.map


def test_the_protocol_is_stored_with_the_figures():
    stored = json.loads(json.dumps(evaluate(*sample(), at=50, seed=7, data="noise").to_json()))
    wanted = {"n_queries": 20, "n_database": 180, "n_bits": 16, "n_classes": 4, "at": 50, "radius": 2}
    assert {name: stored[name] for name in wanted} == wanted
    assert (stored["seed"], stored["data"], stored["similarity"]) == (7, "noise", "at least one shared label")


def test_r_is_cut_to_the_database():
    assert evaluate(*sample(), at=100_000).at == 180


def test_similar_and_dissimilar_pairs_are_all_pairs():
    evaluation = evaluate(*sample())
    assert sum(evaluation.similar) + sum(evaluation.dissimilar) == 20 * 180


def test_labels_of_another_length_are_refused():
    queries, query_labels, database, labels = sample()
    with pytest.raises(ValueError, match="179 rows for 180 codes"):
        evaluate(queries, query_labels, database, labels[1:])


def test_a_negative_radius_is_refused():
    with pytest.raises(ValueError, match="radius must be at least 0, got -1"):
        evaluate(*sample(), radius=-1)
