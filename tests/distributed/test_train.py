"""Training on Ray: the model of a local run, whoever is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hashnet.datasets import open_images
from hashnet.errors import ErrorRateError, HashnetError
from hashnet.models import load_model
from hashnet.training import TrainConfig, train

ROWS = np.arange(200)
CONFIG = TrainConfig(
    n_bits=16,
    iterations=12,
    batch_size=33,
    freeze_backbone=True,
    hidden=32,
    stages=2,
    device="cpu",
    checkpoint_every=4,
)


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    return train(open_images("digits"), ROWS, CONFIG, output=tmp_path_factory.mktemp("local") / "model")


class Recorder:
    def __init__(self):
        self.phases, self.done = [], {}

    def start(self, what, total):
        self.phases.append((what, total))

    def advance(self, done=1, **figures):
        what = self.phases[-1][0]
        self.done[what] = self.done.get(what, 0) + done

    def finish(self):
        pass


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
class TestOnOneRay:
    def test_two_workers_train_the_model_of_one_process(self, local, tmp_path):
        from hashnet.distributed import train_with_ray

        recorder = Recorder()
        result = train_with_ray(
            "digits", tmp_path / "model", CONFIG, indices=ROWS, workers=2, progress=recorder
        )
        assert result.metrics["training"]["workers"] == 2
        assert recorder.phases == [("features", 200), ("train", 12)]
        assert recorder.done == {"features": 200, "train": 12}
        for stage, of_one in zip(result.metrics["stages"], local.metrics["stages"], strict=True):
            assert stage["loss_relaxed"] == pytest.approx(of_one["loss_relaxed"], abs=1e-5)
        files = sorted(path.name for path in (tmp_path / "model").iterdir())
        assert files == ["config.json", "metrics.json", "model.safetensors"]
        assert load_model(tmp_path / "model").fingerprint == result.fingerprint

    def test_one_worker_goes_on_for_a_local_run_to_its_fingerprint(self, local, tmp_path):
        from hashnet.distributed import train_with_ray

        with pytest.raises(KeyboardInterrupt):
            train(open_images("digits"), ROWS, CONFIG, output=tmp_path / "model", progress=Interrupt(9))
        result = train_with_ray("digits", tmp_path / "model", CONFIG, indices=ROWS, workers=1, resume=True)
        assert result.fingerprint == local.fingerprint

    def test_what_all_workers_raise_is_raised_here_and_nothing_is_tried_again(self, tmp_path):
        from hashnet.distributed import train_with_ray

        with pytest.raises(ValueError, match="a batch of 2 images leaves some of 3 workers nothing"):
            train_with_ray(
                "digits", tmp_path / "model", replace(CONFIG, batch_size=2), indices=ROWS, workers=3
            )


class Interrupt:
    """Progress that presses Ctrl-C at one step of the training phase."""

    def __init__(self, at):
        self.at, self.what, self.done = at, None, 0

    def start(self, what, total):
        self.what, self.done = what, 0

    def advance(self, done=1, **figures):
        self.done += done
        if self.what == "train" and self.done >= self.at:
            raise KeyboardInterrupt

    def finish(self):
        self.what = None
