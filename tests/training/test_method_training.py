"""Every method in the trainer: resumed exactly, finished into its head, alike in several processes."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

from hashnet.codes import pack
from hashnet.datasets import ArrayImages
from hashnet.errors import CollapseWarning
from hashnet.losses import OBJECTIVES, registry
from hashnet.models import load_model
from hashnet.training import TrainConfig, train
from hashnet.training.task import prepare
from hashnet.training.trainer import run
from hashnet.training.world import ALONE

N = 96
HEAD = TrainConfig(
    n_bits=16,
    iterations=40,
    batch_size=30,
    stages=4,
    freeze_backbone=True,
    hidden=32,
    lr=5e-3,
    checkpoint_every=7,
    device="cpu",
)
# Adam divides gradients that are nearly 0 by their own size, which makes rounding visible within a few steps.
# A stage is one step long, so that progress hears the loss of each.
SHARED = replace(HEAD, optimizer="sgd", lr=0.05, iterations=8, stages=8)
OTHERS = sorted(name for name in OBJECTIVES if not name.startswith("hashnet"))
METHODS = pytest.mark.parametrize("method", OTHERS)


def images():
    """Noisy images whose class is a colour and a brightness; some have a second label."""
    rng = np.random.default_rng(0)
    classes = np.arange(N) % 4
    pixels = rng.integers(0, 90, (N, 8, 8, 3))
    for image, label in zip(pixels, classes, strict=True):
        image[:, :, label % 2] += 60 + 90 * (label // 2)
    labels = np.eye(4, dtype=np.uint8)[classes]
    labels[::9, 0] = 1
    return ArrayImages(pixels.astype(np.uint8), labels)


IMAGES = images()
ROWS = np.arange(N)


class Watch:
    """Progress that keeps the losses, and presses Ctrl-C at a step of the training."""

    def __init__(self, at=None):
        self.at, self.what, self.done, self.losses = at, None, 0, []

    def start(self, what, total):
        self.what, self.done = what, 0

    def advance(self, done=1, **figures):
        self.done += done
        self.losses += [figures["loss"]] if "loss" in figures else []
        if self.what == "train" and self.done == self.at:
            raise KeyboardInterrupt

    def finish(self):
        self.what = None


def codes(model_dir):
    model = load_model(model_dir)
    batch = model.preprocess([IMAGES.load(row) for row in range(N)])
    return pack(model.relaxed(torch.from_numpy(batch)).numpy())


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """Uninterrupted trainings by method, each made when first asked for."""
    results = {}

    def get(method):
        if method not in results:
            output = tmp_path_factory.mktemp("run") / "model"
            results[method] = train(IMAGES, ROWS, replace(HEAD, method=method), output=output)
        return results[method]

    return get


@METHODS
def test_a_resumed_training_ends_at_the_codes_of_an_uninterrupted_one(straight, tmp_path, method):
    config = replace(HEAD, method=method)
    with pytest.raises(KeyboardInterrupt):
        train(IMAGES, ROWS, config, output=tmp_path, progress=Watch(at=25))
    resumed = train(IMAGES, ROWS, config, output=tmp_path, resume=True)
    assert resumed.fingerprint == straight(method).fingerprint
    assert np.array_equal(codes(tmp_path), codes(straight(method).model_dir))


@METHODS
def test_the_codes_of_the_model_are_those_that_were_measured(straight, method):
    """What is learned beside the network and belongs to the code is in the head at the end."""
    last = straight(method).metrics["stages"][-1]
    found = codes(straight(method).model_dir)
    bits = np.unpackbits(found, axis=1) * 2.0 - 1
    assert last["distinct_codes"] == len(np.unique(found, axis=0))
    assert last["bit_balance"] == pytest.approx(np.abs(bits.mean(axis=0)).mean(), abs=1e-6)


@METHODS
def test_codes_of_one_class_are_nearer_than_those_of_others(straight, method):
    found = np.unpackbits(codes(straight(method).model_dir), axis=1).astype(int)
    distances = (found[:, None] != found[None]).sum(axis=2)
    labels = np.asarray(IMAGES.labels).astype(int)
    similar = labels @ labels.T > 0
    others = ~np.eye(N, dtype=bool)
    assert distances[similar & others].mean() < 0.8 * distances[~similar].mean()


def test_each_bit_of_dnnh_sees_a_slice_of_its_own_in_the_written_model(straight):
    used = load_model(straight("dnnh").model_dir).network.head.hash_layer.weight != 0
    assert used.sum(dim=0).tolist() == [1] * 32


def test_the_method_and_its_settings_are_in_the_identity(straight):
    identity = straight("orthohash").metrics["training"]["identity"]
    assert identity["method"] == "orthohash"
    assert [identity[name] for name in ("margin", "scale", "alpha")][2] is None
    assert identity["margin"] is not None


def trained(world, method, output):
    """The losses of every step, the figures of the stages and the codes that one process sees."""
    task = prepare(IMAGES, ROWS, replace(SHARED, method=method), output=output)
    watch = Watch()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CollapseWarning)
        result = run(IMAGES, task, world=world, progress=watch)
    return watch.losses, [stage["loss_relaxed"] for stage in result.metrics["stages"]], result.fingerprint


@METHODS
def test_several_processes_follow_the_loss_curve_of_one(gang, tmp_path, method):
    losses, stages, _ = trained(ALONE, method, tmp_path / "one")
    assert len(losses) == SHARED.iterations
    found = gang(__file__, "trained", method, tmp_path / "two", n=2)
    assert len({fingerprint for _, _, fingerprint in found}) == 1
    for shared_losses, shared_stages, _ in found:
        assert np.abs(np.subtract(shared_losses, losses)).max() < 1e-5
        assert np.abs(np.subtract(shared_stages, stages)).max() < 1e-5


@pytest.mark.parametrize("method", ["greedyhash", "orthohash"])
def test_the_comparison_sees_a_gradient_of_the_objective_that_is_doubled(tmp_path, method):
    """As it would be if it were summed over two processes."""
    losses, _, _ = trained(ALONE, method, tmp_path / "one")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "OBJECTIVES", {method: replace(OBJECTIVES[method], build=_doubling(method))})
        doubled, _, _ = trained(ALONE, method, tmp_path / "doubled")
    assert np.abs(np.subtract(doubled, losses)).max() > 1e-4


def _doubling(method):
    def build(training, settings):
        objective = OBJECTIVES[method].build(training, settings)
        for parameter in objective.parameters():
            parameter.register_hook(lambda gradient: 2 * gradient)
        return objective

    return build
