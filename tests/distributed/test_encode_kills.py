"""Fifty kills at random moments of driver, worker or decoder, and the store of an undisturbed run."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest
from ray_processes import ray_processes
from streams import png, write_tar

from hashnet.datasets import open_source
from hashnet.encoding import encode_to_store

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(1200)]

KILLS = 25
# Killed more often than the others are those that are back in no time.
VICTIMS = ("driver", "worker", "worker", "decoder", "decoder")
N_IMAGES = 2400
SETTINGS = {"unit_size": 8, "max_error_rate": 0.1}

DRIVER = """
import json, sys
from hashnet.distributed import encode_with_ray
model, data, output, address, settings = sys.argv[1:]
encode_with_ray(model, data, output, workers=2, decoders=1, address=address, **json.loads(settings))
"""


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def tars(tmp_path_factory):
    """Tar shards in which every 50th image is none."""
    folder = tmp_path_factory.mktemp("tars")
    for shard in range(3):
        rows = range(shard * N_IMAGES // 3, (shard + 1) * N_IMAGES // 3)
        members = [(f"{i:05d}.png", b"no image" if i % 50 == 7 else png(i)) for i in rows]
        write_tar(folder / f"{shard}.tar", members)
    return folder


@pytest.fixture
def cluster():
    """A Ray of its own that outlives its drivers."""
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    cluster = cluster_utils.Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 2, "object_store_memory": 200 * 2**20, "include_dashboard": False},
    )
    yield cluster
    cluster.shutdown()


class Job:
    """A driver in a process of its own, started again whenever it is gone."""

    def __init__(self, model, data, output, address):
        import json

        self.output = output
        self._command = [
            *(sys.executable, "-c", DRIVER, str(model), str(data), str(output), address),
            json.dumps(SETTINGS),
        ]
        self._process = None
        self.began_with = 0

    @property
    def n_done(self):
        return len(list(self.output.glob(".job/unit-*.json")))

    @property
    def runs(self):
        return self._process is not None and self._process.poll() is None

    def start(self):
        if self._process is not None and self._process.returncode != -signal.SIGKILL:
            assert self.ended_well()
        self.began_with = self.n_done
        self._process = subprocess.Popen(self._command, cwd=self.output.parent, stderr=subprocess.PIPE)

    def ended_well(self):
        """Wait for the end; fail the test if the driver failed by itself."""
        _, said = self._process.communicate(timeout=300)
        assert self._process.returncode == 0, said.decode()[-2000:]
        return True

    def kill(self):
        self._process.kill()
        self._process.communicate()


def wait_until(condition, limit_s):
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.005)
    return False


def kill_one(kind, job):
    """Kill a process of this kind, if there is one now; return whether it was killed."""
    if kind == "driver":
        if job.runs:
            job.kill()
            return True
        return False
    name = {"worker": "UnitWorker", "decoder": "decode_part"}[kind]
    if not wait_until(lambda: ray_processes(name, below=os.getpid()) or not job.runs, 10):
        return False
    for process in ray_processes(name, below=os.getpid())[:1]:
        os.kill(process, signal.SIGKILL)
        return True
    return False


@pytest.mark.parametrize("seed", [0, 1])
def test_kills_leave_the_bytes_of_an_undisturbed_run(tiny_model, tars, tmp_path, cluster, seed):
    encode_to_store(tiny_model, open_source(tars), None, tmp_path / "whole", **SETTINGS)
    whole = content(tmp_path / "whole")
    assert len(whole) == 3 * N_IMAGES // 8 + 2
    chance = random.Random(seed)
    job = Job(tiny_model, tars, tmp_path / "codes", cluster.address)
    began = time.monotonic()
    kills, stores = {"driver": 0, "worker": 0, "decoder": 0}, 0
    while sum(kills.values()) < KILLS:
        if not job.runs:
            job.start()
        if chance.random() < 0.75:
            # While units are being committed; else while processes start, or whatever happens then.
            wait_until(lambda: job.n_done > job.began_with or not job.runs, 60)
        wait_until(lambda: not job.runs, chance.uniform(0, 1.5))
        if job.runs:
            kind = chance.choice(VICTIMS)
            kills[kind] += kill_one(kind, job)
            job.began_with = job.n_done
            print(f"{time.monotonic() - began:.1f} s: {kills}, {job.n_done} units", flush=True)
        if not job.runs and (job.output / "manifest.json").exists():
            assert content(job.output) == whole
            stores += 1
            shutil.rmtree(job.output)
    if not job.runs:
        job.start()
    assert job.ended_well()
    assert content(job.output) == whole
    print(f"kills: {kills}, stores compared: {stores + 1}")
    assert all(kills.values())
