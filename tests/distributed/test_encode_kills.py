"""Fifty kills at random moments of driver, worker or decoder, and the store of an undisturbed run."""

import json
import random
import shutil
import time

import pytest
from killed_jobs import Job, wait_until
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


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The same images as files in sub-folders."""
    folder = tmp_path_factory.mktemp("folder")
    for i in range(N_IMAGES):
        place = folder / f"{i % 7}"
        place.mkdir(exist_ok=True)
        (place / f"{i:05d}.png").write_bytes(b"no image" if i % 50 == 7 else png(i))
    return folder


def kill_one(kind, job):
    """Kill a process of this kind, if there is one now; return whether it was killed."""
    if kind == "driver":
        return job.kill()
    return job.kill_worker({"worker": "UnitWorker", "decoder": "decode_part"}[kind], limit_s=10)


@pytest.mark.parametrize(("kind", "seed"), [("tars", 0), ("folder", 1)])
def test_kills_leave_the_bytes_of_an_undisturbed_run(
    tiny_model, tmp_path, lasting_cluster, request, kind, seed
):
    data, output = request.getfixturevalue(kind), tmp_path / "codes"
    encode_to_store(tiny_model, open_source(data), None, tmp_path / "whole", **SETTINGS)
    whole = content(tmp_path / "whole")
    assert len(whole) == 3 * N_IMAGES // 8 + 2
    chance = random.Random(seed)
    arguments = (tiny_model, data, output, lasting_cluster.address, json.dumps(SETTINGS))
    job = Job(DRIVER, arguments, lambda: output.glob(".job/unit-*.json"))
    began, began_with = time.monotonic(), 0
    kills, stores = {"driver": 0, "worker": 0, "decoder": 0}, 0
    job.start()
    while sum(kills.values()) < KILLS:
        if not job.runs:
            job.start()
            began_with = job.n_done
        if chance.random() < 0.75:
            # While units are being committed; else while processes start, or whatever happens then.
            wait_until(lambda least=began_with: job.n_done > least or not job.runs, 60)
        wait_until(lambda: not job.runs, chance.uniform(0, 1.5))
        if job.runs:
            victim = chance.choice(VICTIMS)
            kills[victim] += kill_one(victim, job)
            began_with = job.n_done
            print(f"{time.monotonic() - began:.1f} s: {kills}, {job.n_done} units", flush=True)
        else:
            job.end()
        if not job.runs and (output / "manifest.json").exists():
            assert content(output) == whole
            stores += 1
            shutil.rmtree(output)
    if not job.runs:
        job.start()
    job.end()
    assert content(output) == whole
    print(f"kills: {kills}, stores compared: {stores + 1}")
    assert all(kills.values())
