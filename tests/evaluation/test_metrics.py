"""Retrieval figures against literal numpy and against all orders of the database."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys

import numpy as np
import oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashnet.evaluation import (
    empty_balls,
    mean_average_precision,
    precision_at,
    precision_recall,
    precision_within,
    rank,
    recall_at,
    recall_within,
)


def literal_average_precision(relevant_in_order, at):
    """The published definition, word by word."""
    top = relevant_in_order[:at]
    if not top.any():
        return 0.0
    return float(np.mean([top[: i + 1].mean() for i in np.flatnonzero(top)]))


def literal_order(distances):
    return np.argsort(distances, kind="stable")


def sample(seed, *, nq=6, n=40, n_bits=16, n_classes=5, share=0.3):
    rng = np.random.default_rng(seed)
    n_bytes = n_bits // 8
    # Few distinct bytes, so that distances tie as they do with learned codes.
    codes = rng.choice(np.array([0, 1, 3, 240], dtype=np.uint8), (n, n_bytes))
    queries = rng.choice(np.array([0, 1, 255], dtype=np.uint8), (nq, n_bytes))
    labels = rng.random((n, n_classes)) < share
    query_labels = rng.random((nq, n_classes)) < share
    return queries, query_labels, codes, labels


def relevance(query_labels, labels):
    return (query_labels.astype(int) @ labels.astype(int).T) > 0


@pytest.mark.parametrize("n_bits", [8, 16, 48, 64, 72, 128, 136, 256, 1024])
@pytest.mark.parametrize("n_classes", [1, 63, 64, 65, 130])
def test_average_precision_is_the_literal_one(n_bits, n_classes):
    queries, query_labels, codes, labels = sample(n_bits, n_bits=n_bits, n_classes=n_classes, share=0.1)
    ranking = rank(queries, query_labels, codes, labels, at=12, threads=2)
    distances, similar = oracle.distances(queries, codes), relevance(query_labels, labels)
    expected = [
        literal_average_precision(s[literal_order(d)], 12) for d, s in zip(distances, similar, strict=True)
    ]
    np.testing.assert_allclose(ranking.average_precision, expected, atol=1e-12)


@pytest.mark.parametrize("n_bits", [8, 48, 128, 1024])
def test_histograms_count_every_pair_at_its_distance(n_bits):
    queries, query_labels, codes, labels = sample(1, n=5000, n_bits=n_bits)
    ranking = rank(queries, query_labels, codes, labels)
    distances, similar = oracle.distances(queries, codes), relevance(query_labels, labels)
    for q in range(len(queries)):
        every = np.bincount(distances[q], minlength=n_bits + 1)
        hits = np.bincount(distances[q][similar[q]], minlength=n_bits + 1)
        np.testing.assert_array_equal(ranking.all[q], every)
        np.testing.assert_array_equal(ranking.relevant[q], hits)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("at", [1, 2, 3, 4, 6, 9])
def test_tie_aware_is_the_mean_over_all_orders_of_the_database(seed, at):
    queries, query_labels, codes, labels = sample(seed, nq=4, n=6, n_bits=8, n_classes=2)
    ranking = rank(queries, query_labels, codes, labels, at=at)
    distances, similar = oracle.distances(queries, codes), relevance(query_labels, labels)
    orders = [np.array(order) for order in itertools.permutations(range(len(codes)))]
    for q in range(len(queries)):
        values = [
            literal_average_precision(similar[q][order][literal_order(distances[q][order])], at)
            for order in orders
        ]
        assert ranking.tie_aware[q] == pytest.approx(np.mean(values), abs=1e-12)


def test_tie_aware_agrees_with_sampled_orders_when_the_cut_divides_a_large_group():
    queries, query_labels, codes, labels = sample(3, nq=1, n=3000, n_bits=16, n_classes=3)
    ranking = rank(queries, query_labels, codes, labels, at=500)
    rng = np.random.default_rng(0)
    values = []
    for _ in range(300):
        order = rng.permutation(len(codes))
        shuffled = rank(queries, query_labels, codes[order], labels[order], at=500)
        values.append(mean_average_precision(shuffled))
    error = np.std(values) / np.sqrt(len(values))
    assert mean_average_precision(ranking, tie_aware=True) == pytest.approx(np.mean(values), abs=4 * error)


@given(seed=st.integers(0, 2**32 - 1), at=st.integers(1, 60))
@settings(max_examples=60, deadline=None)
def test_shuffling_the_database_leaves_the_tie_aware_figures_alone(seed, at):
    queries, query_labels, codes, labels = sample(seed)
    order = np.random.default_rng(seed + 1).permutation(len(codes))
    one = rank(queries, query_labels, codes, labels, at=at)
    other = rank(queries, query_labels, codes[order], labels[order], at=at)
    np.testing.assert_array_equal(one.tie_aware, other.tie_aware)
    np.testing.assert_array_equal(one.expected_hits, other.expected_hits)


@given(seed=st.integers(0, 2**32 - 1), at=st.integers(1, 60))
@settings(max_examples=60, deadline=None)
def test_figures_lie_between_zero_and_one(seed, at):
    ranking = rank(*sample(seed), at=at)
    for tie_aware in (False, True):
        figures = [
            mean_average_precision(ranking, tie_aware=tie_aware),
            *precision_at(ranking, tie_aware=tie_aware),
            *recall_at(ranking, tie_aware=tie_aware),
        ]
        assert min(figures) >= 0.0
        assert max(figures) <= 1.0 + 1e-12


def test_without_ties_both_definitions_agree():
    codes = np.packbits(np.tri(9, 8, -1, dtype=bool), axis=1)
    labels = np.array([[1], [0], [1], [1], [0], [0], [1], [0], [1]], dtype=bool)
    ranking = rank(codes[:1], labels[:1], codes, labels, at=7)
    expected = (1 / 1 + 2 / 3 + 3 / 4 + 4 / 7) / 4
    assert ranking.average_precision[0] == pytest.approx(expected)
    assert ranking.tie_aware[0] == pytest.approx(expected)


def test_a_query_without_a_hit_counts_as_zero():
    codes = np.zeros((4, 1), dtype=np.uint8)
    labels = np.array([[1, 0]] * 4, dtype=bool)
    asked = np.array([[1, 0], [0, 1]], dtype=bool)
    ranking = rank(codes[:2], asked, codes, labels, at=3)
    assert mean_average_precision(ranking) == pytest.approx(0.5)
    assert mean_average_precision(ranking, tie_aware=True) == pytest.approx(0.5)


def test_the_number_of_threads_changes_nothing():
    one = rank(*sample(5, nq=50), at=20, threads=1)
    many = rank(*sample(5, nq=50), at=20, threads=7)
    for a, b in zip(one, many, strict=True):
        np.testing.assert_array_equal(a, b)


def test_queries_ranked_in_several_calls_give_the_same(monkeypatch):
    whole = rank(*sample(5, nq=50), at=20)
    monkeypatch.setattr("hashnet.evaluation.ranking.PAIRS_PER_CALL", 40 * 7)
    parts = rank(*sample(5, nq=50), at=20)
    for a, b in zip(whole, parts, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_the_scalar_kernel_gives_the_same_figures():
    script = (
        "import numpy as np, hashnet.evaluation as e\n"
        "rng = np.random.default_rng(0)\n"
        "c, q = (rng.integers(0, 256, (n, 9), dtype=np.uint8) for n in (900, 20))\n"
        "a, b = (rng.random((n, 70)) < 0.02 for n in (900, 20))\n"
        "r = e.rank(q, b, c, a, at=50)\n"
        "print(r.average_precision.sum(), r.tie_aware.sum(), r.hits.tolist())\n"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "HASHNET_SIMD": simd},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for simd in ("", "scalar")
    }
    assert len(outputs) == 1


def test_precision_within_a_radius_counts_an_empty_ball_as_zero():
    codes = np.array([[0b00000000], [0b00000111], [0b11111111]], dtype=np.uint8)
    labels = np.array([[1], [0], [1]], dtype=bool)
    queries = np.array([[0b00000011], [0b11110000]], dtype=np.uint8)
    ranking = rank(queries, np.ones((2, 1), dtype=bool), codes, labels)
    assert precision_within(ranking, 2) == pytest.approx((1 / 2 + 0) / 2)
    assert recall_within(ranking, 2) == pytest.approx((1 / 2 + 0) / 2)
    assert empty_balls(ranking, 2) == pytest.approx(0.5)


def test_the_radius_is_inclusive():
    codes = np.array([[0b111]], dtype=np.uint8)
    labels = np.ones((1, 1), dtype=bool)
    ranking = rank(np.zeros((1, 1), dtype=np.uint8), labels, codes, labels)
    assert (precision_within(ranking, 2), precision_within(ranking, 3)) == (0.0, 1.0)


def test_precision_and_recall_at_n_are_the_literal_ones():
    queries, query_labels, codes, labels = sample(9)
    ranking = rank(queries, query_labels, codes, labels, at=15)
    distances, similar = oracle.distances(queries, codes), relevance(query_labels, labels)
    ordered = np.array([s[literal_order(d)] for d, s in zip(distances, similar, strict=True)])
    np.testing.assert_allclose(precision_at(ranking), [ordered[:, :n].mean() for n in range(1, 16)])
    expected = [ordered[:, :n].sum() / similar.sum() for n in range(1, 16)]
    np.testing.assert_allclose(recall_at(ranking), expected)


def test_precision_recall_is_pooled_over_queries_within_each_radius():
    queries, query_labels, codes, labels = sample(10)
    curve = precision_recall(rank(queries, query_labels, codes, labels))
    distances, similar = oracle.distances(queries, codes), relevance(query_labels, labels)
    for radius, precision, recall in zip(*curve, strict=True):
        near = distances <= radius
        assert precision == pytest.approx(similar[near].mean())
        assert recall == pytest.approx(similar[near].sum() / similar.sum())


def test_the_curve_ends_at_recall_one():
    assert precision_recall(rank(*sample(11))).recall[-1] == 1.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"at": 0}, "at must be at least 1, got 0"),
        ({"threads": -1}, "threads must be at least 0"),
        ({"queries": np.zeros((0, 2), dtype=np.uint8)}, "queries is empty"),
        ({"database": np.zeros((0, 2), dtype=np.uint8)}, "database is empty"),
        ({"queries": np.zeros((6, 3), dtype=np.uint8)}, r"queries must have shape \(n, 2\)"),
        ({"query_labels": np.zeros((6, 4), dtype=bool)}, "query_labels have 4 classes and database_labels 5"),
        ({"query_labels": np.zeros((5, 5), dtype=bool)}, "query_labels has 5 rows for 6 codes"),
        ({"query_labels": np.zeros(6, dtype=np.int64)}, "query_labels must be multi-hot"),
    ],
)
def test_wrong_arguments_are_named(change, message):
    names = ("queries", "query_labels", "database", "database_labels")
    arguments = {**dict(zip(names, sample(0), strict=True)), **change}
    with pytest.raises(ValueError, match=message):
        rank(**arguments)


@pytest.mark.parametrize(
    "change", [{"query_labels": np.zeros((6, 5))}, {"queries": np.zeros((6, 2), dtype=np.int64)}]
)
def test_wrong_types_are_refused(change):
    names = ("queries", "query_labels", "database", "database_labels")
    arguments = {**dict(zip(names, sample(0), strict=True)), **change}
    with pytest.raises(TypeError):
        rank(**arguments)
