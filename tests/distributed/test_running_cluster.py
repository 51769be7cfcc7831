"""Commands join a Ray that runs already, with its token, and leave it running when they are done."""

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx2
import numpy as np
import pyarrow.parquet as pq
import pytest
from codesets import make_codes

import hashnet
from hashnet.encoding import build_index
from hashnet.index import open_codes

pytestmark = [pytest.mark.ray, pytest.mark.slow]

N, N_QUERIES = 20_000, 300
# Of a head node: seconds to come up.
START_S = 60


@pytest.fixture(scope="module")
def environment():
    """The environment of a user who has a token; Ray's files lie apart from those of other clusters."""
    # Its sockets must have short names.
    folder = tempfile.mkdtemp(prefix="hn")
    yield os.environ | {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_TMPDIR": folder,
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def cluster(environment):
    """A head node on loopback, as a user starts one."""
    command = [
        *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"),
        *("--node-ip-address", "127.0.0.1", "--port", "0", "--num-cpus", "2"),
        *("--include-dashboard", "false", "--object-store-memory", str(200 * 2**20)),
    ]
    log = Path(environment["RAY_TMPDIR"]) / "start.log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=subprocess.STDOUT)
    address = Path(environment["RAY_TMPDIR"]) / "ray" / "ray_current_cluster"
    deadline = time.monotonic() + START_S
    while not address.exists() or "Ray runtime started" not in log.read_text(errors="replace"):
        assert process.poll() is None, log.read_text(errors="replace")
        assert time.monotonic() < deadline, log.read_text(errors="replace")
        time.sleep(0.1)
    yield process
    process.terminate()
    process.wait(timeout=30)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Codes and queries."""
    folder = tmp_path_factory.mktemp("files")
    rng = np.random.default_rng(3)
    np.save(folder / "codes.npy", make_codes("clustered", N, 64, rng))
    np.save(folder / "queries.npy", make_codes("clustered", N_QUERIES, 64, rng))
    build_index(open_codes(folder / "codes.npy"), folder / "here.hnx", segments=2)
    return folder


def run(environment, *arguments):
    """Run a command to its end; return what it printed as JSON."""
    command = [sys.executable, "-m", "hashnet", *map(str, arguments), "--json", "--ray", "auto"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def content(folder):
    return {str(one.relative_to(folder)): one.read_bytes() for one in folder.rglob("*") if one.is_file()}


def test_build_writes_what_one_process_writes(cluster, environment, files):
    output = files / "there.hnx"
    run(environment, "build", files / "codes.npy", "--output", output, "--shards", 2, "--workers", 2)
    assert content(output) == content(files / "here.hnx")
    assert cluster.poll() is None


def test_bulk_queries_get_the_answers_of_the_index(cluster, environment, files):
    output = files / "hits.parquet"
    asked = ("--queries", files / "queries.npy", "--k", 5, "--output", output, "--workers", 2)
    assert run(environment, "search", files / "here.hnx", *asked)["rows"] == 5 * N_QUERIES
    with hashnet.open_index(files / "here.hnx") as index:
        true = index.search(np.load(files / "queries.npy"), 5)
    table = pq.read_table(output)
    assert table["id"].to_numpy().tolist() == true.ids.ravel().tolist()
    assert table["distance"].to_numpy().tolist() == true.distances.ravel().tolist()
    assert cluster.poll() is None


def test_the_service_comes_answers_and_goes(cluster, environment, files):
    command = [sys.executable, "-m", "hashnet", "serve", str(files / "here.hnx"), "--port", "0"]
    queries = np.load(files / "queries.npy")[:3]
    with hashnet.open_index(files / "here.hnx") as index:
        true = index.search(queries, 5)
    for _ in range(2):
        # The second time shows that the first left nothing behind.
        process = subprocess.Popen(
            [*command, "--json", "--ray", "auto"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        line = process.stdout.readline()
        assert line, process.communicate(timeout=60)[1]
        with httpx2.Client(base_url=json.loads(line)["url"], timeout=20, trust_env=False) as client:
            assert "<title>hashnet search</title>" in client.get("/").text
            asked = {"codes": [one.tobytes().hex() for one in queries], "k": 5}
            answers = client.post("/search", json=asked).json()["answers"]
        assert [one["ids"] for one in answers] == true.ids.tolist()
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
    assert cluster.poll() is None


def test_without_the_token_a_command_is_refused(cluster, environment, files):
    others = environment | {"RAY_AUTH_TOKEN": secrets.token_hex(32)}
    command = [sys.executable, "-m", "hashnet", "build", files / "codes.npy", "--output", files / "no.hnx"]
    done = subprocess.run(
        [*command, "--workers", "1", "--ray", "auto"],
        env=others,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode != 0
    assert "refuses the token" in done.stderr, done.stderr
    assert not (files / "no.hnx").exists()
    assert cluster.poll() is None
