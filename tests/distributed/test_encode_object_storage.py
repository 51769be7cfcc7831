"""Encoding on Ray from an S3 server, whose requests fail now and then, with a worker that is killed."""

import json

import pytest
from killed_jobs import Job
from object_storage import S3Server, credentials, fill
from streams import png

from hashnet.datasets import open_images, open_source
from hashnet.encoding import CodeStore, encode_to_store

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(300)]

N = 300
SETTINGS = {"unit_size": 16, "max_error_rate": 0.1}
DRIVER = """
import json, sys
from hashnet.distributed import encode_with_ray
model, data, output, address, settings = sys.argv[1:]
encode_with_ray(model, data, output, workers=2, address=address, **json.loads(settings))
"""


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def images():
    """Every 50th is none."""
    return {f"{i % 3}/{i:03d}.png": b"no image" if i % 50 == 7 else png(i) for i in range(N)}


@pytest.fixture(scope="module")
def s3():
    # Before the cluster, whose workers read the environment that it began with.
    with credentials():
        server = S3Server()
        yield server
        server.close()


@pytest.mark.parametrize("kind", ["folder", "tar", "parquet", "list"])
def test_the_store_has_the_bytes_of_a_local_run(tiny_model, s3, images, tmp_path, request, kind):
    cluster = request.getfixturevalue("lasting_cluster")
    data, output = fill(s3, images)[kind], tmp_path / "codes"
    arguments = (tiny_model, data, output, cluster.address, json.dumps(SETTINGS))
    job = Job(DRIVER, arguments, lambda: output.glob(".job/unit-*.json"))
    s3.failures = {"GET .*": 9, "HEAD .*": 9}
    job.start()
    assert job.kill_worker("UnitWorker", limit_s=60)
    job.end()
    assert sum(s3.failures.values()) < 18
    store = encode_to_store(tiny_model, open_source(data), None, tmp_path / "local", **SETTINGS)
    assert (store.n_codes, store.n_rejects) == (N - 6, 6)
    assert content(output) == content(tmp_path / "local")


def test_a_folder_in_a_bucket_has_the_codes_of_its_copy_on_this_machine(tiny_model, s3, images, tmp_path):
    for path, data in images.items():
        (tmp_path / "images" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "images" / path).write_bytes(data)
    there = open_source(fill(s3, images)["folder"])
    encode_to_store(tiny_model, there, None, tmp_path / "there", **SETTINGS)
    encode_to_store(tiny_model, open_images(tmp_path / "images"), None, tmp_path / "here", **SETTINGS)
    # All but the manifest, which tells the source and the times of its files.
    names = {path.name for path in (tmp_path / "here").iterdir()} - {"manifest.json"}
    assert {name: content(tmp_path / "here")[name] for name in names} == {
        name: content(tmp_path / "there")[name] for name in names
    }
    assert CodeStore.open(tmp_path / "there").source == "s3://photos/folder"
