"""Whatever the codes, the question, the layout or the plan: every answer equals the oracle's."""

from __future__ import annotations

import numpy as np
import oracle
from codesets import flip, make_codes
from hypothesis import given, settings
from hypothesis import strategies as st

import hashnet
from hashnet import _core

POLICIES = ("auto", "probe", "scan", "uniform")
N_BITS = st.sampled_from([8, 16, 24, 32, 40, 48, 56, 64, 72, 96, 128, 192, 256, 1024])


def equal_codes(n, n_bits, rng):
    return np.repeat(rng.integers(0, 256, (1, n_bits // 8), dtype=np.uint8), n, axis=0)


def one_bucket(n, n_bits, rng):
    """All substrings but the last byte's are shared by all codes."""
    codes = equal_codes(n, n_bits, rng)
    codes[:, -1] = rng.integers(0, 256, n, dtype=np.uint8)
    return codes


def all_but_one_substring(n, n_bits, rng):
    """One third of the bits is shared, the rest is random: one table has a single bucket."""
    codes = rng.integers(0, 256, (n, n_bits // 8), dtype=np.uint8)
    width = max(1, n_bits // 24)
    first = rng.integers(0, n_bits // 8)
    codes[:, first : first + width] = 0xA5
    return codes


def two_far_clusters(n, n_bits, rng):
    centre = rng.integers(0, 256, (1, n_bits // 8), dtype=np.uint8)
    centres = np.concatenate([centre, ~centre])
    return flip(centres[rng.integers(0, 2, n)], 0.03, rng)


def mostly_one_code(n, n_bits, rng):
    """Nine rows of ten are equal: more than k of them at one distance."""
    codes = equal_codes(n, n_bits, rng)
    others = rng.random(n) < 0.1
    codes[others] = flip(codes[others], 0.1, rng)
    return codes


def of(kind):
    return lambda n, n_bits, rng: make_codes(kind, n, n_bits, rng)


MAKERS = {
    "uniform": of("uniform"),
    "clustered": of("clustered"),
    "repeated": of("repeated"),
    "skewed": of("skewed"),
    "equal": equal_codes,
    "one bucket": one_bucket,
    "all but one substring": all_but_one_substring,
    "two far clusters": two_far_clusters,
    "mostly one code": mostly_one_code,
}


@st.composite
def databases(draw, most=1500):
    """Codes, distinct ids in no order, and queries: rows, codes near rows, codes anywhere."""
    n_bits = draw(N_BITS)
    # The smallest numbers of codes deserve their own chance.
    n = draw(st.one_of(st.integers(1, 4), st.integers(1, most)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    codes = MAKERS[draw(st.sampled_from(sorted(MAKERS)))](n, n_bits, rng)
    ids = rng.permutation(4 * n)[:n].astype(np.int64) * draw(st.sampled_from([1, 3_000_000_019]))
    rows = codes[rng.integers(0, n, 2)]
    anywhere = rng.integers(0, 256, (1, n_bits // 8), dtype=np.uint8)
    queries = np.concatenate([rows, flip(rows, 0.05, rng), anywhere, ~rows[:1]])
    return np.ascontiguousarray(codes), ids, np.ascontiguousarray(queries)


def build(codes, ids, n_segments=1):
    index = hashnet.Index.in_memory(n_bits=codes.shape[1] * 8)
    for rows in np.array_split(np.arange(len(codes)), n_segments):
        index.add(codes[rows], ids=ids[rows])
    return index


def assert_balls(balls, expected):
    assert balls.offsets.tolist() == np.cumsum([0, *(len(ids) for _, ids in expected)]).tolist()
    assert np.array_equal(balls.distances, np.concatenate([distances for distances, _ in expected]))
    assert np.array_equal(balls.ids, np.concatenate([ids for _, ids in expected]))


@settings(deadline=None, max_examples=200)
@given(database=databases(), n_segments=st.integers(1, 4), threads=st.integers(1, 3), data=st.data())
def test_balls_and_their_sizes_equal_the_oracle(database, n_segments, threads, data):
    codes, ids, queries = database
    index = build(codes, ids, n_segments)
    radius = data.draw(st.integers(0, index.n_bits), label="radius")
    expected = oracle.search_radius(queries, codes, ids, radius)
    assert_balls(index.search_radius(queries, radius, threads=threads), expected)
    counts = index._searcher.count_radius(queries, radius, threads)
    assert counts.tolist() == [len(ids) for _, ids in expected]


@settings(deadline=None, max_examples=200)
@given(database=databases(), n_segments=st.integers(1, 4), threads=st.integers(1, 3), data=st.data())
def test_neighbours_equal_the_oracle_up_to_all_codes(database, n_segments, threads, data):
    codes, ids, queries = database
    index = build(codes, ids, n_segments)
    n = len(codes)
    k = data.draw(st.one_of(st.integers(1, n), st.integers(max(1, n - 2), n)), label="k")
    distances, found = oracle.search(queries, codes, ids, k)
    neighbors = index.search(queries, k, threads=threads)
    assert np.array_equal(neighbors.distances, distances)
    assert np.array_equal(neighbors.ids, found)


@settings(deadline=None, max_examples=200)
@given(database=databases(), n_segments=st.integers(1, 3), threads=st.integers(1, 3), data=st.data())
def test_neighbours_within_a_distance_are_the_oracles_that_are_near_enough(
    database, n_segments, threads, data
):
    codes, ids, queries = database
    index = build(codes, ids, n_segments)
    k = data.draw(st.integers(1, len(codes)), label="k")
    distances, found = oracle.search(queries, codes, ids, k)
    # Around the k-th distance, where a bound just helps or just rules out.
    near = st.integers(-2, 2).map(lambda off: np.clip(distances[:, -1] + off, 0, index.n_bits))
    anywhere = st.lists(st.integers(0, index.n_bits), min_size=len(queries), max_size=len(queries))
    within = np.array(data.draw(near | anywhere, label="within"), dtype=np.int32)
    beyond = distances > within[:, None]
    neighbors = index.search(queries, k, threads=threads, within=within)
    assert np.array_equal(neighbors.distances, np.where(beyond, 2**31 - 1, distances))
    assert np.array_equal(neighbors.ids, np.where(beyond, -1, found))
    rows = oracle.search(queries, codes, np.arange(len(codes)), k)[1]
    scanned_distances, scanned = _core.FlatCodes(codes).search(queries, k, threads, within)
    assert np.array_equal(scanned_distances, neighbors.distances)
    assert np.array_equal(scanned, np.where(beyond, -1, rows))


@settings(deadline=None, max_examples=100)
@given(database=databases(most=800), data=st.data())
def test_every_policy_meets_each_code_of_the_ball_once(database, data):
    codes, ids, queries = database
    searcher = build(codes, ids)._searcher
    # Probing at any price looks up a number of buckets that grows with the radius beyond all bounds.
    radius = data.draw(st.integers(0, max(2, codes.shape[1] * 8 // 10)), label="radius")
    for query, (_, found) in zip(queries, oracle.search_radius(queries, codes, ids, radius), strict=True):
        distinct = len(np.unique(codes[np.isin(ids, found)], axis=0)) if len(found) else 0
        for policy in POLICIES:
            (report,) = searcher.explain(query[None], 0, radius, policy)
            assert report["matches"] == distinct, policy


@settings(deadline=None, max_examples=100)
@given(database=databases(), data=st.data())
def test_a_batch_is_answered_as_its_queries_alone(database, data):
    codes, ids, queries = database
    index = build(codes, ids, 2)
    queries = np.ascontiguousarray(np.tile(queries, (4, 1)))
    radius = data.draw(st.integers(0, index.n_bits), label="radius")
    k = data.draw(st.integers(1, len(codes)), label="k")
    balls, neighbors = index.search_radius(queries, radius), index.search(queries, k)
    for at in range(len(queries)):
        alone = index.search_radius(queries[at : at + 1], radius)
        assert [part.tolist() for part in balls.ball(at)] == [part.tolist() for part in alone.ball(0)]
        nearest = index.search(queries[at : at + 1], k)
        assert np.array_equal(neighbors.ids[at], nearest.ids[0])
        assert np.array_equal(neighbors.distances[at], nearest.distances[0])


@settings(deadline=None, max_examples=60)
@given(database=databases(), threads=st.integers(1, 3), data=st.data())
def test_plain_codes_are_scanned_as_the_oracle_does(database, threads, data):
    codes, _, queries = database
    if data.draw(st.booleans(), label="many queries"):
        # Enough that every thread compares codes with a group of them at once.
        queries = np.ascontiguousarray(np.tile(queries, (8, 1)))
    ids = np.arange(len(codes), dtype=np.int64)
    flat = _core.FlatCodes(codes)
    radius = data.draw(st.integers(0, flat.n_bits), label="radius")
    k = data.draw(st.integers(1, len(codes)), label="k")
    assert_balls(
        hashnet.Balls(*flat.search_radius(queries, radius, threads)),
        oracle.search_radius(queries, codes, ids, radius),
    )
    distances, found = flat.search(queries, k, threads)
    expected_distances, expected = oracle.search(queries, codes, ids, k)
    assert np.array_equal(distances, expected_distances)
    assert np.array_equal(found, expected)
