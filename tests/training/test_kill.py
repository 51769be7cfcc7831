"""A training that is killed, not asked to stop, resumes to the same codes."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from hashnet.datasets import ArrayImages
from hashnet.training import TrainConfig, train


def workload():
    rng = np.random.default_rng(0)
    labels = np.arange(120) % 4
    pixels = rng.integers(0, 100, (120, 8, 8, 3)) + 30 * labels[:, None, None, None]
    config = TrainConfig(
        n_bits=16,
        iterations=1500,
        batch_size=60,
        freeze_backbone=True,
        hidden=64,
        checkpoint_every=20,
        device="cpu",
    )
    return ArrayImages(pixels.astype(np.uint8), labels), np.arange(120), config


@pytest.mark.slow
def test_a_killed_training_resumes_to_the_fingerprint_of_an_uninterrupted_one(tmp_path):
    images, rows, config = workload()
    straight = train(images, rows, config, output=tmp_path / "straight")
    code = (
        f"import runpy; space = runpy.run_path({__file__!r}); images, rows, config = space['workload']();"
        f"space['train'](images, rows, config, output={str(tmp_path / 'killed')!r})"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    state = tmp_path / "killed" / "checkpoint" / "state.safetensors"
    deadline = time.monotonic() + 120
    while not state.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "killed" / "config.json").exists()
    resumed = train(images, rows, config, output=tmp_path / "killed", resume=True)
    assert resumed.fingerprint == straight.fingerprint
