"""Training on Ray: the model of a local run, whoever is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hashnet.datasets import open_images
from hashnet.errors import HashnetError
from hashnet.models import load_model
from hashnet.training import TrainConfig, train
from hashnet.training.checkpoint import load_tensors

ROWS = np.arange(200)
CONFIG = TrainConfig(
    n_bits=16,
    iterations=16,
    batch_size=33,
    lr=5e-3,
    freeze_backbone=True,
    hidden=32,
    stages=2,
    beta_max=8.0,
    beta_final=8.0,
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
def test_two_workers_train_the_model_of_one_process(local, tmp_path):
    from hashnet.distributed import train_with_ray

    recorder = Recorder()
    result = train_with_ray("digits", tmp_path / "model", CONFIG, indices=ROWS, workers=2, progress=recorder)
    assert result.metrics["training"]["workers"] == 2
    assert recorder.phases == [("features", 200), ("train", 16)]
    assert recorder.done == {"features": 200, "train": 16}
    for stage, of_one in zip(result.metrics["stages"], local.metrics["stages"], strict=True):
        assert stage["loss_relaxed"] == pytest.approx(of_one["loss_relaxed"], abs=1e-5)
    files = sorted(path.name for path in (tmp_path / "model").iterdir())
    assert files == ["config.json", "metrics.json", "model.safetensors"]
    assert load_model(tmp_path / "model").fingerprint == result.fingerprint


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
def test_one_worker_goes_on_for_a_local_run_to_its_fingerprint(local, tmp_path):
    from hashnet.distributed import train_with_ray

    with pytest.raises(KeyboardInterrupt):
        train(open_images("digits"), ROWS, CONFIG, output=tmp_path / "model", progress=Interrupt(9))
    result = train_with_ray("digits", tmp_path / "model", CONFIG, indices=ROWS, workers=1, resume=True)
    assert result.fingerprint == local.fingerprint


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
def test_what_all_workers_raise_is_raised_here_and_nothing_is_tried_again(tmp_path):
    from hashnet.distributed import train_with_ray

    with pytest.raises(ValueError, match="a batch of 2 images leaves some of 3 workers nothing"):
        train_with_ray("digits", tmp_path / "model", replace(CONFIG, batch_size=2), indices=ROWS, workers=3)


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


LONG = replace(CONFIG, iterations=2500, lr=1e-3, checkpoint_every=100)


def workers_of_this_ray():
    """Process ids of the training workers of the Ray that this process started."""
    import ray

    session = ray._private.worker.global_worker.node.get_session_dir_path()
    raylets = [pid for pid, line in command_lines() if "raylet/raylet" in line and session in line]
    return [pid for pid, line in command_lines() if "RayTrainWorker" in line and parent(pid) in raylets]


def command_lines():
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield int(path.parent.name), path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue


def parent(pid):
    try:
        return int((Path("/proc") / str(pid) / "stat").read_text().rsplit(")", 1)[1].split()[1])
    except OSError:
        return -1


class Killer(Recorder):
    """Progress that kills one worker, at the first report of at least ``at`` steps."""

    def __init__(self, at):
        super().__init__()
        self._at, self.killed = at, None

    def advance(self, done=1, **figures):
        super().advance(done, **figures)
        if self.killed is None and self.done.get("train", 0) >= self._at:
            self.killed = workers_of_this_ray()[-1]
            os.kill(self.killed, signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
def test_killed_workers_are_started_again_and_end_at_the_model_of_an_undisturbed_run(tmp_path):
    from hashnet.distributed import train_with_ray

    straight = train_with_ray("digits", tmp_path / "straight", LONG, indices=ROWS, workers=2)
    # No restart allowed: the run is given up, and keeps its checkpoint.
    killer = Killer(300)
    with pytest.raises(HashnetError, match=r"training is given up \(worker .*resume it"):
        train_with_ray(
            "digits", tmp_path / "m", LONG, indices=ROWS, workers=2, max_failures=0, progress=killer
        )
    assert killer.killed is not None
    _, values = load_tensors(tmp_path / "m" / "checkpoint" / "state.safetensors")
    assert 100 <= values["iteration"] < LONG.iterations
    # Restarts allowed: it goes on from there, is killed again, and finishes.
    again = Killer(values["iteration"] + 300)
    result = train_with_ray(
        "digits", tmp_path / "m", LONG, indices=ROWS, workers=2, resume=True, progress=again
    )
    assert again.killed is not None
    assert [what for what, _ in again.phases] == ["train", "train"]
    assert result.fingerprint == straight.fingerprint


@pytest.mark.slow
def test_ctrl_c_ends_the_command_with_a_checkpoint_from_which_a_local_run_goes_on(tmp_path):
    command = [
        *(sys.executable, "-m", "hashnet", "train", "--data", "digits", "--output", str(tmp_path / "m")),
        *("--iterations", "4000", "--batch-size", "64", "--bits", "16"),
    ]
    with subprocess.Popen(
        [*command, "--workers", "2", "--ray", "local", "--progress", "json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as training:
        for line in training.stderr:
            if '"train"' in line and '"advance"' in line:
                # As a terminal does it: to every process of the group.
                os.killpg(training.pid, signal.SIGINT)
                break
        _, said = training.communicate(timeout=120)
    assert training.returncode == 130, said
    assert "run the same command with --resume" in said.splitlines()[-1], said
    tensors, values = load_tensors(tmp_path / "m" / "checkpoint" / "state.safetensors")
    assert 0 < values["iteration"] < 4000
    assert tensors["model.head.hash_layer.weight"].shape == (16, 512)
    deadline = time.monotonic() + 30
    while any(parent_session(pid) == training.pid for pid, _ in command_lines()):
        assert time.monotonic() < deadline, "processes are left"
        time.sleep(0.5)


def parent_session(pid):
    try:
        return os.getsid(pid)
    except OSError:
        return -1
