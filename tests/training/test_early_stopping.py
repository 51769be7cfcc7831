"""A training that holds images out, keeps the best stage, and ends when no better one comes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from training_runs import Interrupt, N, blobs, codes_of

from hashnet.datasets import ArrayImages
from hashnet.evaluation import evaluate
from hashnet.training import TrainConfig, optimization, train
from hashnet.training.validation import split_for_validation

IMAGES, ROWS = blobs(), np.arange(N)
CONFIG = TrainConfig(
    n_bits=16,
    iterations=60,
    batch_size=32,
    stages=6,
    freeze_backbone=True,
    hidden=32,
    validation=0.25,
    checkpoint_every=7,
    device="cpu",
)


@pytest.fixture(scope="module")
def maps():
    """MAPs that a test prescribes for the stages, the one before the first included."""
    return [0.1, 0.2, 0.6, 0.5, 0.4, 0.7, 0.3]


@pytest.fixture
def prescribed(maps, monkeypatch):
    """Has the measured MAPs replaced, whatever the codes are, by those of the stages in turn."""

    def follow(history_length):
        values = iter(maps[history_length:])
        monkeypatch.setattr(optimization, "retrieval_map", lambda *arguments: next(values))

    follow(0)
    return follow


def test_the_map_of_the_model_is_that_of_the_images_held_out(tmp_path):
    result = train(IMAGES, ROWS, CONFIG, output=tmp_path)
    told = result.metrics["validation"]
    split = split_for_validation(N, share=0.25, seed=CONFIG.seed)
    codes = codes_of(tmp_path, IMAGES)
    expected = evaluate(
        codes[split.held_out],
        IMAGES.labels[split.held_out],
        codes[split.train],
        IMAGES.labels[split.train],
        at=told["at"],
    )
    assert told["n"] == len(split.held_out) == 24
    assert told["map"] == pytest.approx(expected.map_tie_aware, abs=1e-9)
    assert told["map"] == max(stage["validation_map"] for stage in result.metrics["stages"][1:])
    assert result.metrics["training"]["n_images"] == 72


def test_images_held_out_do_not_change_the_model(tmp_path):
    """Nothing of them is in the weights: other pixels in their place give the same model."""
    split = split_for_validation(N, share=0.25, seed=CONFIG.seed)
    pixels = np.stack([np.asarray(IMAGES.load(row)) for row in range(N)])
    pixels[split.held_out] = 255 - pixels[split.held_out]
    other = ArrayImages(pixels, IMAGES.labels)
    config = replace(CONFIG, stages=1)
    first = train(IMAGES, ROWS, config, output=tmp_path / "a")
    second = train(other, ROWS, config, output=tmp_path / "b")
    assert first.fingerprint == second.fingerprint
    assert first.metrics["validation"]["map"] != second.metrics["validation"]["map"]


def test_the_best_stage_is_the_model(prescribed, tmp_path):
    result = train(IMAGES, ROWS, CONFIG, output=tmp_path / "m")
    assert result.metrics["validation"]["stage"] == 4
    prescribed(0)
    # Ended there, the last stage is that one.
    ended = train(IMAGES, ROWS, replace(CONFIG, patience=2), output=tmp_path / "e")
    assert ended.metrics["validation"] == {
        **result.metrics["validation"],
        "stage": 1,
        "map": 0.6,
        "stopped_early": True,
    }
    assert len(ended.metrics["stages"]) == 5
    assert ended.fingerprint != result.fingerprint


def test_the_kept_stage_has_the_weights_it_had_then(prescribed, tmp_path):
    """The stage with the factor 0 after the best one moves nothing, so the last weights are those too."""
    factors = (1.0, 1.0, 0.0, 0.0, 0.0, 0.0)
    best = train(IMAGES, ROWS, replace(CONFIG, stage_lr_factors=factors, patience=2), output=tmp_path / "a")
    assert best.metrics["validation"]["stage"] == 1
    plain = replace(CONFIG, stage_lr_factors=factors)
    prescribed(0)
    last = train(IMAGES, ROWS, plain, output=tmp_path / "b")
    assert last.metrics["validation"]["stage"] == 4
    assert best.fingerprint == last.fingerprint


def test_without_patience_all_stages_are_gone_through(prescribed, tmp_path):
    result = train(IMAGES, ROWS, CONFIG, output=tmp_path)
    assert [stage["stage"] for stage in result.metrics["stages"]] == list(range(-1, 6))
    assert not result.metrics["validation"]["stopped_early"]


@pytest.mark.parametrize("at", [5, 24, 33, 52])
def test_an_interrupted_run_ends_at_the_best_stage_of_an_uninterrupted_one(prescribed, tmp_path, at):
    config = replace(CONFIG, ema=0.8, method="greedyhash")
    straight = train(IMAGES, ROWS, config, output=tmp_path / "straight")
    prescribed(0)
    with pytest.raises(KeyboardInterrupt):
        train(IMAGES, ROWS, config, output=tmp_path / "m", progress=Interrupt(at))
    kept_stages = (at // 7 * 7) // 10  # whole stages before the last checkpoint
    prescribed(1 + kept_stages if at >= 7 else 0)
    resumed = train(IMAGES, ROWS, config, output=tmp_path / "m", resume=True)
    assert resumed.metrics["validation"] == straight.metrics["validation"]
    assert resumed.fingerprint == straight.fingerprint


def test_the_figures_of_sgn_are_those_of_the_stage_that_was_kept(prescribed, tmp_path):
    result = train(IMAGES, ROWS, replace(CONFIG, patience=2), output=tmp_path)
    assert result.metrics["sgn"]["beta"] == result.metrics["stages"][2]["beta"]
