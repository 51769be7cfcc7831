"""Settings files: every default is in them, they read back to the same settings, and nothing else goes."""

from __future__ import annotations

import tomllib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashnet.training import TrainConfig
from hashnet.training.config_file import (
    checked,
    parse_assignment,
    parse_settings,
    read_config,
    write_config,
)
from hashnet.training.descriptions import DESCRIPTIONS, SECTIONS

OPEN_OR = {
    "n_bits": st.sampled_from([8, 48, 1024]),
    "weights": st.none() | st.text(min_size=1).filter(lambda text: text != "none"),
    "hidden": st.none() | st.integers(0, 10**12),
    "lr": st.none() | st.floats(1e-300, 1e300),
    "beta_final": st.floats(64, 1e300),
    "augment": st.sampled_from([None, "none", "shift", "flip"]),
    "freeze_norm": st.none() | st.booleans(),
    "channels_last": st.booleans(),
    "alpha": st.none() | st.floats(1e-9, 1e9),
    "validation": st.floats(0, 1, exclude_max=True),
    "micro_batch": st.none() | st.integers(1, 100),
    "train_last_blocks": st.none() | st.integers(1, 4),
    "stages": st.just(3),
    "stage_lr_factors": st.none() | st.tuples(*[st.floats(0, 1e9)] * 3),
    "tensorboard": st.none() | st.just("runs/one"),
}


@given(st.fixed_dictionaries(OPEN_OR))
def test_written_settings_read_back_to_the_same(values):
    config = TrainConfig(**values)
    assert TrainConfig(**parse_settings(write_config(config))) == config


def test_completed_settings_read_back_to_the_same():
    config = TrainConfig().resolved(image_side=32, n_images=100)
    assert TrainConfig(**parse_settings(write_config(config))) == config


def test_every_setting_is_written_and_described_once():
    assert sorted(tomllib.loads(write_config(TrainConfig()))) == sorted(TrainConfig.names())
    assert sorted(name for names in SECTIONS.values() for name in names) == sorted(TrainConfig.names())
    assert set(DESCRIPTIONS) == set(TrainConfig.names())


def test_a_file_changes_what_it_names_and_nothing_else(tmp_path):
    path = tmp_path / "train.toml"
    path.write_text('lr = 1\naugment = "flip"\nhidden = "auto"\n')
    base = TrainConfig(n_bits=48, hidden=7)
    assert read_config(path, base=base) == replace(base, lr=1.0, augment="flip", hidden=None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("learning_rate = 0.1", r"unknown setting 'learning_rate' \(value 0\.1\)"),
        ("batchsize = 3", r"did you mean batch_size\?"),
        ("[optimizer]\nlr = 0.1", r'optimizer must be one of "adam", "sgd", got \{'),
        ("[network]\nlr = 0.1", "unknown section 'network'"),
        ('lr = "fast"', r'lr must be a number or "auto", got \'fast\''),
        ("lr = true", "lr must be a number"),
        ("n_bits = 48.0", r"n_bits must be a whole number, got 48\.0"),
        ('n_bits = "auto"', "n_bits must be a whole number, got 'auto'"),
        ("compile = 1", "compile must be true or false, got 1"),
        ("compile = 0.0", "compile must be true or false"),
        ('augment = "mixup"', 'augment must be one of "none", "shift", "flip" or "auto"'),
        ("stage_lr_factors = 1.0", "stage_lr_factors must be a list, each a number"),
        ('stage_lr_factors = ["a"]', "stage_lr_factors must be a list, each a number"),
        ("stage_lr_factors = [1.0]", "stage_lr_factors must be 10 finite numbers"),
        ("lr = -1", r"lr must be positive and finite, got -1\.0"),
        ("lr = nan", "lr must be positive"),
        ("stages = 0", "stages must be >= 1, got 0"),
        ("weights = 3", "weights must be a text"),
        ("lr: 0.1", "not TOML"),
        ("lr = 0.1\nlr = 0.2", "not TOML"),
    ],
)
def test_what_is_wrong_is_refused_naming_file_setting_and_rule(tmp_path, text, message):
    path = tmp_path / "train.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as refused:
        read_config(path)
    assert str(refused.value).startswith(f"{path}: ")


def test_a_missing_file_is_named_with_how_to_get_one(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.toml does not exist.*--print-config"):
        read_config(tmp_path / "none.toml")


def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "x.toml").write_bytes(b"lr = \xff\xfe")
    with pytest.raises(ValueError, match="not UTF-8"):
        read_config(tmp_path / "x.toml")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lr=1e-3", ("lr", 1e-3)),
        ("augment = flip", ("augment", "flip")),
        ('weights="a b.pth"', ("weights", "a b.pth")),
        ("weights=a/b=c.pth", ("weights", "a/b=c.pth")),
        ("stage_lr_factors=[1, 0.5]", ("stage_lr_factors", [1, 0.5])),
        ("hidden=auto", ("hidden", "auto")),
        ("compile=false", ("compile", False)),
    ],
)
def test_an_assignment_is_toml_or_a_bare_word(text, expected):
    assert parse_assignment(text) == expected


@pytest.mark.parametrize("text", ["lr", "=3", "lr=", ""])
def test_what_assigns_nothing_is_refused(text):
    with pytest.raises(ValueError, match="NAME=VALUE"):
        parse_assignment(text)


def test_settings_of_the_command_are_checked_like_those_of_a_file():
    with pytest.raises(ValueError, match="lr must be a number"):
        checked({"lr": "fast"})
