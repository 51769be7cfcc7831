"""Answers of shards pass on whole, in parts for each request, and marked where something is missing."""

import numpy as np
import pytest
from hashnet.distributed.gather import Answer
from hashnet.distributed.serving.backends import Question, backend_of, rows_of, split_answer
from serving_samples import N_BITS, N_CODES, hexed

from hashnet.errors import IncompleteError
from hashnet.results import PAD_DISTANCE, PAD_ID, Neighbors


def arrays(answer):
    return answer.result if isinstance(answer.result, tuple) else (answer.result,)


@pytest.mark.parametrize("question", [Question("search", 7), Question("radius", 25), Question("count", 25)])
@pytest.mark.parametrize("sizes", [[12], [1] * 12, [3, 5, 4]])
def test_a_batch_is_parted_into_what_each_would_have_got_alone(make_index, data, question, sizes):
    backend = backend_of(make_index(), threads=1)
    together = split_answer(backend.ask(question, data[2]), sizes)
    begin = 0
    for size, part in zip(sizes, together, strict=True):
        alone = backend.ask(question, data[2][begin : begin + size])
        begin += size
        for mine, other in zip(arrays(part), arrays(alone), strict=True):
            np.testing.assert_array_equal(mine, other)


def test_padding_is_no_neighbour():
    distances = np.array([[1, 2], [3, PAD_DISTANCE]], dtype=np.int32)
    ids = np.array([[5, 6], [7, PAD_ID]], dtype=np.int64)
    assert [one.tolist() for _, one in rows_of(Neighbors(distances, ids))] == [[5, 6], [7]]


class Partial:
    """Two shards of which one is gone."""

    n_bits = N_BITS
    fingerprint = None
    path = None

    def __init__(self, index):
        self._index = index

    def __len__(self):
        return 2 * N_CODES

    def search(self, queries, k, *, partial):
        assert partial
        return Answer(self._index.search(queries, k, pad=True), missing=(1,))

    def keys_of(self, ids):
        raise IncompleteError([1], "its process is gone")

    def explain(self, query, *, k):
        raise IncompleteError([1], "its process is gone")

    def close(self):
        pass


def test_a_partial_answer_is_marked(serve, make_index, data):
    client = serve(Partial(make_index()))
    asked = {"codes": hexed(data[2][:1]), "k": N_CODES + 10, "partial": True, "explain": True}
    answer = client.post("/search", json=asked).json()
    assert (answer["complete"], answer["missing"]) == (False, [1])
    assert len(answer["answers"][0]["ids"]) == N_CODES
    # What only the missing shard could tell is left out.
    assert (answer["answers"][0]["keys"], answer["plan"]) == (None, None)


class Health:
    """What a shard tells of itself."""

    def __init__(self, shard, alive):
        self.shard, self.alive, self.starting, self.dead, self.latency_ms = shard, alive, 0, 2 - alive, 1.25


class Watched(Partial):
    """Shards that tell their health."""

    def health(self):
        return [Health(0, 2), Health(1, self.alive)]


@pytest.mark.parametrize(("alive", "status"), [(1, 200), (0, 503)])
def test_the_service_is_ready_when_every_shard_has_a_live_replica(serve, make_index, alive, status):
    searcher = Watched(make_index())
    searcher.alive = alive
    response = serve(searcher).get("/readyz")
    assert response.status_code == status
    shards = response.json()["shards"]
    assert shards[1] == {
        "shard": 1,
        "alive": alive,
        "starting": 0,
        "dead": 2 - alive,
        "latency_ms": 1.25,
    }
    if not alive:
        assert response.json()["code"] == "not_ready"
