"""A wrong answer is found, shown and is a failure."""

import json

import numpy as np
import pytest

from hashnet import Index, Neighbors


@pytest.fixture
def lying(monkeypatch):
    """An index that leaves the last neighbour out and repeats the one before."""
    honest = Index.search

    def search(self, queries, k, **options):
        distances, ids = honest(self, queries, k, **options)
        distances, ids = distances.copy(), ids.copy()
        ids[:, -1] = ids[:, -2]
        distances[:, -1] = distances[:, -2]
        return Neighbors(distances, ids)

    monkeypatch.setattr(Index, "search", search)


@pytest.mark.usefixtures("lying")
def test_a_mismatch_is_exit_code_1_and_is_shown(index, run):
    result = run("crosscheck", index, "--k", 3, "--sample", 4)
    assert result.exit_code == 1
    assert "k=3, query 0, rank 2: hashnet has id" in result.stdout


@pytest.mark.usefixtures("lying")
def test_a_mismatch_is_exit_code_1_in_json_too(index, run):
    result = run("crosscheck", index, "--k", 3, "--sample", 4, "--json")
    assert (result.exit_code, json.loads(result.stdout)["ok"]) == (1, False)


def test_given_queries_are_asked(index, queries, run):
    report = run.json("crosscheck", index, "--queries", queries, "--k", 3)
    assert (report["n_queries"], report["radius"], report["k"]) == (len(np.load(queries)), None, 3)


def test_a_seed_draws_the_same_sample(index, run):
    first, second = (run("crosscheck", index, "--sample", 20, "--seed", 4).stdout for _ in range(2))
    assert first == second
