"""The service on Ray Serve answers as one index does, and ends without breaking off what it began."""

import json
import threading
import time

import httpx2
import numpy as np
import oracle
import pytest
from hashnet.distributed.serving.keys import parse_keys
from hashnet.distributed.serving.local import bind
from hashnet.distributed.serving.settings import ServiceSettings
from hashnet.distributed.serving.source import Source
from serving_samples import READ_KEY, bearer, hexed

from hashnet import Index

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_session")]

AUTH = bearer(READ_KEY)


@pytest.fixture(scope="module")
def directory(data, tmp_path_factory):
    codes, ids, _ = data
    path = tmp_path_factory.mktemp("served") / "photos.hnx"
    with Index.create(path, n_bits=64, fingerprint="sha256:abc") as index:
        for part in (slice(0, 200), slice(200, 350), slice(350, None)):
            index.add(codes[part], ids=ids[part], keys=[f"photos/{i}.jpg" for i in ids[part]])
    return path


@pytest.fixture(scope="module")
def service(directory):
    """The URL of a service with two shards on a free port, and what ends it."""
    from hashnet.distributed.serving.deployment import serving

    with bind("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    settings = ServiceSettings(max_k=500, keys=parse_keys(f"read,admin {READ_KEY}", source="test"))
    context = serving(Source(directory, shards=2), settings, host="127.0.0.1", port=port, drain_s=10)
    url = context.__enter__()
    ended = []

    def end():
        if not ended:
            ended.append(True)
            context.__exit__(None, None, None)

    yield url, end
    end()


@pytest.fixture(scope="module")
def client(service):
    # Whatever proxy the environment names, this machine is reached without it.
    with httpx2.Client(base_url=service[0], headers=AUTH, timeout=20, trust_env=False) as client:
        yield client


def test_the_nearest_are_those_of_the_scan(client, data):
    codes, ids, queries = data
    asked = {"codes": hexed(queries), "k": 30, "with_codes": True}
    response = client.post("/search", json=asked)
    assert response.status_code == 200, response.text
    distances, found = oracle.search(queries, codes, ids, 30)
    by_id = dict(zip(ids.tolist(), hexed(codes), strict=True))
    for q, one in enumerate(response.json()["answers"]):
        assert (one["distances"], one["ids"]) == (distances[q].tolist(), found[q].tolist())
        assert one["keys"] == [f"photos/{i}.jpg" for i in one["ids"]]
        assert one["codes"] == [by_id[i] for i in one["ids"]]


def test_balls_are_streamed_over_shards(client, data):
    codes, ids, queries = data
    headers = {"accept": "application/x-ndjson"}
    asked = {"codes": hexed(queries), "radius": 26}
    with client.stream("POST", "/search_radius", json=asked, headers=headers) as response:
        lines = [json.loads(line) for line in response.iter_lines()]
    wanted = oracle.search_radius(queries, codes, ids, 26)
    assert [line["ids"] for line in lines[1:-1]] == [found.tolist() for _, found in wanted]
    assert lines[-1]["complete"] is True


def test_the_plan_covers_every_shard(client, data):
    asked = {"codes": hexed(data[2][:1]), "k": 3, "explain": True}
    plan = client.post("/search", json=asked).json()["plan"]
    assert [len(shard["segments"]) for shard in plan["shards"]] in ([1, 2], [2, 1])


def test_refusals_pass_ray_serve_whole(client):
    response = client.post("/search", json={"codes": ["0" * 16], "k": 501})
    assert (response.status_code, response.json()["code"]) == (422, "k_out_of_range")
    response = client.post("/search", json={"codes": ["0" * 16]}, headers=bearer("x" * 32))
    assert (response.status_code, response.json()["code"]) == (401, "unauthorized")
    response = client.post("/search", content=b"x" * (17 << 20), headers={"content-type": "application/json"})
    assert (response.status_code, response.json()["code"]) == (413, "body_too_large")


def test_pages_state_and_metrics_are_there(client):
    assert "<title>hashnet search</title>" in client.get("/").text
    assert client.get("/readyz").json()["ready"] is True
    assert "hashnet_shard_replicas" in client.get("/metrics").text


def test_what_was_added_is_seen_after_a_reload(client, directory, data):
    from hashnet import open_index

    new = np.full((1, 8), 0xA5, dtype=np.uint8)
    with open_index(directory, mode="w") as index:
        index.add(new, ids=np.array([10**12], dtype=np.int64))
    assert client.post("/admin/reload").json() == {"version": 2, "n_codes": len(data[0]) + 1}
    answer = client.post("/search", json={"codes": hexed(new), "k": 1}).json()["answers"][0]
    assert (answer["ids"], answer["distances"]) == ([10**12], [0])


def test_the_end_waits_for_what_has_begun(service, client, data):
    """The last test: it ends the service under load."""
    asked = {"codes": hexed(data[2][:1]), "k": 5}
    answers, refusals, stop = [], [], threading.Event()

    def ask():
        with httpx2.Client(base_url=service[0], headers=AUTH, timeout=20, trust_env=False) as mine:
            while not stop.is_set():
                try:
                    response = mine.post("/search", json=asked)
                except httpx2.TransportError:
                    # The port is closed: nothing was begun.
                    return
                (answers if response.status_code == 200 else refusals).append(response)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 20
    while len(answers) < 20 and time.monotonic() < deadline:
        time.sleep(0.01)
    service[1]()
    stop.set()
    for thread in threads:
        thread.join(20)
    first = answers[0].json()["answers"]
    assert len(answers) >= 20
    assert all(response.json()["answers"] == first for response in answers)
    # Between the last answer and the closed port a client may be told that the service ends, or be told by
    # Ray Serve that nothing is there any more.
    assert {response.status_code for response in refusals} <= {404, 503}
