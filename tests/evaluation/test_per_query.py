"""The figures of each query against literal numpy, all orders of the database, and the laws between them."""

from __future__ import annotations

import itertools

import numpy as np
import oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashnet.evaluation import (
    average_precision_within_each,
    expected_precision_at_each,
    map_within,
    mean_average_precision,
    precision_at,
    precision_within,
    precision_within_each,
    rank,
    recall_within,
    recall_within_each,
)

seeds = st.integers(0, 2**32 - 1)


def sample(seed, *, nq=5, n=30, n_bits=8, n_classes=4):
    rng = np.random.default_rng(seed)
    codes = rng.choice(np.array([0, 1, 3, 240], dtype=np.uint8), (n, n_bits // 8))
    queries = rng.choice(np.array([0, 1, 255], dtype=np.uint8), (nq, n_bits // 8))
    return queries, rng.random((nq, n_classes)) < 0.3, codes, rng.random((n, n_classes)) < 0.3


def relevance(query_labels, labels):
    return (query_labels.astype(int) @ labels.astype(int).T) > 0


def literal_average_precision(relevant_in_order):
    hits = np.flatnonzero(relevant_in_order)
    return float(np.mean([relevant_in_order[: i + 1].mean() for i in hits])) if len(hits) else 0.0


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("radius", [0, 1, 2, 4, 8])
def test_average_precision_within_a_radius_is_the_mean_over_all_orders(seed, radius):
    queries, query_labels, codes, labels = sample(seed, n=6)
    ranking = rank(queries, query_labels, codes, labels, at=3)
    distances, similar = oracle.distances(queries, codes), relevance(query_labels, labels)
    orders = [np.array(order) for order in itertools.permutations(range(len(codes)))]
    for q, value in enumerate(average_precision_within_each(ranking, radius)):
        literal = []
        for order in orders:
            sorted_by_distance = order[np.argsort(distances[q][order], kind="stable")]
            ball = sorted_by_distance[distances[q][sorted_by_distance] <= radius]
            literal.append(literal_average_precision(similar[q][ball]))
        assert value == pytest.approx(np.mean(literal), abs=1e-12)


@given(seed=seeds)
@settings(max_examples=60, deadline=None)
def test_with_the_largest_radius_it_is_the_tie_aware_map_of_everything(seed):
    ranking = rank(*sample(seed), at=30)
    assert map_within(ranking, 8) == pytest.approx(mean_average_precision(ranking, tie_aware=True), abs=1e-12)


@given(seed=seeds)
@settings(max_examples=60, deadline=None)
def test_a_ball_of_one_distance_is_as_good_as_its_precision_says(seed):
    # All items of the ball tie: the first relevant one may stand anywhere, and AP is at least the precision.
    ranking = rank(*sample(seed), at=30)
    inside = precision_within_each(ranking, 0)
    assert (average_precision_within_each(ranking, 0) >= inside - 1e-12).all()
    assert ((average_precision_within_each(ranking, 0) > 0) == (inside > 0)).all()


@given(seed=seeds, n=st.integers(1, 30))
@settings(max_examples=80, deadline=None)
def test_precision_at_n_is_the_mean_over_all_orders(seed, n):
    queries, query_labels, codes, labels = sample(seed)
    ranking = rank(queries, query_labels, codes, labels, at=30)
    distances, similar = oracle.distances(queries, codes), relevance(query_labels, labels)
    for q, value in enumerate(expected_precision_at_each(ranking, n)):
        # Of the items that tie at rank n, each is among the first n equally often.
        cut = np.sort(distances[q])[n - 1]
        closer, tied = distances[q] < cut, distances[q] == cut
        hits = similar[q][closer].sum() + (n - closer.sum()) * similar[q][tied].mean()
        assert value == pytest.approx(hits / n)
    assert np.mean(expected_precision_at_each(ranking, n)) == pytest.approx(
        precision_at(ranking, tie_aware=True)[n - 1]
    )


@given(seed=seeds, radius=st.integers(0, 8), n=st.integers(1, 30))
@settings(max_examples=60, deadline=None)
def test_no_figure_of_a_query_depends_on_the_order_of_the_database(seed, radius, n):
    queries, query_labels, codes, labels = sample(seed)
    order = np.random.default_rng(seed + 1).permutation(len(codes))
    one = rank(queries, query_labels, codes, labels, at=30)
    other = rank(queries, query_labels, codes[order], labels[order], at=30)
    for figure, argument in (
        (average_precision_within_each, radius),
        (precision_within_each, radius),
        (recall_within_each, radius),
        (expected_precision_at_each, n),
    ):
        np.testing.assert_array_equal(figure(one, argument), figure(other, argument))


@given(seed=seeds, radius=st.integers(0, 8))
@settings(max_examples=60, deadline=None)
def test_means_over_queries_are_the_figures_of_the_ranking(seed, radius):
    queries, query_labels, codes, labels = sample(seed)
    ranking = rank(queries, query_labels, codes, labels, at=30)
    distances, similar = oracle.distances(queries, codes), relevance(query_labels, labels)
    near = distances <= radius
    hits = (near & similar).sum(axis=1)
    np.testing.assert_allclose(precision_within_each(ranking, radius), hits / np.maximum(near.sum(axis=1), 1))
    np.testing.assert_allclose(recall_within_each(ranking, radius), hits / np.maximum(similar.sum(axis=1), 1))
    assert precision_within(ranking, radius) == pytest.approx(np.mean(precision_within_each(ranking, radius)))
    assert recall_within(ranking, radius) == pytest.approx(np.mean(recall_within_each(ranking, radius)))


@given(seed=seeds)
@settings(max_examples=60, deadline=None)
def test_map_over_the_whole_database_divides_by_all_relevant_items(seed):
    queries, query_labels, codes, labels = sample(seed)
    distances, similar = oracle.distances(queries, codes), relevance(query_labels, labels)
    literal = [
        literal_average_precision(s[np.argsort(d, kind="stable")])
        for d, s in zip(distances, similar, strict=True)
    ]
    whole, beyond = (rank(queries, query_labels, codes, labels, at=at) for at in (30, 10_000))
    assert mean_average_precision(whole) == pytest.approx(np.mean(literal), abs=1e-12)
    assert mean_average_precision(beyond) == mean_average_precision(whole)


def test_queries_in_chunks_give_the_same(monkeypatch):
    ranking = rank(*sample(4, nq=9), at=30)
    whole = average_precision_within_each(ranking, 4)
    monkeypatch.setattr("hashnet.evaluation.per_query._CELLS", 10)
    np.testing.assert_array_equal(average_precision_within_each(ranking, 4), whole)


def test_an_empty_ball_counts_as_zero():
    codes = np.array([[0b1111]], dtype=np.uint8)
    label = np.ones((1, 1), dtype=bool)
    ranking = rank(np.zeros((1, 1), dtype=np.uint8), label, codes, label)
    assert (map_within(ranking, 3), map_within(ranking, 4)) == (0.0, 1.0)


@pytest.mark.parametrize("radius", [-1, 9])
def test_a_radius_that_no_ball_has_is_refused(radius):
    with pytest.raises(ValueError, match=f"radius must be from 0 to n_bits=8, got {radius}"):
        average_precision_within_each(rank(*sample(0)), radius)


@pytest.mark.parametrize("n", [0, 31])
def test_a_rank_beyond_the_database_is_refused(n):
    with pytest.raises(ValueError, match=f"n must be from 1 to the 30 items of the database, got {n}"):
        expected_precision_at_each(rank(*sample(0)), n)
