"""Answers over HTTP are those of a linear scan, however codes are written and requests are batched."""

import base64
from concurrent.futures import ThreadPoolExecutor

import oracle
import pytest
from serving_samples import FINGERPRINT, N_BITS, N_CODES, hexed


def nearest(data, k):
    codes, ids, queries = data
    found = oracle.search(queries, codes, ids, k)
    return [d.tolist() for d in found[0]], [i.tolist() for i in found[1]]


def balls(data, radius):
    codes, ids, queries = data
    found = oracle.search_radius(queries, codes, ids, radius)
    return [distances.tolist() for distances, _ in found], [ids.tolist() for _, ids in found]


def told(response):
    assert response.status_code == 200, response.text
    answers = response.json()["answers"]
    return [one["distances"] for one in answers], [one["ids"] for one in answers]


@pytest.mark.parametrize("k", [1, 10, N_CODES])
def test_the_nearest_are_those_of_the_scan(serve, data, k):
    assert told(serve().post("/search", json={"codes": hexed(data[2]), "k": k})) == nearest(data, k)


@pytest.mark.parametrize("radius", [0, 20, 28, N_BITS])
def test_balls_are_those_of_the_scan(serve, data, radius):
    response = serve().post("/search_radius", json={"codes": hexed(data[2]), "radius": radius})
    assert told(response) == balls(data, radius)


@pytest.mark.parametrize(
    ("encoding", "write"),
    [
        ("hex", hexed),
        ("base64", lambda codes: [base64.b64encode(code).decode() for code in codes]),
        ("array", lambda codes: codes.tolist()),
    ],
)
def test_codes_are_understood_in_every_encoding(serve, data, encoding, write):
    response = serve().post("/search", json={"codes": write(data[2]), "encoding": encoding, "k": 5})
    assert told(response) == nearest(data, 5)


def test_ten_neighbours_are_the_default(serve, data):
    assert told(serve().post("/search", json={"codes": hexed(data[2])})) == nearest(data, 10)


def test_an_answer_says_what_it_answers(serve, data):
    answer = serve().post("/search", json={"codes": hexed(data[2]), "k": 2}).json()
    assert [one["query"] for one in answer["answers"]] == hexed(data[2])
    told = {name: answer[name] for name in ("n_bits", "fingerprint", "k", "complete", "missing", "plan")}
    assert told == {
        "n_bits": N_BITS,
        "fingerprint": FINGERPRINT,
        "k": 2,
        "complete": True,
        "missing": [],
        "plan": None,
    }


def test_keys_and_codes_belong_to_their_ids(serve, data):
    codes, ids, queries = data
    asked = {"codes": hexed(queries), "k": 7, "with_codes": True}
    by_id = dict(zip(ids.tolist(), hexed(codes), strict=True))
    for one in serve().post("/search", json=asked).json()["answers"]:
        assert one["keys"] == [f"photos/{i}.jpg" for i in one["ids"]]
        assert one["codes"] == [by_id[i] for i in one["ids"]]


def test_keys_can_be_left_out(serve, data):
    answer = serve().post("/search", json={"codes": hexed(data[2]), "with_keys": False}).json()
    assert {one["keys"] for one in answer["answers"]} == {None}


def test_an_empty_ball_is_an_answer(serve):
    answer = serve().post("/search_radius", json={"codes": ["0" * 16], "radius": 0}).json()["answers"]
    assert answer == [{"query": "0" * 16, "ids": [], "distances": [], "keys": [], "codes": None}]


def test_the_plan_is_that_of_the_index(serve, make_index, data):
    index = make_index()
    wanted = index.explain(data[2][0], k=3).segments[0]
    answer = serve().post("/search", json={"codes": hexed(data[2][:1]), "k": 3, "explain": True}).json()
    (shard,) = answer["plan"]["shards"]
    assert shard["segments"][0]["candidates"] == wanted.candidates
    assert shard["segments"][0]["substring_bits"] == list(wanted.substring_bits)


@pytest.mark.parametrize("batch_queries", [1, 4, 256])
def test_many_clients_at_once_get_their_own_answers(serve, data, batch_queries):
    client = serve(batch_queries=batch_queries, workers=1)
    distances, ids = nearest(data, 9)
    texts = hexed(data[2])

    def ask(i):
        q = i % len(texts)
        return told(client.post("/search", json={"codes": [texts[q]], "k": 9})) == ([distances[q]], [ids[q]])

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(200)))


def test_an_index_on_disk_answers_alike(serve, data, tmp_path):
    from hashnet import Index, open_index

    codes, ids, queries = data
    with Index.create(tmp_path / "a.hnx", n_bits=N_BITS) as index:
        index.add(codes[:100], ids=ids[:100])
        index.add(codes[100:], ids=ids[100:])
    client = serve(open_index(tmp_path / "a.hnx"))
    response = client.post("/search", json={"codes": hexed(queries), "k": 20, "with_codes": True})
    assert told(response) == nearest(data, 20)
    assert client.get("/info").json()["name"] == "a.hnx"


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/search", {"codes": ["0" * 14]}, 422, "invalid_codes"),
        ("/search", {"codes": ["x" * 16]}, 422, "invalid_codes"),
        ("/search", {"codes": []}, 422, "invalid_request"),
        ("/search", {}, 422, "invalid_request"),
        ("/search", [], 422, "invalid_request"),
        ("/search", {"codes": ["0" * 16], "nonsense": 1}, 422, "invalid_request"),
        ("/search", {"codes": ["0" * 16], "k": 0}, 422, "invalid_request"),
        ("/search", {"codes": ["0" * 16], "k": 2.5}, 422, "invalid_request"),
        ("/search", {"codes": ["0" * 16], "k": "2"}, 422, "invalid_request"),
        ("/search", {"codes": ["0" * 16], "k": True}, 422, "invalid_request"),
        ("/search", {"codes": ["0" * 16], "k": 10**30}, 422, "k_out_of_range"),
        ("/search", {"codes": ["0" * 16], "k": N_CODES + 1}, 422, "k_out_of_range"),
        ("/search", {"codes": ["0" * 16], "encoding": "latin"}, 422, "invalid_request"),
        ("/search", {"codes": ["0" * 16] * 9}, 422, "too_many_queries"),
        ("/search", {"codes": ["0" * 16] * 2, "explain": True}, 422, "invalid_request"),
        ("/search", {"codes": ["0" * 16] * 8, "k": 126}, 422, "answer_too_large"),
        ("/search", {"codes": ["0" * 16], "fingerprint": "sha256:other"}, 409, "fingerprint_mismatch"),
        ("/search_radius", {"codes": ["0" * 16]}, 422, "invalid_request"),
        ("/search_radius", {"codes": ["0" * 16], "radius": -1}, 422, "invalid_request"),
        ("/search_radius", {"codes": ["0" * 16], "radius": 41}, 422, "radius_out_of_range"),
        ("/search_radius", {"codes": ["0" * 16] * 4, "radius": 40}, 422, "answer_too_large"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_a_code(serve, path, body, status, code):
    client = serve(max_queries=8, max_answers=1000, max_radius=40)
    response = client.post(path, json=body)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.json()["message"]


def test_an_answer_that_is_too_large_says_how_large(serve, data):
    client = serve(max_answers=1000)
    asked = {"codes": hexed(data[2][:2]), "radius": 64}
    assert client.post("/search_radius", json=asked).json()["counts"] == [N_CODES, N_CODES]


def test_the_right_fingerprint_is_taken(serve):
    asked = {"codes": ["0" * 16], "fingerprint": FINGERPRINT}
    assert serve().post("/search", json=asked).status_code == 200


def test_codes_of_a_large_index_are_not_known(serve):
    client = serve(code_table=N_CODES - 1)
    response = client.post("/search", json={"codes": ["0" * 16], "with_codes": True})
    assert (response.status_code, response.json()["code"]) == (422, "codes_unavailable")
    assert client.get("/info").json()["knows_codes"] is False


def test_the_limits_are_told(serve):
    info = serve(max_k=77).get("/info").json()
    assert (info["n_codes"], info["n_bits"], info["limits"]["max_k"]) == (N_CODES, N_BITS, 77)
    assert info["limits"]["max_radius"] == N_BITS
