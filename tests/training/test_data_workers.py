"""Threads that prepare batches change when a batch is made, and not what is in it."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
from training_runs import Interrupt, N, blobs, codes_of

from hashnet.datasets import ArrayImages
from hashnet.training import TrainConfig, train
from hashnet.training.pixels import PixelInputs

# Some of these runs are too short to learn anything; they are compared, not judged.
pytestmark = pytest.mark.filterwarnings("ignore::hashnet.errors.CollapseWarning")

IMAGES, ROWS = blobs(), np.arange(N)
CONFIG = TrainConfig(
    n_bits=16, iterations=40, batch_size=32, augment="flip", checkpoint_every=9, device="cpu"
)
CONFIGS = {
    "whole": CONFIG,
    "head": replace(CONFIG, augment=None, freeze_backbone=True, hidden=32, dropout=0.5),
    "last blocks, average, micro-batches": replace(
        CONFIG, train_last_blocks=2, ema=0.9, micro_batch=7, freeze_norm=False
    ),
}


@pytest.fixture(scope="module", params=CONFIGS.values(), ids=CONFIGS)
def alone(request, tmp_path_factory):
    """A run in which every batch is made when its step begins."""
    output = tmp_path_factory.mktemp("alone") / "model"
    config = replace(request.param, data_workers=0)
    return config, train(IMAGES, ROWS, config, output=output)


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_any_number_of_data_workers_gives_the_same_codes_bit_for_bit(alone, tmp_path, workers):
    config, straight = alone
    result = train(IMAGES, ROWS, replace(config, data_workers=workers), output=tmp_path)
    assert result.fingerprint == straight.fingerprint
    assert np.array_equal(codes_of(tmp_path, IMAGES), codes_of(straight.model_dir, IMAGES))
    assert result.metrics["stages"] == straight.metrics["stages"]


@pytest.mark.parametrize(("first", "second", "at"), [(2, 1, 13), (1, 2, 30), (0, 3, 5)])
def test_a_run_resumed_with_another_number_ends_at_the_same_codes(alone, tmp_path, first, second, at):
    config, straight = alone
    with pytest.raises(KeyboardInterrupt):
        train(IMAGES, ROWS, replace(config, data_workers=first), output=tmp_path, progress=Interrupt(at))
    resumed = train(IMAGES, ROWS, replace(config, data_workers=second), output=tmp_path, resume=True)
    assert resumed.fingerprint == straight.fingerprint


def test_batches_are_made_by_other_threads_than_that_of_the_step(tmp_path, monkeypatch):
    makers, batch = set(), PixelInputs.batch

    def watched(self, places, *, iteration, part=slice(None)):
        if iteration is not None:
            makers.add(threading.get_ident())
        return batch(self, places, iteration=iteration, part=part)

    monkeypatch.setattr(PixelInputs, "batch", watched)
    train(IMAGES, ROWS, replace(CONFIG, iterations=20, data_workers=2), output=tmp_path)
    assert threading.get_ident() not in makers
    assert 1 <= len(makers) <= 2


def test_no_thread_is_left_when_a_training_ends_or_is_interrupted(tmp_path):
    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        train(IMAGES, ROWS, CONFIG, output=tmp_path, progress=Interrupt(5))
    assert threading.active_count() == before


def test_an_error_in_a_batch_ends_the_training_with_that_error(tmp_path, monkeypatch):
    def fails(self, places, *, iteration, part=slice(None)):
        if iteration == 7:
            raise OSError("the disk is gone")
        return batch(self, places, iteration=iteration, part=part)

    batch = PixelInputs.batch
    monkeypatch.setattr(PixelInputs, "batch", fails)
    with pytest.raises(OSError, match="the disk is gone"):
        train(IMAGES, ROWS, CONFIG, output=tmp_path)


def test_images_decoded_by_several_threads_are_in_order(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (300, 8, 8, 3), dtype=np.uint8)
    images = ArrayImages(pixels, np.arange(300) % 4)
    one, three = (
        train(
            images,
            np.arange(300),
            replace(CONFIG, iterations=2, stages=1, data_workers=workers),
            output=tmp_path / str(workers),
        )
        for workers in (1, 3)
    )
    assert one.fingerprint == three.fingerprint
