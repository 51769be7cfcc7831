"""Comparing methods on one's own images: with labels, without, and again after a kill."""

import csv
import json
import re
import signal
import subprocess
import sys

import numpy as np
import pytest

from hashnet.comparison import features, runs
from hashnet.datasets import open_images

OPTIONS = ["--backbone", "small_cnn", "--weights", "none", "--at", 50]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Digits as files, 12 of each of 10 classes in a folder a class, and the same flat, without labels."""
    root = tmp_path_factory.mktemp("own")
    digits = open_images("digits")
    labels = digits.labels.argmax(axis=1)
    for label in range(10):
        (root / "classes" / str(label)).mkdir(parents=True)
        (root / "flat").mkdir(exist_ok=True)
        for i in np.flatnonzero(labels == label)[:12]:
            digits.load(i).save(root / "classes" / str(label) / f"{i:04d}.png")
            digits.load(i).save(root / "flat" / f"{i:04d}.png")
    return root


@pytest.fixture(scope="module")
def labelled(folders, run, tmp_path_factory):
    output = tmp_path_factory.mktemp("report") / "labelled"
    options = ["--methods", "lsh,itq", "--bits", "8,16", "--runs", 2]
    return output, run.json("compare", "--data", folders / "classes", "--output", output, *options, *OPTIONS)


@pytest.fixture(scope="module")
def unlabelled(folders, run, tmp_path_factory):
    output = tmp_path_factory.mktemp("report") / "unlabelled"
    options = ["--methods", "lsh,itq,itq-cca", "--bits", "16", "--runs", 1]
    return output, run.json("compare", "--data", folders / "flat", "--output", output, *options, *OPTIONS)


def test_every_method_length_and_seed_is_measured(labelled):
    _, found = labelled
    jobs = {(one["method"], one["n_bits"], one["seed"]) for one in found["results"]}
    assert jobs == {(method, bits, seed) for method in ("lsh", "itq") for bits in (8, 16) for seed in (1, 2)}
    assert (found["protocol"]["n_database"], found["protocol"]["n_query"]) == (100, 20)
    assert found["headline"] == "MAP@50"


def test_codes_that_are_kept_are_those_that_were_measured(labelled, folders):
    from hashnet.evaluation import evaluate

    output, found = labelled
    images = open_images(folders / "classes")
    table_rows = np.concatenate(comparison_split(images))
    for one in found["results"]:
        (path,) = (output / "runs").glob(f"{one['method']}-{one['n_bits']}-{one['seed']}-*.npy")
        codes, labels = np.load(path), images.labels[table_rows]
        again = evaluate(codes[100:], labels[100:], codes[:100], labels[:100], at=50, seed=one["seed"])
        assert again.map == pytest.approx(one["evaluation"]["map"], abs=1e-12)


def comparison_split(images):
    from hashnet.datasets import split

    return split(images, seed=1)


def test_the_summary_is_mean_and_interval_with_the_best_on_top(labelled):
    _, found = labelled
    maps = [row["map"][0] for row in found["summary"]]
    assert maps == sorted(maps, reverse=True)
    for row in found["summary"]:
        runs = [
            one["evaluation"]["map"]
            for one in found["results"]
            if (one["method"], one["n_bits"]) == (row["method"].lower(), row["n_bits"])
        ]
        mean, low, high = row["map"]
        assert mean == pytest.approx(np.mean(runs))
        assert low <= min(runs) <= max(runs) <= high


def test_ranking_without_hashing_is_the_reference(labelled):
    output, found = labelled
    assert 0.2 < found["cosine_map"] <= 1
    assert "cosine, no hashing" in (output / "report.html").read_text()


def test_the_report_is_one_page_a_table_and_figures(labelled):
    output, found = labelled
    page = (output / "report.html").read_text()
    addresses = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert all(address.startswith(("data:", "#")) for address in addresses)
    assert [name for name in ("LSH", "ITQ", "MAP@50", "P@H≤2", "random network") if name not in page] == []
    with (output / "report.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["map"]) for row in rows] == [one["evaluation"]["map"] for one in found["results"]]
    assert json.loads((output / "report.json").read_text())["summary"] == found["summary"]
    assert len(list((output / "figures").glob("*.svg"))) == page.count("<svg")


def test_without_labels_the_unsupervised_are_measured_by_neighbours_in_feature_space(unlabelled):
    output, found = unlabelled
    assert {one["method"] for one in found["results"]} == {"lsh", "itq"}
    assert found["cosine_map"] is None
    for one in found["results"]:
        recalls = list(one["recall"].values())
        assert one["evaluation"] is None
        assert recalls == sorted(recalls)
        assert 0 < recalls[0] < recalls[-1] <= 1
    assert "recall@10 of the 10 nearest" in (output / "report.html").read_text()
    assert "not whether the features are good" in (output / "report.html").read_text()


def test_what_was_left_out_is_said_with_the_reason(unlabelled):
    output, found = unlabelled
    assert found["left_out"] == [{"what": "ITQ-CCA", "why": "it learns from labels, and there are none"}]
    assert "it learns from labels" in (output / "report.html").read_text()


def test_only_methods_that_need_labels_on_images_without_are_refused(folders, run, tmp_path):
    result = run(
        *("compare", "--data", folders / "flat", "--output", tmp_path / "r", "--methods", "hashnet"), *OPTIONS
    )
    assert result.exit_code == 2
    assert "have no labels" in result.stderr
    assert not (tmp_path / "r").exists()


def counted(monkeypatch, *, interrupt_at=None):
    """Count fits; the one of that number is interrupted."""
    done = []
    true_fit = runs.fit_features

    def fit(name, *args, n_bits, seed, **options):
        if len(done) == interrupt_at:
            raise KeyboardInterrupt
        done.append((name, n_bits, seed))
        return true_fit(name, *args, n_bits=n_bits, seed=seed, **options)

    monkeypatch.setattr(runs, "fit_features", fit)
    return done


def test_an_interrupted_comparison_is_gone_on_with(folders, run, tmp_path, monkeypatch, labelled):
    command = ["compare", "--data", folders / "classes", "--output", tmp_path / "r", *OPTIONS]
    command += ["--methods", "lsh,itq", "--bits", "8,16", "--runs", 2]
    with monkeypatch.context() as patch:
        first = counted(patch, interrupt_at=3)
        assert run(*command).exit_code == 130
    second = counted(monkeypatch)
    found = run.json(*command)
    assert (len(first), len(second)) == (3, 5)
    expected = [without_seconds(one) for one in labelled[1]["results"]]
    assert [without_seconds(one) for one in found["results"]] == expected


def without_seconds(result):
    evaluation = {key: value for key, value in result["evaluation"].items() if key != "seconds"}
    return {**result, "fit_s": 0, "encode_s": 0, "evaluation": evaluation}


def test_more_methods_and_lengths_cost_only_themselves(labelled, folders, run, tmp_path, monkeypatch):
    command = ["compare", "--data", folders / "classes", "--output", tmp_path / "r", *OPTIONS, "--runs", 1]
    run.json(*command, "--methods", "lsh", "--bits", "8")
    done = counted(monkeypatch)
    run.json(*command, "--methods", "itq,lsh", "--bits", "16,8")
    assert sorted(done) == [("itq", 8, 1), ("itq", 16, 1), ("lsh", 16, 1)]


def test_features_of_parts_that_are_done_are_not_computed_again(folders, run, tmp_path, monkeypatch):
    monkeypatch.setattr(features, "PART", 32)
    true_extract = features.extract_features
    sizes = []

    def extract(network, images, rows, *args, **options):
        if len(sizes) == 2:
            sizes.append("interrupted")
            raise KeyboardInterrupt
        sizes.append(len(rows))
        return true_extract(network, images, rows, *args, **options)

    monkeypatch.setattr(features, "extract_features", extract)
    command = ["compare", "--data", folders / "classes", "--output", tmp_path / "r", *OPTIONS]
    command += ["--methods", "lsh", "--bits", "8", "--runs", 1]
    assert run(*command).exit_code == 130
    assert run(*command).exit_code == 0
    assert sizes == [32, 32, "interrupted", 32, 24]


def test_other_settings_do_not_mix_with_what_is_there(folders, run, tmp_path):
    command = ["compare", "--data", folders / "classes", "--output", tmp_path / "r", *OPTIONS]
    command += ["--methods", "lsh", "--bits", "8", "--runs", 1]
    run.json(*command)
    result = run(*command, "--radius", 1)
    assert result.exit_code == 1
    assert "radius: 2 -> 1" in result.stderr
    assert run.json(*command, "--radius", 1, "--overwrite")["protocol"]["radius"] == 1


def test_a_folder_of_other_files_is_left_alone(folders, run, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    result = run("compare", "--data", folders / "classes", "--output", tmp_path, *OPTIONS)
    assert result.exit_code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_length_that_one_method_cannot_have_does_not_cost_the_others(folders, run, tmp_path):
    found = run.json(
        *("compare", "--data", folders / "classes", "--output", tmp_path / "r", *OPTIONS),
        *("--methods", "itq,lsh", "--bits", "128", "--runs", 1),
    )
    assert [one["method"] for one in found["results"]] == ["lsh"]  # 100 images have no 128 main directions
    assert [one["what"] for one in found["left_out"]] == ["ITQ, 128 bits, seed 1"]


def test_unreadable_images_are_left_out_up_to_a_share(folders, run, tmp_path):
    (tmp_path / "photos").mkdir()
    for path in sorted((folders / "flat").iterdir())[:40]:
        (tmp_path / "photos" / path.name).write_bytes(path.read_bytes())
    (tmp_path / "photos" / "bad.png").write_text("no image")
    command = ["compare", "--data", tmp_path / "photos", "--output", tmp_path / "r", *OPTIONS]
    command += ["--methods", "lsh", "--bits", "8", "--runs", 1]
    assert run(*command, "--max-error-rate", 0.01).exit_code == 1
    assert run.json(*command)["protocol"]["unreadable"] == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--methods", "nonsense"], "'nonsense'"),
        (["--bits", "12"], "multiple of 8"),
        (["--bits", "a"], "numbers separated by commas"),
        (["--bits", ","], "bits must name at least one"),
    ],
)
def test_what_makes_no_sense_is_refused_before_any_work(folders, run, tmp_path, options, said):
    result = run("compare", "--data", folders / "classes", "--output", tmp_path / "r", *OPTIONS, *options)
    assert result.exit_code == 2
    assert said in result.stderr
    assert not (tmp_path / "r").exists()


@pytest.mark.slow
def test_a_killed_comparison_ends_with_the_same_results(folders, tmp_path, run):
    command = ["compare", "--data", folders / "classes", "--methods", "lsh,itq,hashnet", "--bits", "8,16"]
    command += ["--runs", 2, *OPTIONS]
    line = [sys.executable, "-m", "hashnet", *map(str, command), "--output", str(tmp_path / "killed")]
    with subprocess.Popen(
        [*line, "--progress", "json"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as job:
        for said in job.stderr:
            if '"compare"' in said and json.loads(said)["done"] >= 1:
                job.send_signal(signal.SIGKILL)
                break
    assert job.wait() == -signal.SIGKILL
    assert not (tmp_path / "killed" / "report.html").exists()
    killed = run.json(*command, "--output", tmp_path / "killed")
    whole = run.json(*command, "--output", tmp_path / "whole")
    assert [without_seconds(one) for one in killed["results"]] == [
        without_seconds(one) for one in whole["results"]
    ]


def test_a_single_run_has_intervals_over_queries_and_several_have_them_over_seeds(folders, run, tmp_path):
    command = ["compare", "--data", folders / "classes", "--methods", "lsh", "--bits", "8,16", *OPTIONS]
    run.json(*command, "--output", tmp_path / "one", "--runs", 1)
    run.json(*command, "--output", tmp_path / "two", "--runs", 2)
    one, two = ((tmp_path / name / "report.html").read_text() for name in ("one", "two"))
    assert "intervals over queries (bootstrap)" in one
    assert "± half" not in one
    assert "95% intervals (Student&#x27;s t)" in two
    assert "± half" in two


def test_too_few_images_without_labels_are_refused(folders, run, tmp_path):
    (tmp_path / "photos").mkdir()
    for path in sorted((folders / "flat").iterdir())[:9]:
        (tmp_path / "photos" / path.name).write_bytes(path.read_bytes())
    result = run("compare", "--data", tmp_path / "photos", "--output", tmp_path / "r", *OPTIONS)
    assert result.exit_code == 2
    assert "at least 10 database images" in result.stderr
