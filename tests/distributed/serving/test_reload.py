"""A reload changes the version between requests, never within one, and never to another code space."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hashnet.distributed.serving.keys import Keys, parse_keys
from serving_samples import ADMIN_KEY, N_CODES, READ_KEY, bearer, hexed

from hashnet import Index, open_index

BOTH = parse_keys(f"read,admin {READ_KEY}", source="test")
AUTH = bearer(READ_KEY)


def build(path, data, *, first=0, fingerprint="sha256:abc"):
    codes, ids, _ = data
    with Index.create(path, n_bits=codes.shape[1] * 8, fingerprint=fingerprint) as index:
        index.add(codes[first:], ids=ids[first:])
    return path


def reload(client):
    return client.post("/admin/reload", headers=AUTH)


def test_what_was_added_is_seen_after_a_reload(serve, data, tmp_path):
    path = build(tmp_path / "a.hnx", data)
    client = serve(open_index(path), reopen=lambda: open_index(path), keys=BOTH)
    with open_index(path, mode="w") as index:
        index.add(data[0][:5])
    assert client.get("/info", headers=AUTH).json()["n_codes"] == N_CODES
    assert reload(client).json() == {"version": 2, "n_codes": N_CODES + 5}
    assert "hashnet_index_version 2.0" in client.get("/metrics", headers=AUTH).text
    assert client.get("/info", headers=AUTH).json()["n_codes"] == N_CODES + 5


def test_a_link_that_points_elsewhere_is_followed(serve, data, tmp_path):
    from hashnet.distributed.serving.settings import ServiceSettings
    from hashnet.distributed.serving.source import Source

    link = tmp_path / "now.hnx"
    link.symlink_to(build(tmp_path / "one.hnx", data))
    source = Source(link, shards=0)
    client = serve(source.open(ServiceSettings()), reopen=lambda: source.open(ServiceSettings()), keys=BOTH)
    link.unlink()
    link.symlink_to(build(tmp_path / "two.hnx", data, first=100))
    assert reload(client).json()["n_codes"] == N_CODES - 100
    assert client.get("/info", headers=AUTH).json()["name"] == "two.hnx"


def test_another_code_space_is_refused_and_the_old_index_goes_on(serve, make_index, data):
    others = []

    def reopen():
        others.append(make_index(fingerprint="sha256:other"))
        return others[-1]

    client = serve(reopen=reopen, keys=BOTH)
    response = reload(client)
    assert (response.status_code, response.json()["code"]) == (409, "fingerprint_mismatch")
    asked = {"codes": hexed(data[2][:1]), "k": 1}
    assert client.post("/search", json=asked, headers=AUTH).json()["answers"][0]["distances"] == [0]
    assert "hashnet_index_version 1.0" in client.get("/metrics", headers=AUTH).text
    with pytest.raises(ValueError, match="closed"):
        others[0].search(data[2], 1)


def test_an_index_that_cannot_be_opened_leaves_the_old_one(serve, data):
    def reopen():
        raise FileNotFoundError("gone")

    client = serve(reopen=reopen, keys=BOTH)
    assert reload(client).status_code == 500
    asked = {"codes": hexed(data[2]), "k": 1}
    assert client.post("/search", json=asked, headers=AUTH).status_code == 200
    assert reload(client).json()["code"] == "internal_error"


def test_a_service_without_a_way_to_open_says_so(serve):
    response = reload(serve(keys=BOTH))
    assert (response.status_code, response.json()["code"]) == (409, "not_reloadable")


def test_two_reloads_do_not_run_at_once(serve, make_index):
    started, go = threading.Event(), threading.Event()

    def reopen():
        started.set()
        assert go.wait(10)
        return make_index()

    client = serve(reopen=reopen, keys=BOTH)
    responses = []
    thread = threading.Thread(target=lambda: responses.append(reload(client)))
    thread.start()
    assert started.wait(10)
    second = reload(client)
    assert (second.status_code, second.json()["code"]) == (409, "reload_running")
    go.set()
    thread.join(10)
    assert responses[0].json()["version"] == 2


def test_answers_under_reloads_belong_to_one_version(serve, data):
    """The versions hold the same codes under other ids and keys; no answer may mix them."""
    codes, ids, queries = data
    made = []

    def reopen():
        index = Index.in_memory(n_bits=64)
        shift = 10**6 * len(made)
        index.add(codes, ids=ids + shift, keys=[f"{len(made)}/{i}" for i in ids + shift])
        made.append(index)
        return index

    client = serve(reopen(), reopen=reopen, keys=BOTH, workers=2, explain_every=3)
    asked = {"codes": hexed(queries[:2]), "k": 20, "with_codes": True}
    by_id = dict(zip(ids.tolist(), hexed(codes), strict=True))
    stop = threading.Event()

    def ask(_):
        seen = set()
        while not stop.is_set():
            response = client.post("/search", json=asked, headers=AUTH)
            assert response.status_code == 200, response.text
            for one in response.json()["answers"]:
                versions = {i // 10**6 for i in one["ids"]}
                assert len(versions) == 1
                assert one["keys"] == [f"{i // 10**6}/{i}" for i in one["ids"]]
                assert one["codes"] == [by_id[i % 10**6] for i in one["ids"]]
                seen |= versions
        return seen

    with ThreadPoolExecutor(3) as pool:
        asking = [pool.submit(ask, i) for i in range(3)]
        for _ in range(8):
            assert reload(client).status_code == 200
        stop.set()
        seen = set().union(*(one.result() for one in asking))
    assert len(seen) >= 2
    # All but the last have been closed.
    for index in made[:-1]:
        with pytest.raises(ValueError, match="closed"):
            index.search(queries, 1)


def test_a_key_for_reading_does_not_reload(serve, make_index, keys):
    client = serve(reopen=make_index, keys=keys)
    assert client.post("/admin/reload", headers=bearer(READ_KEY)).status_code == 403
    assert client.post("/admin/reload", headers=bearer(ADMIN_KEY)).status_code == 200


def test_an_open_service_does_not_reload_at_all(serve, make_index):
    assert serve(reopen=make_index, keys=Keys()).post("/admin/reload").status_code == 401
