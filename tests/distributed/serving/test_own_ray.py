"""On a Ray of its own the service listens itself and at full priority; one that is joined stays as it is."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import httpx2
import oracle
import pytest
from hashnet.distributed.serving.own_ray import listens_directly, prepare_own_ray
from ray_processes import ray_processes
from serving_samples import hexed

from hashnet import Index


def test_the_app_gets_the_port_and_its_share():
    environment = {}
    assert prepare_own_ray(8000, environment=environment, loaded=())
    assert environment["RAY_SERVE_ENABLE_DIRECT_INGRESS"] == "1"
    assert environment["RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT"] == "8000"
    # Ray takes it as the first port that is not for apps.
    assert environment["RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT"] == "8001"
    assert environment["RAY_worker_niceness"] == "0"
    assert listens_directly(8000, environment)


def test_several_apps_get_a_port_each():
    environment = {}
    assert prepare_own_ray(8000, apps=3, environment=environment, loaded=())
    assert environment["RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT"] == "8003"


@pytest.mark.parametrize(
    ("environment", "address", "loaded"),
    [
        ({}, "auto", ()),
        ({"RAY_ADDRESS": "10.0.0.1:6379"}, None, ()),
        ({"RAY_SERVE_ENABLE_DIRECT_INGRESS": "0"}, "local", ()),
        ({}, "local", {"ray"}),
    ],
)
def test_else_nothing_changes(environment, address, loaded):
    before = dict(environment)
    assert not prepare_own_ray(8000, address=address, environment=environment, loaded=loaded)
    assert environment == before
    assert not listens_directly(8000, environment)


@pytest.fixture(scope="module")
def directory(data, tmp_path_factory):
    codes, ids, _ = data
    path = tmp_path_factory.mktemp("served") / "photos.hnx"
    with Index.create(path, n_bits=64) as index:
        for part in (slice(0, 300), slice(300, None)):
            index.add(codes[part], ids=ids[part])
    return path


@pytest.fixture(scope="module")
def command(directory):
    """The command that serves on a Ray of its own, and the URL."""
    arguments = ("serve", str(directory), "--port", "0", "--json", "--ray", "local")
    process = subprocess.Popen(
        [sys.executable, "-m", "hashnet", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    line = process.stdout.readline()
    if not line:
        pytest.fail(process.communicate(timeout=60)[1])
    yield process, json.loads(line)["url"]
    process.kill()
    process.communicate()


@pytest.fixture
def client(command):
    with httpx2.Client(base_url=command[1], timeout=20, trust_env=False) as client:
        yield client


def kill(name, command):
    (process,) = ray_processes(name, below=command[0].pid)
    os.kill(process, signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.ray
class TestOnARayOfItsOwn:
    def test_answers_do_not_pass_the_proxy(self, command, client, data):
        codes, ids, queries = data
        kill("ProxyActor", command)
        response = client.post("/search", json={"codes": hexed(queries), "k": 7})
        distances, found = oracle.search(queries, codes, ids, 7)
        answers = response.json()["answers"]
        assert [one["distances"] for one in answers] == distances.tolist()
        assert [one["ids"] for one in answers] == found.tolist()
        assert "<title>hashnet search</title>" in client.get("/").text

    def test_the_service_has_its_full_share(self, command):
        (process,) = ray_processes("ServeReplica", below=command[0].pid)
        assert os.getpriority(os.PRIO_PROCESS, process) == os.getpriority(os.PRIO_PROCESS, 0)

    def test_a_killed_service_comes_back_on_its_port(self, command, client, data):
        asked = {"codes": hexed(data[2]), "k": 7}
        before = client.post("/search", json=asked).json()["answers"]
        kill("ServeReplica", command)
        deadline = time.monotonic() + 60
        while True:
            try:
                response = client.post("/search", json=asked)
                break
            except httpx2.TransportError:
                assert time.monotonic() < deadline
                time.sleep(0.1)
        assert response.json()["answers"] == before

    def test_the_end_waits_for_what_has_begun(self, command, data):
        """The last test: it ends the service under load."""
        process, url = command
        asked = {"codes": hexed(data[2][:1]), "k": 5}
        answers, refusals, before_the_end = [], [], []

        def ask():
            status = None
            with httpx2.Client(base_url=url, timeout=20, trust_env=False) as mine:
                while True:
                    try:
                        response = mine.post("/search", json=asked)
                    except httpx2.ConnectError:
                        # The port is closed: nothing was begun.
                        return
                    except httpx2.TransportError:
                        before_the_end.append(status)
                        return
                    status = response.status_code
                    (answers if status == 200 else refusals).append(response)

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + 20
        while len(answers) < 50 and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        rest, said = process.communicate(timeout=60)
        for thread in threads:
            thread.join(20)
        assert process.returncode == 0, said
        # Nothing of Ray's own comes behind the JSON.
        assert rest == ""
        assert len(answers) >= 50
        first = answers[0].json()["answers"]
        assert all(response.json()["answers"] == first for response in answers)
        assert {response.status_code for response in refusals} <= {503}
        # A connection between two requests is closed, perhaps as the next one arrives; but only when requests
        # are refused already, so that none can have been broken off.
        assert set(before_the_end) <= {503}
