"""The trainer: it learns, repeats itself, resumes exactly, and keeps what it was not asked to overwrite."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from training_runs import Interrupt, N, blobs, codes_of

from hashnet.datasets import ArrayImages
from hashnet.errors import CollapseWarning, ErrorRateError, ResumeError, UnreadableImageError
from hashnet.training import TrainConfig, train

WHOLE = TrainConfig(
    n_bits=16, iterations=40, batch_size=32, augment="shift", checkpoint_every=8, device="cpu"
)
FROZEN = TrainConfig(
    n_bits=16,
    iterations=120,
    batch_size=48,
    freeze_backbone=True,
    hidden=32,
    checkpoint_every=25,
    device="cpu",
)
# A method whose objective has parameters of its own, which are trained and kept with the network.
GREEDY = replace(FROZEN, method="greedyhash")
MODES = pytest.mark.parametrize("config", [WHOLE, FROZEN], ids=["whole", "frozen"])
WITH_OBJECTIVE = pytest.mark.parametrize(
    "config", [WHOLE, FROZEN, GREEDY], ids=["whole", "frozen", "frozen, own parameters"]
)


IMAGES = blobs()
ROWS = np.arange(N)


def codes(model_dir):
    return codes_of(model_dir, IMAGES)


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """Uninterrupted runs by mode, trained when first asked for."""
    results = {}

    def get(config):
        if config not in results:
            results[config] = train(IMAGES, ROWS, config, output=tmp_path_factory.mktemp("run") / "model")
        return results[config]

    return get


@MODES
def test_sgd_lowers_the_loss_on_sgn_codes_within_every_stage_up_to_tolerance(straight, config):
    losses = [stage["loss_sgn"] for stage in straight(config).metrics["stages"]]
    assert all(end <= start + 0.05 for start, end in itertools.pairwise(losses))
    assert losses[-1] < 0.5 * losses[0]


@MODES
def test_the_relaxed_codes_reach_sgn_at_the_end(straight, config):
    gaps = [stage["gap"] for stage in straight(config).metrics["stages"]]
    assert gaps[-1] < 1e-3


@MODES
def test_at_the_end_all_training_images_have_relaxed_codes_that_are_sgn_codes(straight, config):
    sgn = straight(config).metrics["sgn"]
    assert (sgn["n"], sgn["beta"], sgn["differing_codes"]) == (N, 1e4, 0)
    assert sgn["gap"] < 1e-3


def test_without_continuation_the_relaxed_codes_are_not_compared_with_sgn_codes(straight):
    metrics = straight(replace(FROZEN, method="hashnet-sgn")).metrics
    assert "sgn" not in metrics
    assert {stage["beta"] for stage in metrics["stages"]} == {1.0}
    assert metrics["stages"][-1]["gap"] > 1e-2


@MODES
def test_there_are_figures_before_the_first_stage_and_after_each(straight, config):
    stages = straight(config).metrics["stages"]
    assert [stage["stage"] for stage in stages] == list(range(-1, 10))


@WITH_OBJECTIVE
def test_two_runs_with_one_seed_give_the_same_codes(straight, tmp_path, config):
    again = train(IMAGES, ROWS, config, output=tmp_path / "again")
    assert np.array_equal(codes(again.model_dir), codes(straight(config).model_dir))


@WITH_OBJECTIVE
@pytest.mark.parametrize("at", [3, 34])
def test_an_interrupted_and_resumed_run_ends_at_the_codes_of_an_uninterrupted_one(
    straight, tmp_path, config, at
):
    output = tmp_path / "model"
    with pytest.raises(KeyboardInterrupt):
        train(IMAGES, ROWS, config, output=output, progress=Interrupt(at))
    resumed = train(IMAGES, ROWS, config, output=output, resume=True)
    assert resumed.fingerprint == straight(config).fingerprint
    assert np.array_equal(codes(output), codes(straight(config).model_dir))


def test_a_resumed_run_starts_from_the_last_checkpoint(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(IMAGES, ROWS, WHOLE, output=tmp_path, progress=Interrupt(34))
    steps = []
    watch = Interrupt(None)
    watch.advance = lambda done=1, **figures: steps.append(done) if watch.what == "train" else None
    train(IMAGES, ROWS, WHOLE, output=tmp_path, progress=watch, resume=True)
    assert steps == [32] + [1] * 8


def test_a_resumed_run_has_the_figures_of_an_uninterrupted_one(straight, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(IMAGES, ROWS, WHOLE, output=tmp_path, progress=Interrupt(34))
    resumed = train(IMAGES, ROWS, WHOLE, output=tmp_path, resume=True)
    assert resumed.metrics["stages"] == straight(WHOLE).metrics["stages"]


def test_resuming_reads_no_image_again_when_the_features_are_kept(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(IMAGES, ROWS, FROZEN, output=tmp_path, progress=Interrupt(3))
    phases = Interrupt(None)
    seen = []
    phases.start = lambda what, total: seen.append(what)
    train(IMAGES, ROWS, FROZEN, output=tmp_path, progress=phases, resume=True)
    assert seen == ["train"]


def test_another_seed_gives_another_code_space(straight, tmp_path):
    other = train(IMAGES, ROWS, TrainConfig(**{**vars(FROZEN), "seed": 1}), output=tmp_path)
    assert other.fingerprint != straight(FROZEN).fingerprint


@pytest.mark.parametrize("change", [{"lr": 0.123}, {"n_bits": 24}, {"seed": 5}])
def test_resuming_with_other_settings_is_refused_and_keeps_the_checkpoint(tmp_path, change):
    with pytest.raises(KeyboardInterrupt):
        train(IMAGES, ROWS, FROZEN, output=tmp_path, progress=Interrupt(60))
    with pytest.raises(ResumeError, match=next(iter(change))):
        train(IMAGES, ROWS, TrainConfig(**{**vars(FROZEN), **change}), output=tmp_path, resume=True)
    assert (tmp_path / "checkpoint" / "state.safetensors").exists()


def test_resuming_on_other_images_is_refused(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(IMAGES, ROWS, FROZEN, output=tmp_path, progress=Interrupt(60))
    with pytest.raises(ResumeError, match="data was"):
        train(blobs(seed=1), ROWS, FROZEN, output=tmp_path, resume=True)


def test_resuming_a_finished_run_returns_its_result(straight):
    finished = straight(FROZEN)
    assert train(IMAGES, ROWS, FROZEN, output=finished.model_dir, resume=True) == finished


def test_a_finished_run_leaves_a_model_and_no_checkpoint(straight):
    files = sorted(path.name for path in straight(WHOLE).model_dir.iterdir())
    assert files == ["README.md", "config.json", "metrics.json", "model.safetensors"]


def test_the_stored_metrics_are_the_returned_ones(straight):
    result = straight(WHOLE)
    assert json.loads((result.model_dir / "metrics.json").read_text()) == json.loads(
        json.dumps(result.metrics)
    )


def test_a_model_is_not_overwritten_unasked(straight):
    with pytest.raises(FileExistsError, match="already holds a model"):
        train(IMAGES, ROWS, FROZEN, output=straight(FROZEN).model_dir)


def test_a_checkpoint_is_not_overwritten_unasked(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(IMAGES, ROWS, FROZEN, output=tmp_path, progress=Interrupt(60))
    with pytest.raises(FileExistsError, match="interrupted training"):
        train(IMAGES, ROWS, FROZEN, output=tmp_path)


def test_training_leaves_the_global_generator_alone(tmp_path):
    before = torch.random.get_rng_state()
    train(IMAGES, ROWS, FROZEN, output=tmp_path)
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_learning_rate_that_learns_nothing_is_warned_of(tmp_path):
    with pytest.warns(CollapseWarning, match="ln 2"):
        train(IMAGES, ROWS, TrainConfig(**{**vars(FROZEN), "lr": 1e-12, "iterations": 20}), output=tmp_path)


def test_multi_label_images_can_be_trained_on(tmp_path):
    labels = np.stack([ROWS % 2 == 0, ROWS % 3 == 0, ROWS % 4 == 1], axis=1).astype(np.uint8)
    pixels = np.random.default_rng(0).integers(0, 256, (N, 8, 8, 3), dtype=np.uint8)
    result = train(ArrayImages(pixels, labels), ROWS, FROZEN, output=tmp_path)
    assert result.metrics["stages"][-1]["loss_sgn"] < result.metrics["stages"][0]["loss_sgn"]


class WithBadImages:
    """Image sets some of whose images are truncated."""

    def __init__(self, bad):
        self._bad = bad

    def __getattr__(self, name):
        return getattr(IMAGES, name)

    def __len__(self):
        return len(IMAGES)

    def load(self, i):
        if i in self._bad:
            raise UnreadableImageError(IMAGES.key(i), "truncated")
        return IMAGES.load(i)


@MODES
def test_unreadable_images_are_left_out_and_listed(tmp_path, config):
    result = train(WithBadImages({0, 50}), ROWS, config, output=tmp_path)
    assert [reject[0] for reject in result.metrics["training"]["rejects"]] == [0, 50]
    assert result.metrics["training"]["n_images"] == N - 2


@MODES
def test_too_many_unreadable_images_fail_the_run(tmp_path, config):
    with pytest.raises(ErrorRateError, match=r"truncated.*repair or remove"):
        train(WithBadImages(set(range(20))), ROWS, config, output=tmp_path)


def test_images_without_labels_are_refused(tmp_path):
    with pytest.raises(ValueError, match="needs labels"):
        train(ArrayImages(np.zeros((4, 8, 8), np.uint8)), np.arange(4), output=tmp_path)


@pytest.mark.parametrize(
    ("rows", "rule"),
    [
        ([0], "at least two"),
        ([0, N], "from 0 to 95"),
        ([-1, 2], "from 0 to 95"),
        ([1, 1], "distinct"),
        ([0.5, 1.5], "row numbers"),
    ],
)
def test_wrong_rows_are_refused(tmp_path, rows, rule):
    with pytest.raises(ValueError, match=rule):
        train(IMAGES, np.array(rows), output=tmp_path)


def test_a_device_that_is_not_there_is_refused(tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    with pytest.raises(ValueError, match="no CUDA device"):
        train(IMAGES, ROWS, TrainConfig(device="cuda"), output=tmp_path)


@pytest.mark.gpu
@MODES
def test_training_in_bfloat16_on_a_gpu_reaches_sgn(tmp_path, config):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    result = train(IMAGES, ROWS, TrainConfig(**{**vars(config), "device": "cuda"}), output=tmp_path)
    assert result.metrics["stages"][-1]["gap"] < 1e-3
