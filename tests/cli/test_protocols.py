"""Named protocols on the command line: listed, checked on data, trained on and evaluated by."""

from __future__ import annotations

import json

import numpy as np
import pytest
from image_packs import N_CLASSES, small_pack
from PIL import Image


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    return small_pack(tmp_path_factory.mktemp("pack") / "tiny.npz")


@pytest.fixture(scope="module")
def model(pack, tmp_path_factory, run):
    folder = tmp_path_factory.mktemp("model") / "model"
    result = run(
        *(
            "train",
            "--protocol",
            "tinyimagenet100",
            "--data",
            pack,
            "--bits",
            16,
            "--output",
            folder,
            "--json",
        ),
        *("--iterations", 20, "--stages", 2, "--batch-size", 32),
    )
    assert result.exit_code == 0, result.stderr
    assert '"images": 120' in result.stdout  # the training images of the protocol, not a share of all
    assert "the database list has 120 rows, the protocol has 13,130" in result.stderr
    return folder


def test_the_protocols_are_listed(run):
    assert "tinyimagenet100" in run("protocol").stdout
    listed = {one["protocol"]: one for one in run.json("protocol")["protocols"]}
    assert (listed["coco"]["R"], listed["coco"]["n_query"]) == (5000, 5000)
    assert listed["cifar10-1"]["R"] == "database"


def test_a_protocol_is_shown(run):
    assert "thuml/HashNet" in run("protocol", "imagenet100").stdout


def test_data_are_checked_by_a_protocol(run, pack):
    facts = run.json("protocol", "tinyimagenet100", "--data", pack)
    assert (facts["n_database"], facts["n_query"], facts["n_train"]) == (120, 20, 120)
    assert facts["known_data"] is False
    assert len(facts["faults"]) == 4  # three counts and the number of classes
    # Of 120 * 119 / 2 pairs, 5 * 24 * 23 / 2 are similar.
    assert facts["weight_similar"] == pytest.approx(120 * 119 / (5 * 24 * 23))
    assert (
        "fault: the database list has 120 rows" in run("protocol", "tinyimagenet100", "--data", pack).stdout
    )


def test_a_model_is_evaluated_by_a_protocol(run, pack, model, tmp_path):
    figures = run.json(
        *("evaluate", "--model", model, "--data", pack, "--protocol", "tinyimagenet100"),
        *("--report", tmp_path / "page.html"),
    )
    assert (figures["n_database"], figures["n_queries"]) == (120, 20)
    assert (figures["at"], figures["seed"]) == (120, 0)  # R = 1000, cut to the database
    assert figures["recipe"]["protocol"] == "tinyimagenet100"
    assert figures["recipe"]["R"] == 1000
    assert (
        figures["recipe"]["checksum"] == run.json("protocol", "tinyimagenet100", "--data", pack)["checksum"]
    )
    assert len(figures["per_class"]) == N_CLASSES
    assert figures["intervals"]["map"]["low"] <= figures["map"] <= figures["intervals"]["map"]["high"]


def test_mosaics_are_made_and_evaluated(run, pack, model, monkeypatch):
    from dataclasses import replace

    from hashnet.datasets import protocols

    small = {"mosaic": replace(protocols.PROTOCOLS["mosaic"], n_database=40, n_query=8, n_train=20)}
    monkeypatch.setattr(protocols, "PROTOCOLS", small)
    figures = run.json("evaluate", "--model", model, "--data", pack, "--protocol", "mosaic", "--at", 10)
    assert (figures["n_database"], figures["n_queries"], figures["at"]) == (40, 8, 10)


def test_published_lists_are_evaluated_with_leaked_queries_and_repeated_rows(run, model, tmp_path):
    for i in range(6):
        Image.new("RGB", (8, 8), (40 * i,) * 3).save(tmp_path / f"{i}.png")
    for name, rows in (("database", (5, 0, 1, 2, 2)), ("test", (3, 1)), ("train", (4, 0))):
        text = "".join(f"/their/machine/{i}.png {int(i < 3)} {int(i > 1)}\n" for i in rows)
        (tmp_path / f"{name}.txt").write_text(text)
    result = run(
        *("evaluate", "--model", model, "--data", tmp_path, "--protocol", "coco", "--json"),
        *("--report", tmp_path / "page.html"),
    )
    assert result.exit_code == 0, result.stderr
    assert "1 of 2 queries are in the database as well" in result.stderr
    assert "the database list repeats images in 1 rows" in result.stderr
    assert '"n_database": 5' in result.stdout


def test_a_repeated_training_image_is_trained_on_once(run, tmp_path):
    from hashnet.cli.choosing import training_rows

    for name, rows in (("database", (5, 0)), ("test", (3,)), ("train", (4, 0, 4))):
        text = "".join(f"{i}.png {int(i < 3)} {int(i > 1)}\n" for i in rows)
        (tmp_path / f"{name}.txt").write_text(text)
    images, rows, recipe = training_rows(str(tmp_path), protocol="coco", image_root=None, seed=0)
    assert [images.key(int(row)) for row in rows] == ["4.png", "0.png"]
    assert (recipe["protocol"], recipe["n_train"]) == ("coco", 3)


def test_a_model_says_by_which_protocol_it_was_trained(run, pack, model):
    known = run.json("protocol", "tinyimagenet100", "--data", pack)
    kept = json.loads((model / "metrics.json").read_text())["training"]["protocol"]
    assert {**kept, "data": known["data"]} == {
        **{name: value for name, value in known.items() if not name.startswith("weight_")},
        "n_rows": 120,
    }
    assert kept["data"] == "tiny.npz"  # models are handed on: no path
    said = f"tinyimagenet100, 120 training rows, {known['checksum']}"
    card = (model / "README.md").read_text()
    assert f"| protocol | {said} |" in card
    assert "the database list has 120 rows, the protocol has 13,130" in card
    assert run.json("info", model)["trained by"] == said


def test_an_evaluation_tells_the_protocol_of_training_beside_its_own(run, pack, model):
    options = ("--model", model, "--data", pack, "--seed", 1)
    figures = run.json("evaluate", *options)
    assert figures["recipe"] == {}
    assert figures["notes"]["trained by"].startswith("tinyimagenet100, 120 training rows, sha256:")
    assert "trained by" in run("evaluate", *options).stdout


def test_a_model_trained_without_a_protocol_tells_of_none(run, tiny_model):
    assert "trained by" not in run.json("info", tiny_model)
    assert "| protocol |" not in (tiny_model / "README.md").read_text()


def test_labels_alone_cannot_be_trained_on(run, tmp_path):
    labels = np.eye(4, dtype=np.uint8)
    np.savez(tmp_path / "labels.npz", train=labels, test=labels)
    result = run(
        *("train", "--protocol", "nuswide81", "--data", tmp_path / "labels.npz"),
        *("--output", tmp_path / "model"),
    )
    assert result.exit_code == 2
    assert "holds labels and no images" in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("protocol nope", "there is no protocol 'nope'; known are cifar10"),
        ("protocol --data digits", "--data needs the name of a protocol"),
        ("protocol tinyimagenet100 --data digits", "takes the split of the data, and digits has none"),
        ("train --protocol coco --data digits --output m", "reads published lists"),
    ],
)
def test_what_cannot_be_is_refused_with_a_remedy(run, line, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run(*line.split())
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("name", "file", "similar", "dissimilar"),
    [
        ("coco", "labels_coco.npz", 2.8588673, 1.5379620),
        ("imagenet100", "labels_imagenet.npz", 100.7674419, 1.0100233),
        ("nuswide81", "labels_nuswide81_train_test.npz", 5.8835824, 1.2047677),
    ],
)
def test_label_lists_give_the_weights_of_their_pairs(shared_data, run, name, file, similar, dissimilar):
    facts = run.json("protocol", name, "--data", shared_data / file)
    assert (facts["weight_similar"], facts["weight_dissimilar"]) == pytest.approx((similar, dissimilar))
    assert facts["known_data"] is True


COMPARED = ("--backbone", "small_cnn", "--weights", "none", "--methods", "lsh,itq", "--bits", 8, "--runs", 1)


@pytest.fixture(scope="module")
def compared(pack, tmp_path_factory, run):
    output = tmp_path_factory.mktemp("report") / "r"
    options = ("--data", pack, "--protocol", "tinyimagenet100", "--output", output)
    return output, run.json("compare", *options, *COMPARED)


def test_methods_are_compared_by_a_protocol(run, pack, compared):
    output, found = compared
    recipe = found["protocol"]["protocol"]
    known = run.json("protocol", "tinyimagenet100", "--data", pack)
    assert (recipe["protocol"], recipe["checksum"]) == ("tinyimagenet100", known["checksum"])
    assert [found["protocol"][name] for name in ("n_database", "n_query", "n_train", "at")] == [
        *(120, 20, 120),
        1000,
    ]
    assert json.loads((output / "settings.json").read_text())["protocol"] == recipe
    page = (output / "report.html").read_text()
    assert known["checksum"] in page
    assert "trained on the 120 training images of the protocol tinyimagenet100" in page
    assert found["headline"] == "MAP@120"  # R is cut to the database


def test_a_comparison_by_a_protocol_is_not_mixed_with_one_by_the_data_s_split(run, pack, compared):
    output, _ = compared
    result = run("compare", "--data", pack, "--output", output, *COMPARED)
    assert result.exit_code == 1
    assert "protocol: tinyimagenet100 sha256:" in " ".join(result.stderr.split())


def test_a_given_r_goes_before_that_of_the_protocol(run, pack, tmp_path):
    options = ("--data", pack, "--protocol", "tinyimagenet100", "--at", 7, "--output", tmp_path / "r")
    assert run.json("compare", *options, *COMPARED)["headline"] == "MAP@7"


def test_only_the_training_rows_of_a_protocol_are_trained_on(run, pack, tmp_path, monkeypatch):
    from dataclasses import replace

    from hashnet.comparison import runs
    from hashnet.datasets import protocols

    recipe = replace(protocols.PROTOCOLS["cifar10-1"], query_per_class=2, train_per_class=6)
    monkeypatch.setattr(protocols, "PROTOCOLS", {"cifar10-1": recipe})
    shapes, true_fit = [], runs.fit_features

    def fit(name, features, labels, **options):
        shapes.append((len(features), len(labels), int(labels.sum(axis=0).min())))
        return true_fit(name, features, labels, **options)

    monkeypatch.setattr(runs, "fit_features", fit)
    options = ("--data", pack, "--protocol", "cifar10-1", "--output", tmp_path / "r")
    found = run.json("compare", *options, *COMPARED)
    assert shapes == [(6 * N_CLASSES, 6 * N_CLASSES, 6)] * 2
    assert (found["protocol"]["n_database"], found["protocol"]["n_query"]) == (26 * N_CLASSES, 2 * N_CLASSES)
    # R is the whole database.
    assert found["results"][0]["at"] == 26 * N_CLASSES


def test_methods_are_not_compared_on_labels_alone(run, tmp_path):
    labels = np.eye(4, dtype=np.uint8)
    np.savez(tmp_path / "labels.npz", train=labels, test=labels, database=labels)
    options = ("--data", tmp_path / "labels.npz", "--protocol", "nuswide81", "--output", tmp_path / "r")
    result = run("compare", *options, *COMPARED)
    assert result.exit_code == 2
    assert "holds labels and no images" in " ".join(result.stderr.split())
    assert not (tmp_path / "r").exists()
