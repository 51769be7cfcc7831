"""A run is known by what its figures depend on, kept once, and made whole where only figures were kept."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from feature_samples import clusters, multi_hot_of

from hashnet.comparison import CannotFitError, Features, Job, Runs, runs
from hashnet.errors import DamagedError
from hashnet.evaluation import evaluate, true_neighbours

N_CLASSES = 6
VALUES, CLASSES = clusters(n=160, n_features=24, n_classes=N_CLASSES)
QUICK = {"hashnet": {"hidden": 32, "iterations": 30, "batch_size": 32, "stages": 3}}


def features(**changes):
    """80 training rows inside a database of 120, and 40 queries."""
    made = Features(
        VALUES.astype(np.float32),
        multi_hot_of(CLASSES, N_CLASSES),
        train=np.arange(80),
        database=np.arange(120),
        query=np.arange(120, 160),
        mark="values",
    )
    return replace(made, **changes)


@pytest.fixture
def fits(monkeypatch):
    """The fits that were done: method, number of training items."""
    done, true_fit = [], runs.fit_features

    def fit(name, values, *args, **options):
        done.append((name, len(values)))
        return true_fit(name, values, *args, **options)

    monkeypatch.setattr(runs, "fit_features", fit)
    return done


def test_a_run_is_trained_on_the_training_rows_and_measured_once(tmp_path, fits):
    kept = Runs(features(), tmp_path, at=50)
    first = kept.get(Job("itq", 16, 3))
    assert Runs(features(), tmp_path, at=50).get(Job("itq", 16, 3)) == first
    assert fits == [("itq", 80)]


def test_the_codes_of_a_run_are_those_that_its_figures_were_measured_on(tmp_path):
    table = features()
    result, database, query = Runs(table, tmp_path, at=50, radius=3).whole(Job("itq", 16, 3))
    labels = table.labels
    again = evaluate(query, labels[120:], database, labels[:120], at=50, radius=3, seed=3)
    for name in ("map", "map_tie_aware", "precision_within"):
        assert result.figure(name) == getattr(again, name)
    assert result.bit_figures["distinct_codes"] == len(np.unique(database, axis=0))


class Marked(Features):
    """Features whose digests are given."""

    rows_mark = "5dd4875421602025"


def test_the_names_of_runs_are_those_that_stored_runs_have(tmp_path):
    table = features()
    marked = Marked(table.values, table.labels, table.train, table.database, table.query, "49eca659ed420afe")
    plain, settled = Job("hashnet", 48, 0), Job("itq-cca", 48, 0)
    settings = {"itq-cca": {"correlation_power": 0.5, "ridge": 0.1}}
    kept = Runs(marked, tmp_path, at=1000, settings=settings)
    assert kept.path(plain).name == "hashnet-48-0-73fd0a3210bdd9ec.json"
    assert kept.path(settled).name == "itq-cca-48-0-98a430a26b34cc2e.json"


@pytest.mark.parametrize(
    ("changes", "options"),
    [
        ({"mark": "other values"}, {}),
        ({"train": np.arange(79)}, {}),
        ({"query": np.arange(121, 160)}, {}),
        ({}, {"at": 49}),
        ({}, {"radius": 3}),
        ({}, {"settings": {"itq": {"n_iterations": 7}}}),
    ],
)
def test_what_figures_depend_on_makes_another_run(tmp_path, changes, options):
    job = Job("itq", 16, 3)
    other = Runs(features(**changes), tmp_path, **{"at": 50, **options}).path(job)
    assert other != Runs(features(), tmp_path, at=50).path(job)


def test_settings_of_other_methods_and_their_order_change_nothing(tmp_path):
    job = Job("itq", 16, 3)
    given = ({"itq": {"a": 1, "b": 2}}, {"itq": {"b": 2, "a": 1}, "sdh": {"c": 3}})
    assert len({Runs(features(), tmp_path, at=50, settings=one).path(job) for one in given}) == 1


def figures_alone(kept, job):
    """Turn a stored run into one of an earlier version: no codes, and figures only."""
    path = kept.path(job)
    stored = json.loads(path.read_text())
    early = ("method", "n_bits", "seed", "settings", "at", "features", "rows", "fit_s", "evaluation")
    path.write_text(json.dumps({name: stored[name] for name in early}))
    path.with_suffix(".npy").unlink(missing_ok=True)


@pytest.mark.parametrize("method", ["itq", "hashnet"])
def test_a_run_of_figures_alone_is_taken_as_it_is_and_fitted_again_only_for_its_codes(tmp_path, fits, method):
    job = Job(method, 16, 0)
    kept = Runs(features(), tmp_path, at=50, settings=QUICK)
    first, database, query = kept.whole(job)
    figures_alone(kept, job)
    early = kept.get(job)
    assert early.stages is None
    assert early.bit_figures == first.bit_figures
    assert early.evaluation == first.evaluation
    assert len(fits) == 1
    again, same_database, same_query = kept.whole(job)
    assert len(fits) == 2
    assert again.stages == first.stages
    assert np.array_equal(database, same_database)
    assert np.array_equal(query, same_query)
    kept.whole(job)
    assert len(fits) == 2


def test_codes_are_kept_where_they_are_wanted(tmp_path):
    job = Job("itq", 16, 0)
    kept = Runs(features(), tmp_path, at=50, keep_codes=False)
    kept.get(job)
    assert [path.suffix for path in tmp_path.iterdir()] == [".json"]
    kept.whole(job)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".npy"]


def test_a_deep_run_tells_its_stages_and_a_classic_one_none(tmp_path):
    kept = Runs(features(), tmp_path, at=50, settings=QUICK)
    deep = kept.get(Job("hashnet", 16, 0))
    assert [stage["stage"] for stage in deep.stages] == [-1, 0, 1, 2]
    assert deep.stages[-1]["gap"] < deep.stages[1]["gap"]
    assert kept.get(Job("itq", 16, 0)).stages is None


def test_without_labels_recall_of_the_nearest_features_is_measured(tmp_path):
    table = features(labels=None)
    truth = true_neighbours(table.values[table.query], table.values[table.database], 10)
    found = Runs(table, tmp_path, at=50, truth=truth).get(Job("lsh", 64, 0))
    assert found.evaluation is None
    assert 10 / 120 < found.figure("recall@10") < found.figure("recall@50") <= 1
    assert found.bit_figures["n_codes"] == 120


def test_what_does_not_fit_is_told_and_leaves_nothing(tmp_path):
    kept = Runs(features(), tmp_path, at=50, settings={"itq": {"nonsense": 1}})
    with pytest.raises(CannotFitError, match="nonsense: no setting of ITQ"):
        kept.get(Job("itq", 16, 0))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["{", "[]", '{"method": "itq"}'])
def test_a_damaged_run_is_named_with_the_remedy(tmp_path, text):
    kept, job = Runs(features(), tmp_path, at=50), Job("itq", 16, 0)
    kept.path(job).write_text(text)
    with pytest.raises(DamagedError, match="delete it, and it is made again"):
        kept.get(job)


@pytest.mark.parametrize(
    "damage", [b"", b"no array", np.zeros((3, 2), np.uint8), np.zeros((160, 3), np.uint8)]
)
def test_damaged_codes_are_named_with_the_remedy(tmp_path, damage):
    kept, job = Runs(features(), tmp_path, at=50), Job("itq", 16, 0)
    kept.get(job)
    path = kept.path(job).with_suffix(".npy")
    if isinstance(damage, bytes):
        path.write_bytes(damage)
    else:
        np.save(path, damage)
    with pytest.raises(DamagedError, match="delete it, and it is made again"):
        kept.whole(job)
