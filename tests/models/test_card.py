"""The model card says what the two JSON files say, and changes nothing else."""

import json

import pytest
import torch

from hashnet.errors import DamagedError
from hashnet.models import (
    NetworkConfig,
    Preprocessing,
    build_network,
    load_model,
    model_card,
    record_evaluation,
    save_model,
    write_card,
)

FIGURES = {
    "map": 0.5,
    "map_tie_aware": 0.25,
    "precision_within": 0.125,
    "at": 1000,
    "radius": 2,
    "seed": 1,
    "n_queries": 3030,
    "n_database": 13130,
    "similarity": "at least one shared label",
    "data": "/home/someone/photos",
    "notes": {"split": "the source's own"},
}
METRICS = {
    "training": {
        "identity": {"method": "hashnet", "lr": 0.001, "weights": None},
        "n_images": 12345,
        "n_classes": 2,
        "pair_weights": [10.5, 1.25],
        "device": "cpu",
    },
    "sgn": {"n": 12345, "differing_codes": 3},
    "stages": [{"loss_relaxed": 0.25, "loss_sgn": 0.3, "gap": 0.001, "distinct_codes": 77, "sample": 512}],
}


@pytest.fixture
def saved(tmp_path):
    return save(tmp_path / "model", METRICS)


def save(path, metrics, classes=("cat", "dog")):
    network = build_network(
        NetworkConfig("small_cnn", 16), weights=None, generator=torch.Generator().manual_seed(0)
    )
    save_model(path, network, Preprocessing(8, 8), classes=classes, seed=7, metrics=metrics)
    return path


def card(path):
    return (path / "README.md").read_text()


def test_a_saved_model_has_a_card_of_what_it_is_and_how_it_was_trained(saved):
    text = card(saved)
    wanted = [
        *(
            "# small_cnn, 16 bits",
            "2: cat, dog",
            "random start",
            "3 of all 12,345",
            "12,345 of 2 classes",
            "10.5 and 1.25",
            "| lr | 0.001 |",
        ),
        *("| method | hashnet |", load_model(saved).fingerprint, "hashnet hash photos/", "Not evaluated yet"),
    ]
    assert [one for one in wanted if one not in text] == []


def test_recorded_figures_stand_in_metrics_and_card_and_leave_the_code_space_alone(saved):
    before = load_model(saved)
    record_evaluation(saved, FIGURES)
    after = load_model(saved)
    assert after.fingerprint == before.fingerprint
    assert after.metrics["training"] == before.metrics["training"]
    assert [one["map"] for one in after.metrics["evaluations"]] == [0.5]
    assert "| MAP@1000 | 0.5000 |" in card(saved)
    assert "3,030 queries, a database of 13,130 (shuffled with seed 1)" in card(saved)
    assert "Not evaluated yet" not in card(saved)


def test_figures_of_one_protocol_are_replaced_and_of_another_kept(saved):
    record_evaluation(saved, FIGURES)
    record_evaluation(saved, {**FIGURES, "map": 0.75})
    record_evaluation(saved, {**FIGURES, "seed": 2})
    found = json.loads((saved / "metrics.json").read_text())["evaluations"]
    assert [(one["seed"], one["map"]) for one in found] == [(1, 0.75), (2, 0.5)]


@pytest.mark.parametrize("interval", [{"mean": 0.5, "low": 0.48, "high": 0.52}, [0.48, 0.52]])
def test_intervals_stand_behind_their_figures(saved, interval):
    record_evaluation(saved, {**FIGURES, "intervals": {"map": interval}})
    assert "| MAP@1000 | 0.5000 \\[0.4800, 0.5200\\] |" in card(saved)
    assert "95% confidence intervals over queries" in card(saved)


def test_no_path_of_this_machine_is_handed_on(saved):
    record_evaluation(saved, FIGURES)
    assert [path.name for path in saved.iterdir() if b"/home/someone" in path.read_bytes()] == []
    assert "### photos" in card(saved)


def test_names_of_classes_cannot_break_the_page(tmp_path):
    text = card(save(tmp_path / "m", {}, classes=["a|b", "<script>", "c\nd", "[x](y)"]))
    assert "| classes | 4: a\\|b, &lt;script>, c d, \\[x\\](y) |" in text


def test_many_classes_are_counted(tmp_path):
    text = card(save(tmp_path / "m", {}, classes=[f"class{i}" for i in range(25)]))
    assert "25: class0, " in text
    assert "class19 and 5 more" in text
    assert "class20" not in text


def test_a_model_without_metrics_has_a_card(tmp_path):
    text = card(save(tmp_path / "m", {}))
    assert "Nothing is recorded of the training." in text


def test_a_lost_card_is_written_again_and_was_never_missed(saved):
    before = card(saved)
    (saved / "README.md").unlink()
    load_model(saved)
    write_card(saved)
    assert card(saved) == before


def test_the_card_is_that_of_the_files(saved):
    config, metrics = (json.loads((saved / name).read_text()) for name in ("config.json", "metrics.json"))
    assert model_card(config, metrics) == card(saved)


def test_damaged_metrics_are_named_and_not_overwritten(saved):
    (saved / "metrics.json").write_text("{")
    with pytest.raises(DamagedError, match=r"metrics\.json"):
        record_evaluation(saved, FIGURES)
    assert (saved / "metrics.json").read_text() == "{"
