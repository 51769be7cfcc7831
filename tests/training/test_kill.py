"""A training that is killed, not asked to stop, resumes to the same codes, wherever the signal hits it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from training_runs import codes_of

from hashnet.datasets import ArrayImages
from hashnet.training import TrainConfig, train

HEAD = TrainConfig(
    n_bits=16,
    iterations=1500,
    batch_size=60,
    freeze_backbone=True,
    hidden=64,
    checkpoint_every=20,
    device="cpu",
)
CONFIGS = {
    "head": HEAD,
    "whole network": replace(
        HEAD, freeze_backbone=False, hidden=None, iterations=300, augment="flip", checkpoint_every=7
    ),
    "last blocks, validation, average, micro-batches": replace(
        HEAD,
        freeze_backbone=False,
        train_last_blocks=2,
        iterations=400,
        validation=0.2,
        ema=0.95,
        micro_batch=25,
        checkpoint_every=9,
    ),
    "an objective with parameters": replace(HEAD, method="greedyhash", lr=3e-3),
}


def images():
    rng = np.random.default_rng(0)
    labels = np.arange(120) % 4
    pixels = rng.integers(0, 100, (120, 8, 8, 3)) + 30 * labels[:, None, None, None]
    return ArrayImages(pixels.astype(np.uint8), labels)


def run(name, output, data_workers):
    """Train, or go on training, with so many data workers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config = replace(CONFIGS[name], data_workers=data_workers)
        return train(images(), np.arange(120), config, output=output, resume=True)


def killed_after(seconds, name, output, data_workers):
    """Start the training in a process of its own, and kill it so long after its first checkpoint."""
    code = (
        f"import runpy; run = runpy.run_path({__file__!r})['run'];"
        f"run({name!r}, {str(output)!r}, {data_workers})"
    )
    # What pytest puts on the path: this file imports from the folder of all tests.
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    process = subprocess.Popen([sys.executable, "-c", code], env=environment)
    state = output / "checkpoint" / "state.safetensors"
    before = state.stat().st_mtime_ns if state.exists() else 0
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if state.exists() and state.stat().st_mtime_ns != before:
            break
        time.sleep(0.005)
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    return process.wait()


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
def test_a_killed_training_resumes_to_the_codes_of_an_uninterrupted_one(tmp_path, name):
    straight = run(name, tmp_path / "straight", 1)
    rng = np.random.default_rng(len(name))
    ends = []
    # Killed several times, at any step, with one and with two data workers in turn.
    for attempt in range(3):
        seconds = float(rng.uniform(0, 0.1))
        ends.append(killed_after(seconds, name, tmp_path / "killed", data_workers=1 + attempt % 2))
    assert -signal.SIGKILL in ends, "it was never killed while it trained"
    resumed = run(name, tmp_path / "killed", 2)
    assert resumed.fingerprint == straight.fingerprint
    assert np.array_equal(codes_of(tmp_path / "killed", images()), codes_of(tmp_path / "straight", images()))
    assert resumed.metrics["stages"] == straight.metrics["stages"]
