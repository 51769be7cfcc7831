"""Settings of hashnet train: a file, assignments and options, printed with --print-config."""

from __future__ import annotations

import json
import tomllib

import pytest

from hashnet.training import TrainConfig


def printed(run, *arguments):
    """What --print-config says, by name."""
    result = run("train", "--print-config", *arguments)
    assert result.exit_code == 0, result.stderr
    return tomllib.loads(result.stdout)


def test_all_settings_are_printed_with_their_defaults(run):
    values = printed(run)
    assert set(values) == set(TrainConfig.names())
    assert (values["n_bits"], values["seed"], values["backbone"], values["lr"]) == (
        48,
        1,
        "small_cnn",
        "auto",
    )


def test_what_is_printed_reads_back_to_itself(run, tmp_path):
    first = run("train", "--print-config", "--backbone", "resnet18", "--set", "ema=0.99").stdout
    (tmp_path / "a.toml").write_text(first)
    assert run("train", "--print-config", "--config", tmp_path / "a.toml").stdout == first


def test_with_data_the_settings_are_complete_and_read_back(run, tmp_path):
    first = run("train", "--print-config", "--data", "digits").stdout
    assert (tomllib.loads(first)["image_size"], tomllib.loads(first)["lr"]) == (8, 1e-3)
    (tmp_path / "a.toml").write_text(first)
    assert run("train", "--print-config", "--config", tmp_path / "a.toml").stdout == first


def test_options_override_assignments_and_these_the_file(run, tmp_path):
    (tmp_path / "a.toml").write_text("lr = 0.1\nstages = 3\nbatch_size = 7\nseed = 9\n")
    values = printed(
        run, "--config", tmp_path / "a.toml", "--set", "lr=0.2", "--set", "stages=4", "--stages", 5
    )
    assert [values[name] for name in ("batch_size", "lr", "stages", "seed")] == [7, 0.2, 5, 9]


def test_every_setting_can_be_assigned(run):
    values = printed(run, "--data", "digits")
    others = values | {"lr": 0.25, "seed": 7, "augment": "flip", "stage_lr_factors": [0.5] * values["stages"]}
    assignments = [part for name in others for part in ("--set", f"{name}={json.dumps(others[name])}")]
    assert printed(run, *assignments) == others


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "lrr=1"], "unknown setting 'lrr' (value 1); did you mean lr?"),
        (["--set", "lr=fast"], "lr must be a number or \"auto\", got 'fast'"),
        (["--set", "lr"], "a setting must be NAME=VALUE"),
        (["--lr", "-1"], "lr must be positive and finite, got -1.0"),
        (["--patience", "2"], "patience 2 needs images to validate on"),
        (["--config", "absent.toml"], "settings file absent.toml does not exist"),
        (["--freeze-backbone", "--augment", "flip"], "augment must be none with freeze_backbone"),
    ],
)
def test_wrong_settings_end_with_the_rule(run, arguments, message):
    result = run("train", "--print-config", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_rules_between_file_and_option_are_checked_on_both_together(run, tmp_path):
    (tmp_path / "a.toml").write_text("patience = 2\n")
    assert run("train", "--print-config", "--config", tmp_path / "a.toml").exit_code == 2
    values = printed(run, "--config", tmp_path / "a.toml", "--validation", 0.1)
    assert (values["patience"], values["validation"]) == (2, 0.1)


@pytest.mark.parametrize(
    ("arguments", "missing"),
    [([], "--data and --output"), (["--data", "digits"], "--output"), (["--output", "m"], "--data")],
)
def test_a_training_without_data_or_output_says_which(run, arguments, missing):
    result = run("train", *arguments)
    assert result.exit_code == 2
    assert f"training needs {missing};" in result.stderr


def test_a_training_follows_its_file(run, tmp_path):
    (tmp_path / "a.toml").write_text(
        'n_bits = 16\niterations = 60\nstages = 2\nvalidation = 0.1\naugment = "none"\nlr = 0.003\n'
    )
    facts = run.json("train", "--data", "digits", "--config", tmp_path / "a.toml", "--output", tmp_path / "m")
    metrics = json.loads((tmp_path / "m" / "metrics.json").read_text())
    assert metrics["training"]["identity"]["lr"] == 0.003
    assert metrics["validation"]["n"] == round(0.1 * facts["images"])
    assert facts["validation MAP@1000"] == metrics["validation"]["map"] > 0.5
