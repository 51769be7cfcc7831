"""A training by several processes follows the curve of one, and any number continues the run of another."""

from __future__ import annotations

import shutil
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

from hashnet.codes import pack
from hashnet.datasets import ArrayImages
from hashnet.errors import CollapseWarning, ErrorRateError, HashnetError, UnreadableImageError
from hashnet.models import load_model
from hashnet.training import TrainConfig, optimization, trainer
from hashnet.training.forward import Forward
from hashnet.training.task import TrainResult, prepare
from hashnet.training.trainer import run
from hashnet.training.world import ALONE, never

N = 200
# Training amplifies rounding: a unit next to the kink of a ReLU falls on its other side, Adam divides a
# gradient that is nearly 0 by its own size, and where beta is large every z next to 0 is at a step. From such
# an event on any two orders of summation part. So runs in float32 are short here, with a moderate beta; a
# long one is compared in float64.
WHOLE = TrainConfig(
    n_bits=16,
    iterations=12,
    batch_size=32,
    augment="flip",
    optimizer="sgd",
    lr=0.02,
    stages=3,
    beta_max=1.5,
    beta_final=2.0,
    checkpoint_every=4,
    device="cpu",
)
FROZEN = TrainConfig(
    n_bits=16,
    iterations=40,
    batch_size=48,
    stages=4,
    beta_max=8.0,
    beta_final=32.0,
    freeze_backbone=True,
    hidden=32,
    dropout=0.5,
    checkpoint_every=8,
    device="cpu",
)
LONG = replace(WHOLE, optimizer="adam", lr=1e-3, iterations=40, batch_size=31, beta_max=64.0, beta_final=1e4)
# An objective with parameters of its own: a gradient summed over processes would give another curve.
OWN = replace(FROZEN, method="greedyhash", optimizer="sgd", lr=0.05, dropout=0.0)
# Blocks of a random network have small activations, which the head then scales up: they are moved little.
LAST = replace(
    FROZEN,
    freeze_backbone=False,
    train_last_blocks=1,
    hidden=None,
    dropout=None,
    backbone_lr_factor=1e-3,
    freeze_norm=True,
)
CONFIGS = {
    "last block, kept activations": LAST,
    "last block, augmented": replace(LAST, augment="flip"),
    "last block, batch norm": replace(
        WHOLE, train_last_blocks=1, augment=None, stages=2, stage_lr_factors=(1.0, 0.5)
    ),
    "head, micro-batches": replace(FROZEN, micro_batch=7),
    "head, validation, average": replace(FROZEN, validation=0.2, ema=0.8),
    "last block, micro-batches": replace(LAST, micro_batch=10),
    "whole": WHOLE,
    "whole, odd batch": replace(WHOLE, batch_size=31),
    "whole, small odd batch, without weights": replace(WHOLE, batch_size=19, method="hashnet-w"),
    "whole, adam": replace(WHOLE, method="hashnet-c", optimizer="adam", lr=1e-3, stages=2),
    "whole, adam, frozen norm": replace(WHOLE, optimizer="adam", lr=1e-3, freeze_norm=True, stages=2),
    "head": FROZEN,
    "head, odd batch, large alpha": replace(FROZEN, batch_size=47, alpha=1.0),
    "head, batch of all": replace(FROZEN, batch_size=1000, dropout=0.0),
    "head, sgd, an objective with parameters": OWN,
    "whole, adam, an objective with parameters": replace(
        WHOLE, method="greedyhash", optimizer="adam", lr=1e-3, stages=2
    ),
    "head, sgd, without weights": replace(FROZEN, optimizer="sgd", lr=0.05, method="hashnet-w"),
}


class Images(ArrayImages):
    """Noisy images whose class is a colour and a brightness, some with two labels, some unreadable."""

    def __init__(self, bad=()):
        rng = np.random.default_rng(0)
        classes = np.arange(N) % 4
        pixels = rng.integers(0, 120, (N, 8, 8, 3))
        for image, label in zip(pixels, classes, strict=True):
            image[:, :, label % 2] += 60 + 70 * (label // 2)
        labels = np.eye(4, dtype=np.uint8)[classes]
        labels[::7, 0] = 1
        super().__init__(pixels.astype(np.uint8), labels)
        self._bad = set(bad)

    def load(self, i):
        if i in self._bad:
            raise UnreadableImageError(self.key(i), "truncated")
        return super().load(i)


class Curve:
    """Progress that keeps the loss of each step and says when to stop."""

    def __init__(self, stop_at=None):
        self.losses, self.phases, self.done, self.stop_at = [], [], 0, stop_at

    def start(self, what, total):
        self.phases.append((what, total))
        self.done = 0

    def advance(self, done=1, **figures):
        self.done += done
        if "loss" in figures:
            self.losses.append(figures["loss"])

    def finish(self):
        pass

    def stop(self):
        return self.phases[-1][0] == "train" and self.done == self.stop_at


def trained(world, config, output, stop_at=None, bad=()):
    """What one process of a run saw: fingerprint (None if stopped), losses, phases and metrics."""
    images = Images(bad)
    task = prepare(images, np.arange(N), config, output=output, resume=True)
    if isinstance(task, TrainResult):
        return task.fingerprint, [], [], task.metrics
    curve = Curve(stop_at)
    # One process alone may be asked to stop although the others are not.
    stop = curve.stop if stop_at is not None and world.rank == world.size - 1 else never
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore", CollapseWarning)
        patch.setattr(optimization, "_LOOK_EVERY", 1)
        try:
            result = run(images, task, world=world, progress=curve, stop=stop)
        except KeyboardInterrupt:
            return None, curve.losses, curve.phases, {}
    return result.fingerprint, curve.losses, curve.phases, result.metrics


def trained_in_double(world, config, output):
    """The same with float64 throughout."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Forward, "z", lambda self, module, x: module(x.double()))
        torch.set_default_dtype(torch.float64)
        try:
            return trained(world, config, output)
        finally:
            torch.set_default_dtype(torch.float32)


def trained_in_bfloat16(world, config, output):
    """The same with the network in bfloat16, as a GPU does it."""

    return trained(world, replace(config, amp="on"), output)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """What one process sees, by configuration."""
    runs = {}

    def get(config):
        if config not in runs:
            output = tmp_path_factory.mktemp("alone") / "model"
            runs[config] = (*trained(ALONE, config, output), output)
        return runs[config]

    return get


def distance(one, other):
    assert len(one) == len(other)
    return np.abs(np.subtract(one, other)).max()


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize("size", [2, 3])
def test_several_processes_follow_the_loss_curve_of_one(gang, alone, tmp_path, config, size):
    _, losses, _, metrics, _ = alone(config)
    assert len(losses) == config.iterations
    for _, found, _, told in gang(__file__, "trained", config, tmp_path / "model", n=size):
        assert distance(found, losses) < 1e-5
        stages = [[stage["loss_relaxed"] for stage in run["stages"]] for run in (told, metrics)]
        assert distance(*stages) < 1e-5


def test_in_double_precision_they_follow_it_to_the_end_with_any_beta(gang, tmp_path):
    _, losses, _, _ = trained_in_double(ALONE, LONG, tmp_path / "one")
    for _, found, _, _ in gang(__file__, "trained_in_double", LONG, tmp_path / "three", n=3):
        assert distance(found, losses) < 1e-9


@pytest.mark.parametrize("config", [CONFIGS["whole, adam"], FROZEN], ids=["whole", "head"])
def test_in_bfloat16_they_follow_it_as_far_as_its_rounding_allows(gang, alone, tmp_path, config):
    _, losses, _, _ = trained_in_bfloat16(ALONE, config, tmp_path / "one")
    assert 1e-5 < distance(losses, alone(config)[1]) < 0.1
    for _, found, _, _ in gang(__file__, "trained_in_bfloat16", config, tmp_path / "two", n=2):
        assert distance(found, losses) < 0.1
        assert distance(found[:3], losses[:3]) < 0.01


def test_the_curves_go_down(alone):
    """The comparisons above are of trainings that move."""
    for config in CONFIGS.values():
        losses = alone(config)[1]
        assert min(losses[-3:]) < 0.9 * losses[0]


@pytest.mark.parametrize("config", [WHOLE, FROZEN], ids=["whole", "head"])
def test_all_processes_report_one_model_and_the_codes_of_one_process(gang, alone, tmp_path, config):
    runs = gang(__file__, "trained", config, tmp_path / "model", n=2)
    model, expected = load_model(tmp_path / "model"), load_model(alone(config)[-1])
    assert {run[0] for run in runs} == {model.fingerprint}
    batch = torch.from_numpy(model.preprocess([Images().load(row) for row in range(N)]))
    z = [one.relaxed(batch).numpy() for one in (model, expected)]
    assert distance(*z) < 1e-4
    assert np.unpackbits(pack(z[0]) ^ pack(z[1])).sum() <= N * config.n_bits / 1000
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == [
        "README.md",
        "config.json",
        "metrics.json",
        "model.safetensors",
    ]


@pytest.mark.parametrize("config", [WHOLE, FROZEN], ids=["whole", "head"])
def test_a_run_continued_by_other_numbers_of_processes_follows_the_same_curve(gang, alone, tmp_path, config):
    output = tmp_path / "model"
    first = gang(__file__, "trained", config, output, 3, n=2)
    second = gang(__file__, "trained", config, output, 6, n=3)
    third = trained(ALONE, config, output, 8)
    last = gang(__file__, "trained", config, output, n=2)
    assert [run[0] for run in (*first, *second, third)] == [None] * 6
    losses = [run[0][1] for run in (first, second, [third], last)]
    assert [len(part) for part in losses] == [3, 3, 2, config.iterations - 8]
    assert distance(np.concatenate(losses), alone(config)[1]) < 1e-5


def test_one_process_ends_at_one_fingerprint_whatever_interrupted_it(alone, tmp_path):
    trained(ALONE, FROZEN, tmp_path / "model", 11)
    trained(ALONE, FROZEN, tmp_path / "model", 29)
    assert trained(ALONE, FROZEN, tmp_path / "model")[0] == alone(FROZEN)[0]


def test_a_group_of_one_ends_at_the_fingerprint_of_a_run_without_a_group(gang, alone, tmp_path):
    for config in (WHOLE, FROZEN):
        output = tmp_path / config.augment if config.augment else tmp_path / "head"
        assert gang(__file__, "trained", config, output, n=1)[0][0] == alone(config)[0]


@pytest.mark.parametrize("config", [WHOLE, FROZEN], ids=["whole", "head"])
def test_each_process_reads_its_share_and_all_skip_what_one_could_not_read(gang, tmp_path, config):
    bad = (3, 130, 199)
    runs = gang(__file__, "trained", config, tmp_path / "several", None, bad, n=3)
    _, losses, _, metrics = trained(ALONE, config, tmp_path / "one", None, bad)
    assert [run[2][0][1] for run in runs] == [64, 64, 72]
    for _, found, _, told in runs:
        assert told["training"]["rejects"] == metrics["training"]["rejects"]
        assert told["training"]["n_images"] == N - len(bad)
        assert distance(found, losses) < 1e-5


@pytest.mark.parametrize("config", [WHOLE, FROZEN], ids=["whole", "head"])
def test_too_many_unreadable_images_in_one_share_fail_the_run(gang, tmp_path, config):
    with pytest.raises(ErrorRateError, match=r"of 200 images cannot be read.*truncated"):
        gang(__file__, "trained", config, tmp_path / "model", None, tuple(range(130, 150)), n=3)


def test_features_of_several_processes_are_kept_for_any_number(gang, tmp_path):
    gang(__file__, "trained", FROZEN, tmp_path / "model", 9, n=3)
    assert (tmp_path / "model" / "checkpoint" / "features.safetensors").exists()
    runs = gang(__file__, "trained", FROZEN, tmp_path / "model", n=2)
    assert [[what for what, _ in run[2]] for run in runs] == [["train"], ["train"]]


def trained_in_folders(world, config, folders):
    return trained(world, config, folders[world.rank])


def test_processes_that_see_different_checkpoints_do_not_go_on(gang, tmp_path):
    seen, unseen = tmp_path / "seen", tmp_path / "unseen"
    gang(__file__, "trained", FROZEN, seen, 9, n=2)
    (unseen / "checkpoint").mkdir(parents=True)
    shutil.copy(seen / "checkpoint" / "features.safetensors", unseen / "checkpoint")
    with pytest.raises(OSError, match=r"different iterations \(9, 0\)"):
        gang(__file__, "trained_in_folders", FROZEN, [seen, unseen], n=2)


def test_a_batch_with_fewer_images_than_processes_is_refused(gang, tmp_path):
    with pytest.raises(ValueError, match="a batch of 2 images leaves some of 3 workers nothing; take fewer"):
        gang(__file__, "trained", replace(FROZEN, batch_size=2), tmp_path / "model", n=3)


def fails_to_save(world, config, output):
    trainer.save_model = _no_room
    try:
        return trained(world, config, output)
    finally:
        trainer.save_model = save_model


save_model = trainer.save_model


def _no_room(*arguments, **settings):
    raise OSError("no room")


def test_a_model_that_cannot_be_written_fails_every_process(gang, tmp_path):
    with pytest.raises((OSError, HashnetError), match="no room"):
        gang(__file__, "fails_to_save", FROZEN, tmp_path / "model", n=2)
    assert (tmp_path / "model" / "checkpoint" / "state.safetensors").exists()
