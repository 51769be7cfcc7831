"""Prometheus reads what happened."""

import pytest
from hashnet.distributed.serving.backends import ShardState
from hashnet.distributed.serving.metrics import Metrics
from prometheus_client.parser import text_string_to_metric_families
from serving_samples import N_CODES, Thumbnails, hexed, picture


def figures(text):
    """All samples as (name, labels) -> value."""
    return {
        (sample.name, *(f"{k}={v}" for k, v in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def read(client):
    response = client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    return figures(response.text)


def test_requests_queries_and_neighbours_are_counted(serve, data):
    client = serve()
    for _ in range(3):
        client.post("/search", json={"codes": hexed(data[2]), "k": 5})
    client.post("/search", json={"codes": ["x"]})
    got = read(client)
    assert got["hashnet_http_requests_total", "method=POST", "route=/search", "status=200"] == 3
    assert got["hashnet_http_requests_total", "method=POST", "route=/search", "status=422"] == 1
    assert got["hashnet_http_request_seconds_count", "route=/search"] == 4
    assert got["hashnet_http_errors_total", "code=invalid_codes"] == 1
    assert got["hashnet_queries_total", "kind=search"] == 3 * len(data[2])
    assert got["hashnet_neighbors_total", "kind=search"] == 3 * 5 * len(data[2])
    assert got["hashnet_index_call_seconds_count", "kind=search"] == 3
    assert got["hashnet_batch_queries_sum",] == 3 * len(data[2])
    assert got["hashnet_index_codes",] == N_CODES
    assert got["hashnet_http_requests_working",] == 0


def test_a_plan_that_was_asked_for_is_counted(serve, make_index, data):
    plan = make_index().explain(data[2][0], k=5).segments[0]
    client = serve(explain_every=0)
    client.post("/search", json={"codes": hexed(data[2][:1]), "k": 5, "explain": True})
    got = read(client)
    assert got["hashnet_query_candidates_sum",] == plan.candidates
    assert got["hashnet_query_probes_sum",] == plan.probes
    assert got["hashnet_query_plans_total", "way=scan" if plan.scan else "way=probe"] == 1


@pytest.mark.parametrize(("every", "wanted"), [(0, 0), (1, 20), (5, 4)])
def test_one_query_in_so_many_is_explained(serve, data, every, wanted):
    client = serve(explain_every=every)
    for _ in range(20):
        client.post("/search_radius", json={"codes": hexed(data[2][:1]), "radius": 3})
    # Plans are made behind the answers.
    client.portal.call(client.app.state.service.settle)
    assert read(client)["hashnet_query_candidates_count",] == wanted


def test_strangers_cannot_invent_labels(serve):
    client = serve()
    for i in range(20):
        client.get(f"/nothing/{i}")
        client.request(f"M{i}", "/search")
    got = [key for key in read(client) if key[0] == "hashnet_http_requests_total"]
    assert sorted(got) == [
        ("hashnet_http_requests_total", "method=GET", "route=other", "status=404"),
        ("hashnet_http_requests_total", "method=other", "route=/search", "status=405"),
    ]


def test_images_are_counted(serve):
    client = serve(encoder=Thumbnails())
    client.post("/encode", files=[("image", picture(i)) for i in range(3)])
    assert read(client)["hashnet_images_total",] == 3


def test_the_state_of_shards_is_shown_as_it_is_now():
    metrics = Metrics()
    first = [ShardState(0, alive=2, latency_ms=1.5), ShardState(1, alive=0, starting=1, dead=1)]
    got = figures(metrics.text(first).decode())
    assert got["hashnet_shard_replicas", "shard=0", "state=alive"] == 2
    assert got["hashnet_shard_replicas", "shard=1", "state=dead"] == 1
    assert got["hashnet_shard_latency_seconds", "shard=0"] == 0.0015
    assert ("hashnet_shard_latency_seconds", "shard=1") not in got
    got = figures(metrics.text(first[:1]).decode())
    assert ("hashnet_shard_replicas", "shard=1", "state=dead") not in got
