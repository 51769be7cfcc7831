"""What hashing keeps of a feature space, against literal references."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashnet.evaluation import feature_space
from hashnet.evaluation.feature_space import cosine_map, neighbour_recall, true_neighbours

RNG = np.random.default_rng(0)


def cosine(a, b):
    norms = np.linalg.norm(a, axis=1)[:, None] * np.linalg.norm(b, axis=1)[None, :]
    return (a @ b.T) / np.where(norms > 0, norms, 1)


@pytest.mark.parametrize("block", [1, 100, 1 << 24])
@pytest.mark.parametrize("k", [1, 7, 40, 99])
def test_true_neighbours_are_those_of_a_full_sort(monkeypatch, block, k):
    monkeypatch.setattr(feature_space, "BLOCK", block)
    queries, database = RNG.standard_normal((9, 5)), RNG.standard_normal((40, 5))
    expected = np.argsort(-cosine(queries, database), axis=1, kind="stable")[:, :k]
    assert np.array_equal(true_neighbours(queries, database, k), expected)


@given(st.integers(1, 12), st.integers(0, 100))
def test_equal_similarities_are_ordered_by_row(k, seed):
    rng = np.random.default_rng(seed)
    database = np.eye(3)[rng.integers(0, 3, 12)]  # cosines are exactly 0 or 1
    queries = np.eye(3)
    expected = np.argsort(-(queries @ database.T), axis=1, kind="stable")[:, :k]
    assert np.array_equal(true_neighbours(queries, database, k), expected)


def test_a_feature_of_zeros_is_similar_to_nothing():
    database = np.array([[0.0, 0.0], [-1.0, 0.0], [1.0, 0.0]])
    assert true_neighbours(np.array([[2.0, 0.0]]), database, 3).tolist() == [[2, 0, 1]]


def literal_recall(queries, database, neighbours, n, draws=400):
    """The mean over random orders of the database, with ties broken by that order."""
    rng = np.random.default_rng(1)
    found = []
    for _ in range(draws):
        order = rng.permutation(len(database))
        for query, mine in zip(queries, neighbours, strict=True):
            distances = np.unpackbits(query ^ database[order], axis=1).sum(axis=1)
            nearest = order[np.argsort(distances, kind="stable")[:n]]
            found.append(len(set(nearest) & set(mine)) / len(mine))
    return np.mean(found)


def test_recall_is_the_mean_over_all_orders_of_ties():
    database = RNG.integers(0, 256, (30, 1), dtype=np.uint8)
    queries = database[:4] ^ 1
    neighbours = RNG.permuted(np.tile(np.arange(30), (4, 1)), axis=1)[:, :5]
    found = neighbour_recall(queries, database, neighbours, at=(1, 5, 17, 30))
    assert list(found) == [1, 5, 17, 30]
    for n, recall in found.items():
        assert recall == pytest.approx(literal_recall(queries, database, neighbours, n), abs=0.02)
    assert found[30] == 1.0


def test_recall_without_ties_is_exact():
    database = np.array([[0], [1], [3], [7], [15]], dtype=np.uint8)  # distances 0 to 4
    neighbours = np.array([[0, 4]])
    found = neighbour_recall(np.zeros((1, 1), np.uint8), database, neighbours, at=(1, 4, 5, 6))
    assert found == {1: 0.5, 4: 0.5, 5: 1.0}


def test_recall_does_not_depend_on_blocks(monkeypatch):
    database = RNG.integers(0, 256, (200, 2), dtype=np.uint8)
    queries, neighbours = database[:50] ^ 1, RNG.integers(0, 200, (50, 10))
    whole = neighbour_recall(queries, database, neighbours)
    monkeypatch.setattr(feature_space, "BLOCK", 1000)
    assert neighbour_recall(queries, database, neighbours) == pytest.approx(whole)


def test_map_by_cosine_is_that_of_the_definition():
    queries, database = RNG.standard_normal((15, 4)), RNG.standard_normal((60, 4))
    asked, held = RNG.random((15, 3)) < 0.4, RNG.random((60, 3)) < 0.4
    expected = []
    for query, labels in zip(queries, asked, strict=True):
        order = np.argsort(-cosine(query[None], database)[0], kind="stable")[:20]
        relevant = (held[order] & labels).any(axis=1)
        hits = [(sum(relevant[: i + 1]) / (i + 1)) for i in range(20) if relevant[i]]
        expected.append(np.mean(hits) if hits else 0.0)
    assert cosine_map(queries, asked, database, held, at=20) == pytest.approx(np.mean(expected))


def test_features_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="of one length"):
        true_neighbours(np.zeros((2, 3)), np.zeros((2, 4)), 1)


def test_neighbours_of_other_queries_are_refused():
    codes = np.zeros((3, 1), dtype=np.uint8)
    with pytest.raises(ValueError, match="a row for each of 3 queries"):
        neighbour_recall(codes, codes, np.zeros((2, 1), dtype=np.int64))
