"""An evaluation carries its figures and its protocol."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from hashnet.datasets import PROTOCOLS, ArrayImages, open_protocol
from hashnet.evaluation import (
    evaluate,
    evaluate_protocol,
    mean_average_precision,
    precision_at,
    rank,
    recall_at,
)


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


def test_every_figure_over_queries_has_its_interval_and_its_classes():
    evaluation = evaluate(*sample(), at=50, resamples=50, classes=("a", "b", "c", "d"))
    figures = ["map", "map_tie_aware", "map_within", "precision_within", "recall_within"]
    assert list(evaluation.intervals) == [*figures, "precision_at_100"]
    for name in figures:
        interval = evaluation.intervals[name]
        assert interval.mean == pytest.approx(getattr(evaluation, name))
        assert interval.low <= interval.mean <= interval.high
    assert evaluation.intervals["precision_at_100"].mean == pytest.approx(
        precision_at(rank(*sample(), at=100), tie_aware=True)[99]
    )
    assert {row.name for row in evaluation.per_class} <= {"a", "b", "c", "d"}
    assert sum(row.n_queries for row in evaluation.per_class) == 20
    assert evaluation.resamples == 50


def test_a_small_database_has_the_precision_of_its_last_rank():
    queries, query_labels, database, labels = sample()
    evaluation = evaluate(queries, query_labels, database[:7], labels[:7])
    assert "precision_at_7" in evaluation.intervals


def test_recall_at_n_is_stored_in_both_definitions():
    evaluation = evaluate(*sample(), at=180, seed=None)
    ranking = rank(*sample(), at=180)
    assert evaluation.recall_at[50] == recall_at(ranking)[49]
    assert evaluation.recall_at_tie_aware[50] == recall_at(ranking, tie_aware=True)[49]
    assert evaluation.recall_at[180] == pytest.approx(1)


def test_the_tie_aware_figures_and_their_intervals_do_not_depend_on_the_database_order():
    one = evaluate(*sample(), at=50, seed=None)
    queries, query_labels, database, labels = sample()
    order = np.random.default_rng(5).permutation(len(database))
    other = evaluate(queries, query_labels, database[order], labels[order], at=50, seed=None)
    for name in ("map_tie_aware", "map_within", "precision_within", "precision_at_100"):
        assert one.intervals[name] == other.intervals[name]


def test_the_recipe_of_a_protocol_is_stored_with_the_figures():
    recipe = {"protocol": "cifar10", "checksum": "sha256:" + "ab" * 32}
    evaluation = evaluate(*sample(), recipe=recipe)
    assert json.loads(json.dumps(evaluation.to_json()))["recipe"] == recipe
    assert evaluation.protocol()[0] == ("protocol", "cifar10, sha256:abababababab")


def test_a_protocol_says_r_labels_and_seed():
    label = np.arange(60) % 3
    images = ArrayImages(
        np.zeros((60, 2, 2), np.uint8), label, splits=np.arange(60) // 40, classes=tuple("abc")
    )
    data = open_protocol(replace(PROTOCOLS["cifar10"], at=7, seed=5), data=images)
    codes = np.random.default_rng(0).integers(0, 256, (60, 2), dtype=np.uint8)
    by_protocol = evaluate_protocol(data, codes[data.query], codes[data.database])
    labels = np.eye(3, dtype=np.uint8)[label]
    by_hand = evaluate(codes[40:], labels[40:], codes[:40], labels[:40], at=7, seed=5)
    assert (by_protocol.map, by_protocol.at, by_protocol.seed) == (by_hand.map, 7, 5)
    assert by_protocol.intervals == by_hand.intervals
    assert by_protocol.recipe == data.describe()
    assert [row.name for row in by_protocol.per_class] == ["a", "b", "c"]
    with pytest.raises(ValueError, match="queries has 19 codes for the 20 rows of the protocol's list"):
        evaluate_protocol(data, codes[data.query][1:], codes[data.database])


def test_tables_have_a_row_for_each_figure_and_each_class():
    evaluation = evaluate(*sample())
    assert len(evaluation.interval_rows()) == len(evaluation.intervals)
    rows = evaluation.class_rows()
    assert len(rows) == len(evaluation.per_class)
    assert all(len(row) == 2 + len(evaluation.intervals) for row in rows)
    assert [row[2] for row in rows] == sorted((row[2] for row in rows), reverse=True)


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
