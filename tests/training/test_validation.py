"""What is held out, how it is measured, and which stage is the best."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from hashnet.training import validation
from hashnet.training.validation import (
    BestStage,
    Split,
    best_stage,
    database_sample,
    is_over,
    retrieval_map,
    split_for_validation,
)


@given(st.integers(10, 300), st.floats(0, 0.7), st.integers(0, 5))
def test_every_place_is_trained_on_or_held_out(n, share, seed):
    split = split_for_validation(n, share=share, seed=seed)
    assert sorted([*split.train, *split.held_out]) == list(range(n))
    assert len(split.held_out) == (max(1, round(share * n)) if share else 0)


def test_what_is_held_out_depends_on_the_seed_alone():
    first, again, other = (split_for_validation(100, share=0.2, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.held_out, again.held_out)
    assert not np.array_equal(first.held_out, other.held_out)


def test_a_share_that_leaves_nothing_to_train_on_is_refused():
    with pytest.raises(ValueError, match=r"validation=0\.9 of 10 images leaves 1 to train on"):
        split_for_validation(10, share=0.9, seed=0)


def test_without_a_share_nothing_is_held_out():
    split = split_for_validation(5, share=0.0, seed=0)
    assert isinstance(split, Split)
    assert (split.train.tolist(), len(split.held_out)) == ([0, 1, 2, 3, 4], 0)


def test_a_large_database_is_sampled_once_and_for_all(monkeypatch):
    monkeypatch.setattr(validation, "MAX_DATABASE", 50)
    sample = database_sample(200, seed=3)
    assert len(set(sample.tolist())) == 50
    assert np.array_equal(sample, database_sample(200, seed=3))
    assert np.array_equal(database_sample(50, seed=3), np.arange(50))


def literal_map(queries, query_labels, database, database_labels):
    """Mean over queries of average precision, for distances without ties."""
    values = []
    for code, labels in zip(queries, query_labels, strict=True):
        order = np.argsort(((code > 0) != (database > 0)).sum(axis=1), kind="stable")
        relevant = (database_labels[order] @ labels) > 0
        precision = np.cumsum(relevant) / np.arange(1, len(order) + 1)
        values.append((precision * relevant).sum() / max(relevant.sum(), 1))
    return np.mean(values)


def test_the_map_is_that_of_the_signs():
    # Rows of the database differ from each query in 0, 1, 2, ... bits: no distance ties.
    database = np.ones((9, 8), np.float32)
    for row in range(9):
        database[row, :row] = -1
    queries = np.stack([database[0], database[8]]) * 3.5
    labels = np.eye(3, dtype=np.uint8)[np.arange(9) % 3]
    found = retrieval_map(torch.from_numpy(queries), labels[[0, 8]], torch.from_numpy(database), labels)
    assert found == pytest.approx(literal_map(queries, labels[[0, 8]], database, labels))


def history(*maps):
    before = {"stage": -1, "iteration": 0, "validation_map": 0.99}
    return [before, *({"stage": stage, "validation_map": value} for stage, value in enumerate(maps))]


def test_the_best_stage_is_the_first_of_the_highest_and_not_the_start():
    assert best_stage(history(0.1, 0.5, 0.3, 0.5))["stage"] == 1


@pytest.mark.parametrize(
    ("maps", "patience", "over"),
    [
        ([], 1, False),
        ([0.5], 1, False),
        ([0.5, 0.4], 1, True),
        ([0.5, 0.5], 1, True),
        ([0.5, 0.4], 2, False),
        ([0.5, 0.4, 0.45], 2, True),
        ([0.5, 0.4, 0.6], 2, False),
        ([0.5, 0.1, 0.1, 0.1], 0, False),
    ],
)
def test_training_is_over_after_so_many_stages_without_a_better_one(maps, patience, over):
    assert is_over(history(*maps), patience=patience) is over


def test_the_state_of_the_best_stage_comes_back():
    module = nn.Linear(2, 2)
    best = BestStage(module)
    states = []
    for step, maps in enumerate([(0.3,), (0.3, 0.6), (0.3, 0.6, 0.5)]):
        with torch.no_grad():
            module.weight.fill_(step)
        states.append(module.weight.detach().clone())
        best.consider(history(*maps))
    again = BestStage(module)
    again.restore(best.state())
    again.apply()
    assert torch.equal(module.weight, states[1])
