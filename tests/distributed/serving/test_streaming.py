"""Large balls come as lines, whole or visibly not."""

import json
from itertools import chain

import numpy as np
import pytest
from hashnet.distributed.serving.streaming import PIECE, groups_within, pieces
from hypothesis import given
from hypothesis import strategies as st
from serving_samples import N_BITS, N_CODES, hexed

from hashnet.errors import IncompleteError

STREAM = {"accept": "application/x-ndjson"}


def joined(lists):
    return list(chain.from_iterable(lists))


def lines_of(response):
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("application/x-ndjson")
    return [json.loads(line) for line in response.text.splitlines()]


@pytest.mark.parametrize("max_answers", [1, 700, 10**6])
@pytest.mark.parametrize("radius", [0, 26, N_BITS])
def test_the_lines_together_are_the_answer(serve, data, radius, max_answers):
    asked = {"codes": hexed(data[2]), "radius": radius, "with_codes": True}
    whole = serve().post("/search_radius", json=asked).json()["answers"]
    head, *middle, end = lines_of(
        serve(max_answers=max_answers).post("/search_radius", json=asked, headers=STREAM)
    )
    assert head["counts"] == [len(one["ids"]) for one in whole]
    for query, one in enumerate(whole):
        parts = [line for line in middle if line["query"] == query]
        for name in ("ids", "distances", "keys", "codes"):
            assert joined(part[name] for part in parts) == one[name]
    assert end == {
        "end": True,
        "complete": True,
        "missing": [],
        "queries": len(whole),
        "neighbors": sum(head["counts"]),
    }


@given(n=st.integers(0, 5 * PIECE))
def test_pieces_cover_a_ball_once(n):
    parts = list(pieces(n))
    assert joined(list(range(n))[part] for part in parts) == list(range(n))
    assert len(parts) >= 1
    assert all(part.stop - part.start <= PIECE for part in parts)


@given(sizes=st.lists(st.integers(0, 30), min_size=1, max_size=20), limit=st.integers(1, 40))
def test_groups_cover_the_queries_within_the_limit(sizes, limit):
    groups = list(groups_within(sizes, limit))
    assert joined(list(range(len(sizes)))[group] for group in groups) == list(range(len(sizes)))
    assert all(sum(sizes[group]) <= limit or group.stop - group.start == 1 for group in groups)


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"codes": ["0" * 14], "radius": 3}, "invalid_codes"),
        ({"codes": ["0" * 16], "radius": 65}, "radius_out_of_range"),
        ({"codes": ["0" * 16], "radius": 64}, "answer_too_large"),
        ({"codes": ["0" * 16], "radius": 3, "explain": True}, "invalid_request"),
    ],
)
def test_what_is_wrong_is_refused_before_the_first_line(serve, asked, code):
    response = serve(max_streamed=N_CODES - 1).post("/search_radius", json=asked, headers=STREAM)
    assert (response.status_code, response.json()["code"]) == (422, code)


class Breaking:
    """A sharded index that loses a shard after some answers."""

    n_bits = N_BITS
    fingerprint = None
    path = None

    def __init__(self, index, good):
        self._index = index
        self._good = good

    def __len__(self):
        return len(self._index)

    def count_radius(self, queries, radius, *, partial):
        return self._index.count_radius(queries, radius)

    def search_radius(self, queries, radius, *, partial):
        self._good -= 1
        if self._good < 0:
            raise IncompleteError([1], "its process is gone")
        return self._index.search_radius(queries, radius)

    def keys_of(self, ids):
        return self._index.keys_of(ids)

    def close(self):
        pass


def test_a_stream_that_breaks_off_says_so_and_has_no_end(serve, make_index, data):
    client = serve(Breaking(make_index(), 2), max_answers=1)
    asked = {"codes": hexed(data[2][:4]), "radius": N_BITS}
    _, *middle, last = lines_of(client.post("/search_radius", json=asked, headers=STREAM))
    assert sorted({line["query"] for line in middle}) == [0, 1]
    assert last["code"] == "incomplete"
    assert "end" not in last
    assert client.app.state.service.current._users == 0


def test_ids_of_64_bits_survive(serve):
    from hashnet import Index

    index = Index.in_memory(n_bits=8)
    ids = np.array([2**63 - 1, 2**53 + 1], dtype=np.int64)
    index.add(np.zeros((2, 1), dtype=np.uint8), ids=ids)
    lines = lines_of(serve(index).post("/search_radius", json={"codes": ["00"], "radius": 0}, headers=STREAM))
    assert lines[1]["ids"] == sorted(ids.tolist())
