"""`benchmarks.reproduce` from features to the page: stored runs hold, the page has every figure."""

from __future__ import annotations

import json
import os
import re
import sys
from argparse import Namespace

import numpy as np
import pytest
from feature_samples import multi_hot_of
from image_packs import N_CLASSES, small_pack

from benchmarks import learning_pages, reproduce
from hashnet.comparison import Features, features_of, runs, sections
from hashnet.progress import NO_PROGRESS
from hashnet.training.methods import METHODS as ALL_METHODS

QUICK = {"hidden": 32, "iterations": 30, "batch_size": 32, "stages": 3}
METHODS = "itq,hashnet,dhn,itq-cca"


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """One call of reproduce on made-up features: its folder, what it stored, and the fits that it did."""
    folder = tmp_path_factory.mktemp("reproduce")
    pack = small_pack(folder / "tiny.npz")
    classes = np.repeat(np.arange(N_CLASSES), 28)
    rng = np.random.default_rng(0)
    values = rng.normal(0, 0.6, (len(classes), 24)) + np.eye(24)[classes] * 3
    weights = folder / "w.safetensors"
    weights.write_bytes(b"never opened: the features are made up")
    settings = folder / "settings.json"
    chosen = {name: {"settings": QUICK, "chosen_by": "hand"} for name in ("hashnet", "dhn")}
    settings.write_text(json.dumps({"tinyimagenet100": chosen}))
    return folder, pack, settings, values.astype(np.float32)


def command_line(folder, pack, *options):
    line = ["--protocol", "tinyimagenet100", "--data", pack, "--weights", folder / "w.safetensors"]
    line += ["--work", folder / "work", "--backbone", "small_cnn", "--image-size", 8, "--progress", "none"]
    return [str(one) for one in ("reproduce", *line, *options)]


@pytest.fixture(scope="module")
def call(done):
    folder, pack, settings, values = done

    def run(*options):
        stored, fits, true_fit = {}, [], runs.fit_features

        def extract(images, config, sides, cache, **rest):
            return features_of(values, np.arange(len(values)), images, sides)

        def fit(name, *args, n_bits, seed, **rest):
            fits.append((name, n_bits, seed))
            return true_fit(name, *args, n_bits=n_bits, seed=seed, **rest)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(reproduce, "SETTINGS", settings)
            patch.setattr(reproduce, "RESULTS", folder / "results")
            patch.setattr(reproduce, "keep", lambda name, result: stored.update({name: result}))
            patch.setattr(learning_pages, "SHOWN_BITS", 16)
            patch.setattr(reproduce, "SHOWN_BITS", 16)
            patch.setattr(sections, "TSNE_LEAST", 20)
            patch.setattr(runs, "fit_features", fit)
            patch.setattr(reproduce, "extract", extract)
            patch.setattr(sys, "argv", command_line(folder, pack, *options))
            reproduce.main()
        return stored, fits

    return run


@pytest.fixture(scope="module")
def first(call):
    return call("--methods", METHODS, "--bits", 8, 16, "--seeds", 0, 1)


def test_every_method_length_and_seed_is_measured_and_stored(first, done):
    stored, fits = first
    assert sorted(fits) == sorted(
        (name, bits, seed) for name in METHODS.split(",") for bits in (8, 16) for seed in (0, 1)
    )
    result = stored["reproduce_tinyimagenet100"]
    assert (result["protocol"]["n_train"], result["protocol"]["data"]) == (24 * N_CLASSES, "tiny.npz")
    assert list(result["figures"]) == METHODS.split(",")
    assert len(result["figures"]["hashnet"][16]["map_tie_aware"]["seeds"]) == 2
    assert result["settings"]["hashnet"]["settings"] == QUICK
    assert [stage["stage"] for stage in result["training"]["stages"]["hashnet"]] == [-1, 0, 1, 2]
    assert json.loads(json.dumps(result)) is not None
    (path,) = (done[0] / "work" / "runs").glob("hashnet-16-1-*.json")
    assert json.loads(path.read_text())["settings"] == QUICK


def test_a_second_call_measures_nothing_again(first, call):
    again, fits = call("--methods", METHODS, "--bits", 8, 16, "--seeds", 0, 1)
    assert fits == []
    assert again["reproduce_tinyimagenet100"]["figures"] == first[0]["reproduce_tinyimagenet100"]["figures"]


def test_the_page_has_every_figure_and_needs_nothing_else(first, done):
    page = (done[0] / "work" / "reproduce_tinyimagenet100.html").read_text()
    addresses = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert all(address.startswith(("data:", "#")) for address in addresses)
    wanted = [
        *("tie-aware over the bits of a code", "P@H≤2 over the bits", "Precision over recall"),
        *("Precision@N", "t-SNE of up to 20 codes", "loss on relaxed and on sgn codes"),
        *("Mean distance of a relaxed bit", "nearest neighbours: HashNet, 16 bits"),
        *("nearest neighbours: DHN, 16 bits", "Costs", "ImageNet-100, MAP@1000", "± half"),
        *("at least one shared label", "cosine, no hashing", "iterations 30", "without hashing"),
    ]
    assert [one for one in wanted if one not in page] == []
    assert str(done[0]) not in page  # where the data lie is nobody's business
    assert 'class="cell right"' in page or 'class="cell right tiny"' in page
    figures = {path.name for path in (done[0] / "results").glob("*.svg")}
    kinds = ("map_tie_aware", "precision_within", "precision_recall", "precision_at", "tsne")
    kinds += ("loss", "gap", "neighbours_hashnet", "neighbours_dhn")
    svg = (done[0] / "results" / "reproduce_tinyimagenet100_gap.svg").read_text()
    assert svg.startswith("<?xml")
    assert "background:#ffffff" in svg  # legible on a dark page too
    assert figures == {f"reproduce_tinyimagenet100_{kind}.svg" for kind in kinds}


def test_runs_of_figures_alone_are_fitted_again_only_where_the_page_shows_their_codes(first, call, done):
    early = ("method", "n_bits", "seed", "settings", "at", "features", "rows", "fit_s", "evaluation")
    for path in (done[0] / "work" / "runs").glob("*-*-*-*.json"):
        stored = json.loads(path.read_text())
        path.write_text(json.dumps({name: stored[name] for name in early}))
        path.with_suffix(".npy").unlink()
    again, fits = call("--methods", METHODS, "--bits", 8, 16, "--seeds", 0, 1)
    assert sorted(fits) == [("dhn", 16, 0), ("hashnet", 16, 0)]
    before = first[0]["reproduce_tinyimagenet100"]
    assert again["reproduce_tinyimagenet100"]["figures"] == before["figures"]
    assert again["reproduce_tinyimagenet100"]["training"] == before["training"]


def test_a_page_can_be_written_elsewhere(first, call, done):
    call("--methods", "itq", "--bits", 8, "--seeds", 0, "--page", done[0] / "elsewhere" / "page.html")
    assert "ITQ" in (done[0] / "elsewhere" / "page.html").read_text()


def test_a_method_that_does_not_fit_is_left_out_and_said(first, call, done, capsys):
    stored, _ = call("--methods", "itq,lsh", "--bits", 32, "--seeds", 0)
    result = stored["reproduce_tinyimagenet100"]
    assert list(result["figures"]) == ["lsh"]  # 24 features have no 32 main directions
    assert result["left_out"][0]["what"] == "ITQ, 32 bits, seed 0"
    assert "left out ITQ, 32 bits, seed 0" in capsys.readouterr().err


def test_tuning_goes_line_by_line_from_the_best_point_on_validation_rows(first, call, done, monkeypatch):
    lines = [[{**QUICK, "iterations": n} for n in (1, 60)], [{"lr": 1e-9}]]
    monkeypatch.setattr(reproduce, "GRIDS", {"hashnet": lines})
    monkeypatch.setattr(reproduce, "VALIDATION_PER_CLASS", 6)
    _, fits = call("--methods", "hashnet", "--tune", "--tune-bits", 16, "--tune-at", 20, "--seeds", 0)
    assert fits == [("hashnet", 16, 0)] * 3
    chosen = json.loads(done[2].read_text())["tinyimagenet100"]["hashnet"]
    # A rate of next to nothing is worse, and is tried at what the first line chose.
    assert chosen["settings"] == lines[0][1]
    assert [one["settings"] for one in chosen["tried"]] == [*lines[0], {**lines[0][1], "lr": 1e-9}]
    assert not list((done[0] / "work" / "tuning").glob("*.npy"))


def test_changes_are_measured_alone_and_stored(first, call, monkeypatch):
    monkeypatch.setattr(reproduce, "CHANGES", [{**QUICK}, {**QUICK, "margin": 0.2}])
    monkeypatch.setattr(reproduce, "VALIDATION_PER_CLASS", 6)
    asked = ("--methods", "hashnet", "--changes", "--tune-bits", 16, "--tune-at", 20, "--seeds", 0)
    stored, fits = call(*asked)
    assert len(fits) == 2
    measured = stored["changes_tinyimagenet100"]["changes"]["hashnet"]
    assert [one["settings"] for one in measured] == [{**QUICK}, {**QUICK, "margin": 0.2}]
    assert all(0 < one["map"] <= 1 for one in measured)
    assert call(*asked)[1] == []


def test_the_half_that_was_not_learned_is_searched_as_well(first, call):
    asked = ("--methods", "lsh,itq-cca", "--unseen", "--tune-bits", 8, "--tune-at", 20, "--seeds", 0)
    stored, fits = call(*asked)
    assert fits == [("lsh", 8, 0), ("itq-cca", 8, 0)]
    result = stored["unseen_tinyimagenet100"]
    assert result["rows"] == {"learned": 12 * N_CLASSES, "unseen": 12 * N_CLASSES}
    merits = {
        method: {half: figures["map_tie_aware"][0] for half, figures in halves.items()}
        for method, halves in result["figures"].items()
    }
    assert all(0 < merit <= 1 for halves in merits.values() for merit in halves.values())
    # What is learned with labels serves the rows that were learned better.
    assert merits["itq-cca"]["learned"] > merits["itq-cca"]["unseen"]
    assert call(*asked)[1] == []


def test_the_validation_part_is_of_every_class_and_no_query(monkeypatch):
    monkeypatch.setattr(reproduce, "VALIDATION_PER_CLASS", 3)
    labels = multi_hot_of(np.arange(60) % 4, 4)
    train = np.arange(10, 60)
    table = Features(np.zeros((60, 2), np.float32), labels, train, train, np.arange(10), "mark")
    rest, held = reproduce.validation_split(table)
    assert sorted([*rest, *held]) == train.tolist()
    assert labels[held].sum(axis=0).tolist() == [3, 3, 3, 3]


def test_features_of_a_pack_that_was_touched_go_to_another_folder(done, monkeypatch):
    folder, pack, _, values = done
    caches = []

    def extract(images, config, sides, cache, **rest):
        caches.append(cache)
        return features_of(values, np.arange(len(values)), images, sides)

    monkeypatch.setattr(reproduce, "extract", extract)
    monkeypatch.setattr(sys, "argv", command_line(folder, pack))
    for _ in range(2):
        reproduce.opened(reproduce._options(), NO_PROGRESS)
    os.utime(pack, ns=(1, 1))
    reproduce.opened(reproduce._options(), NO_PROGRESS)
    assert caches[0] == caches[1] != caches[2]
    assert all(cache.parent == folder / "work" for cache in caches)


def test_with_amp_every_deep_method_and_no_other_is_told_and_all_say_what_chose_their_settings():
    options = Namespace(protocol="cifar10", settings_of="tinyimagenet100", amp="on")
    chosen = reproduce.chosen_settings(options)
    told = {method for method, one in chosen.items() if one["settings"].get("amp") == "on"}
    assert told == {name for name, method in ALL_METHODS.items() if not method.shallow}
    assert all(one["chosen_by"] for one in chosen.values())
    plain = reproduce.chosen_settings(Namespace(**{**vars(options), "amp": "off"}))
    assert not any("amp" in one["settings"] for one in plain.values())
