"""Training on Ray: the model of a local run, whoever is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from image_packs import small_pack
from ray_processes import ray_processes

from hashnet.datasets import open_images, open_protocol
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
    assert files == ["README.md", "config.json", "metrics.json", "model.safetensors"]
    assert load_model(tmp_path / "model").fingerprint == result.fingerprint


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
def test_one_worker_goes_on_for_a_local_run_to_its_fingerprint(local, tmp_path):
    from hashnet.distributed import train_with_ray

    with pytest.raises(KeyboardInterrupt):
        train(open_images("digits"), ROWS, CONFIG, output=tmp_path / "model", progress=Interrupt(9))
    result = train_with_ray("digits", tmp_path / "model", CONFIG, indices=ROWS, workers=1, resume=True)
    assert result.fingerprint == local.fingerprint


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
def test_a_worker_trains_on_the_images_that_a_protocol_makes(tmp_path):
    from hashnet.distributed import train_with_ray

    pack = small_pack(tmp_path / "tiny.npz")
    mosaic = open_protocol("mosaic", data=pack)
    rows = mosaic.train[:120]
    local = train(mosaic.images, rows, CONFIG, output=tmp_path / "local")
    result = train_with_ray(pack, tmp_path / "ray", CONFIG, indices=rows, protocol="mosaic", workers=1)
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


def command_lines():
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield int(path.parent.name), path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue


class Killer(Recorder):
    """Progress that kills one worker, at the first report of at least ``at`` steps."""

    def __init__(self, at):
        super().__init__()
        self._at, self.killed = at, None

    def advance(self, done=1, **figures):
        super().advance(done, **figures)
        if self.killed is None and self.done.get("train", 0) >= self._at:
            self.killed = ray_processes("RayTrainWorker", below=os.getpid())[-1]
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
@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
@pytest.mark.parametrize(("workers", "began_with"), [((1, 3), 2), ((2, 4), 2), ((3, 5), 3)])
def test_an_elastic_number_begins_with_what_two_cpus_have_room_for(local, tmp_path, workers, began_with):
    from hashnet.distributed import train_with_ray

    result = train_with_ray("digits", tmp_path / "model", CONFIG, indices=ROWS, workers=workers)
    assert result.metrics["training"]["workers"] == began_with
    for stage, of_one in zip(result.metrics["stages"], local.metrics["stages"], strict=True):
        assert stage["loss_relaxed"] == pytest.approx(of_one["loss_relaxed"], abs=1e-5)
    assert load_model(tmp_path / "model").fingerprint == result.fingerprint


ELASTIC = """
import json, sys
import numpy as np
import hashnet.distributed.train as ray_training
from hashnet.progress import make_progress
from hashnet.training import TrainConfig
output, address, config = sys.argv[1:]
ray_training.RESIZE_INTERVAL_S = 1.0
ray_training.train_with_ray(
    "digits", output, TrainConfig(**json.loads(config)), indices=np.arange(200), workers=(1, 2),
    address=address, progress=make_progress("json"),
)
"""


@pytest.mark.slow
@pytest.mark.ray
def test_a_group_of_the_least_grows_with_the_cluster_and_goes_on_from_its_checkpoint(tmp_path):
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    node = {"num_cpus": 1, "object_store_memory": 100 * 2**20}
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    # More steps than any machine takes until the group has grown; it is stopped then.
    config = asdict(replace(LONG, iterations=1_000_000))
    command = [sys.executable, "-c", ELASTIC, str(tmp_path / "m"), cluster.address, json.dumps(config)]
    starts, sizes, went_on_at = 0, [], 0
    try:
        with subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=tmp_path
        ) as training:
            for line in training.stderr:
                event = json.loads(line) if line.startswith("{") else {}
                if event.get("what") != "train":
                    continue
                starts += event["event"] == "start"
                if len(sizes) == 0 and event["done"] >= 500:
                    sizes.append(len(ray_processes("RayTrainWorker", below=os.getpid())))
                    cluster.add_node(**node)
                elif len(sizes) == 1 and starts == 2 and event["event"] == "advance":
                    sizes.append(len(ray_processes("RayTrainWorker", below=os.getpid())))
                    went_on_at = event["done"]
                    training.send_signal(signal.SIGINT)
        assert training.returncode != 0
    finally:
        cluster.shutdown()
    assert sizes == [1, 2]
    assert went_on_at >= 400
    _, values = load_tensors(tmp_path / "m" / "checkpoint" / "state.safetensors")
    assert values["iteration"] >= went_on_at


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
    assert tensors["model.network.head.hash_layer.weight"].shape == (16, 512)
    deadline = time.monotonic() + 30
    while any(session_of(pid) == training.pid for pid, _ in command_lines()):
        assert time.monotonic() < deadline, "processes are left"
        time.sleep(0.5)


def session_of(pid):
    try:
        return os.getsid(pid)
    except OSError:
        return -1
