"""Who may ask, how much, and how many at a time; every refusal is JSON with a stable code."""

import asyncio
import threading

import pytest
from hashnet.distributed.serving.gate import POLICIES
from hashnet.distributed.serving.problems import CODES, ApiError, error_of, last_line
from serving_samples import ADMIN_KEY, READ_KEY, bearer, picture

from hashnet.errors import DamagedError, HashnetError, IncompleteError

ASKED = {"codes": ["0" * 16], "k": 1}
GUARDED = [path for path, policy in POLICIES.items() if policy.scope == "read"]
OPEN = [path for path, policy in POLICIES.items() if policy.scope is None]


def refusal(response):
    return response.status_code, response.json()["code"]


def test_every_route_of_the_app_has_a_policy(serve):
    assert set(serve().get("/openapi.json").json()["paths"]) <= set(POLICIES)


@pytest.mark.parametrize("path", GUARDED)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        bearer("x" * 32),
        bearer(READ_KEY[:-1]),
        bearer(""),
        {"Authorization": "Bearer"},
        {"Authorization": READ_KEY},
        {"Authorization": f"Basic {READ_KEY}"},
        {"Authorization": "Bearer " + "x" * 100_000},
    ],
)
def test_without_the_key_nothing_is_told(serve, keys, path, headers):
    client = serve(keys=keys)
    method = client.get if path in ("/info", "/metrics") else client.post
    response = method(path, headers=headers)
    assert refusal(response) == (401, "unauthorized")
    assert response.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("path", OPEN)
def test_pages_and_state_need_no_key(serve, keys, path):
    assert serve(keys=keys).get(path).status_code == 200


def test_the_key_opens(serve, keys):
    client = serve(keys=keys)
    assert client.post("/search", json=ASKED, headers=bearer(READ_KEY)).status_code == 200
    assert client.get("/metrics", headers={"authorization": f"bearer  {READ_KEY} "}).status_code == 200


@pytest.mark.parametrize(("path", "key"), [("/search", ADMIN_KEY), ("/admin/reload", READ_KEY)])
def test_a_key_opens_its_own_scope_only(serve, keys, path, key):
    assert refusal(serve(keys=keys).post(path, json=ASKED, headers=bearer(key))) == (403, "forbidden")


def test_administration_is_closed_where_there_are_no_keys(serve):
    assert refusal(serve().post("/admin/reload")) == (401, "unauthorized")


@pytest.mark.parametrize("host", ["example.org", "example.org:80", "10.0.0.1", "localhost.example.org", "["])
def test_an_open_service_answers_to_this_machine_only(serve, host):
    assert refusal(serve().get("/info", headers={"host": host})) == (421, "wrong_host")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8000", "[::1]:8000"])
def test_names_of_this_machine_are_known(serve, host):
    assert serve().get("/info", headers={"host": host}).status_code == 200


def test_pages_of_other_sites_cannot_ask_an_open_service(serve):
    client = serve()
    for origin, status in (("http://example.org", 403), ("null", 403), ("http://localhost:8000", 200)):
        assert client.post("/search", json=ASKED, headers={"origin": origin}).status_code == status


def test_a_service_with_keys_has_any_name(serve, keys):
    headers = {**bearer(READ_KEY), "host": "search.example.org"}
    assert serve(keys=keys).post("/search", json=ASKED, headers=headers).status_code == 200


def test_a_body_beyond_the_limit_is_refused_by_its_length(serve):
    response = serve(max_body_bytes=1000).post("/search", json={**ASKED, "codes": ["0" * 16] * 100})
    assert refusal(response) == (413, "body_too_large")
    assert response.json()["limit"] == 1000


def test_a_body_beyond_the_limit_is_refused_while_it_comes(serve):
    def chunks():
        for _ in range(100):
            yield b" " * 100

    headers = {"content-type": "application/json"}
    response = serve(max_body_bytes=1000).post("/search", content=chunks(), headers=headers)
    assert refusal(response) == (413, "body_too_large")


def test_an_upload_beyond_the_limit_is_refused(serve):
    response = serve(max_body_bytes=1000).post("/encode", files={"image": picture(size=(99, 99))})
    assert refusal(response) == (413, "body_too_large")


@pytest.mark.parametrize(
    ("content", "kind", "wanted"),
    [
        (b"{}", None, (415, "unsupported_media_type")),
        (b"{}", "text/plain", (415, "unsupported_media_type")),
        (b"a=1", "application/x-www-form-urlencoded", (415, "unsupported_media_type")),
        (b"\x80\x04\x95", "application/x-pickle", (415, "unsupported_media_type")),
        (b"", "application/json", (400, "malformed_body")),
        (b"{", "application/json", (400, "malformed_body")),
        (b'{"codes": ["\xff"]}', "application/json", (400, "malformed_body")),
        (b"[" * 100_000, "application/json", (400, "malformed_body")),
        (b"x", "multipart/form-data", (400, "malformed_body")),
        (b"x", "multipart/form-data; boundary=y", (400, "malformed_body")),
    ],
)
def test_bodies_of_other_kinds_are_refused(serve, content, kind, wanted):
    headers = {} if kind is None else {"content-type": kind}
    assert refusal(serve().post("/search", content=content, headers=headers)) == wanted


def test_a_body_that_does_not_arrive_is_given_up(serve):
    from hashnet.distributed.serving.gate import Gate
    from hashnet.distributed.serving.metrics import Metrics
    from hashnet.distributed.serving.settings import ServiceSettings

    async def read_body(scope, receive, send):
        await receive()

    async def test():
        sent = []

        async def send(message):
            sent.append(message)

        gate = Gate(
            read_body,
            settings=ServiceSettings(timeout_s=0.05),
            metrics=Metrics(),
            draining=asyncio.Event(),
        )
        scope = {
            "type": "http",
            "path": "/search",
            "method": "POST",
            "headers": [(b"host", b"localhost")],
        }
        await gate(scope, asyncio.Event().wait, send)
        return sent[0]["status"]

    assert asyncio.run(asyncio.wait_for(test(), 5)) == 408


class Waiting:
    """A searcher that answers when it is told to."""

    def __init__(self, index):
        self._index = index
        self.asked = threading.Semaphore(0)
        self.go = threading.Event()

    def __getattr__(self, name):
        return getattr(self._index, name)

    def __len__(self):
        return len(self._index)

    def search(self, queries, k, *, partial):
        self.asked.release()
        assert self.go.wait(10)
        return self._index.search(queries, k)


def ask_aside(client, **more):
    """Post a search from another thread; return the thread and the list its response goes to."""
    responses = []
    thread = threading.Thread(
        target=lambda: responses.append(client.post("/search", json=ASKED | more)), daemon=True
    )
    thread.start()
    return thread, responses


def test_more_requests_than_the_limit_are_told_to_come_back(serve, make_index):
    searcher = Waiting(make_index())
    client = serve(searcher, max_concurrent=2)
    aside = [ask_aside(client, with_keys=False) for _ in range(2)]
    for _ in aside:
        assert searcher.asked.acquire(timeout=10)
    response = client.post("/search", json=ASKED)
    assert refusal(response) == (429, "too_many_requests")
    assert int(response.headers["retry-after"]) >= 1
    # What does no work is answered all the same.
    assert client.get("/healthz").status_code == 200
    searcher.go.set()
    for thread, responses in aside:
        thread.join(10)
        assert responses[0].status_code == 200
    assert client.post("/search", json=ASKED | {"with_keys": False}).status_code == 200


def test_an_answer_that_takes_too_long_is_given_up_and_its_place_is_free(serve, make_index):
    searcher = Waiting(make_index())
    client = serve(searcher, max_concurrent=1, timeout_s=0.1)
    assert refusal(client.post("/search", json=ASKED)) == (504, "timeout")
    searcher.go.set()
    assert client.post("/search", json=ASKED | {"with_keys": False}).status_code == 200


def test_a_service_that_ends_finishes_what_it_began_and_takes_no_more(serve, make_index):
    searcher = Waiting(make_index())
    client = serve(searcher)
    thread, responses = ask_aside(client, with_keys=False)
    assert searcher.asked.acquire(timeout=10)
    client.app.state.service.drain()
    assert refusal(client.post("/search", json=ASKED)) == (503, "draining")
    assert refusal(client.get("/readyz")) == (503, "draining")
    assert client.get("/healthz").status_code == 200
    searcher.go.set()
    thread.join(10)
    assert responses[0].status_code == 200


class Failing:
    """A searcher that raises."""

    n_bits = 64
    fingerprint = None
    path = None

    def __init__(self, error):
        self._error = error

    def __len__(self):
        return 10

    def search(self, queries, k, *, partial):
        raise self._error

    def close(self):
        pass


@pytest.mark.parametrize(
    ("error", "wanted"),
    [
        (IncompleteError([1], "its process is gone"), (503, "incomplete")),
        (DamagedError("/secret/place.seg", "checksum"), (500, "damaged_index")),
        (HashnetError("/secret/place"), (500, "internal_error")),
        (RuntimeError("/secret/place"), (500, "internal_error")),
        (MemoryError("/secret/place"), (500, "internal_error")),
    ],
)
def test_failures_of_the_index_are_json_and_tell_no_secrets(serve, error, wanted):
    response = serve(Failing(error)).post("/search", json=ASKED)
    assert refusal(response) == wanted
    assert "secret" not in response.text


def test_a_missing_shard_is_named(serve):
    response = serve(Failing(IncompleteError([1, 3], "gone"))).post("/search", json=ASKED)
    assert response.json()["missing"] == [1, 3]
    assert "retry-after" in response.headers


def test_a_service_below_a_prefix_is_guarded_alike(make_index, keys):
    from hashnet.distributed.serving.app import create_app
    from hashnet.distributed.serving.settings import ServiceSettings
    from starlette.applications import Starlette
    from starlette.routing import Mount
    from starlette.testclient import TestClient

    app = Starlette(routes=[Mount("/photos", create_app(make_index(), ServiceSettings(keys=keys)))])
    client = TestClient(app)
    assert refusal(client.post("/photos/search", json=ASKED)) == (401, "unauthorized")
    assert client.post("/photos/search", json=ASKED, headers=bearer(READ_KEY)).status_code == 200


@pytest.mark.parametrize(
    "path", ["/search/", "/search//", "/Search", "/search%2f", "/admin", "/admin/reload/"]
)
def test_paths_that_look_alike_are_no_way_in(serve, keys, path):
    assert refusal(serve(keys=keys).post(path, json=ASKED)) == (404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "wanted"),
    [("GET", "/nothing", (404, "not_found")), ("GET", "/search", (405, "method_not_allowed"))],
)
def test_wrong_routes_are_json_as_well(serve, method, path, wanted):
    assert refusal(serve().request(method, path)) == wanted


def test_every_answer_has_the_headers_of_security(serve):
    client = serve()
    for response in (client.get("/"), client.get("/nothing"), client.post("/search", json=ASKED)):
        policy = response.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert response.headers["x-content-type-options"] == "nosniff"


def test_every_error_has_a_code_that_is_documented():
    for error in (ApiError("timeout", "x"), error_of(ValueError("x")), error_of(TimeoutError())):
        assert error.code in CODES
        assert error.body()["code"] == error.code


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Traceback:\n  File x\nValueError: too small\n\n", "ValueError: too small"),
        ("", "no reason was given"),
    ],
)
def test_the_error_is_taken_out_of_a_traceback(text, wanted):
    assert last_line(text) == wanted
