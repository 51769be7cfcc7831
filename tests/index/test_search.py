"""Every search equals the linear scan of numpy in ids, distances and order."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import numpy as np
import oracle
import pytest
from codesets import KINDS, make_codes, make_queries
from hypothesis import given, settings
from hypothesis import strategies as st

import hashnet
from hashnet import _core

N_BITS = (8, 16, 24, 32, 48, 64, 72, 96, 128, 256, 512, 1024)


def assert_balls_equal(balls, expected):
    assert np.array_equal(np.diff(balls.offsets), [len(distances) for distances, _ in expected])
    assert np.array_equal(balls.distances, np.concatenate([distances for distances, _ in expected]))
    assert np.array_equal(balls.ids, np.concatenate([ids for _, ids in expected]))


def build(codes, ids, n_segments=1):
    index = hashnet.Index.in_memory(n_bits=codes.shape[1] * 8)
    for rows in np.array_split(np.arange(len(codes)), n_segments):
        index.add(codes[rows], ids=ids[rows])
    return index


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_bits", N_BITS)
def test_radius_and_nearest_equal_the_oracle(n_bits, kind):
    rng = np.random.default_rng(n_bits)
    codes = make_codes(kind, 3000, n_bits, rng)
    ids = rng.permutation(10_000)[:3000].astype(np.int64)
    index = build(codes, ids, n_segments=2)
    queries = make_queries(codes, 8, rng)
    for radius in sorted({0, 1, 2, 4, n_bits // 8, n_bits // 4, n_bits}):
        assert_balls_equal(
            index.search_radius(queries, radius), oracle.search_radius(queries, codes, ids, radius)
        )
    for k in (1, 2, 10, 100, 3000):
        distances, found = oracle.search(queries, codes, ids, k)
        neighbors = index.search(queries, k)
        assert np.array_equal(neighbors.distances, distances)
        assert np.array_equal(neighbors.ids, found)


@settings(deadline=None, max_examples=150)
@given(
    n_bits=st.sampled_from(N_BITS),
    kind=st.sampled_from(KINDS),
    n=st.integers(1, 6000),
    n_segments=st.integers(1, 4),
    threads=st.integers(1, 3),
    seed=st.integers(0, 2**32 - 1),
    data=st.data(),
)
def test_any_index_equals_the_oracle(n_bits, kind, n, n_segments, threads, seed, data):
    rng = np.random.default_rng(seed)
    codes = make_codes(kind, n, n_bits, rng)
    ids = rng.permutation(3 * n)[:n].astype(np.int64)
    index = build(codes, ids, n_segments)
    queries = make_queries(codes, 4, rng)
    radius = data.draw(st.integers(0, n_bits))
    k = data.draw(st.integers(1, n))
    assert_balls_equal(
        index.search_radius(queries, radius, threads=threads),
        oracle.search_radius(queries, codes, ids, radius),
    )
    counts = index.count_radius(queries, radius, threads=threads)
    assert (counts.dtype, counts.shape) == (np.int64, (4,))
    assert np.array_equal(counts, np.diff(index.search_radius(queries, radius, threads=threads).offsets))
    distances, found = oracle.search(queries, codes, ids, k)
    neighbors = index.search(queries, k, threads=threads)
    assert np.array_equal(neighbors.distances, distances)
    assert np.array_equal(neighbors.ids, found)


@pytest.mark.parametrize("n_bits", [16, 64, 128, 200])
def test_the_linear_scan_equals_the_oracle(n_bits):
    rng = np.random.default_rng(1)
    codes = make_codes("clustered", 9000, n_bits, rng)
    queries = make_queries(codes, 8, rng)
    ids = np.arange(len(codes))
    for k in (1, 10, 5000):
        distances, found = oracle.search(queries, codes, ids, k)
        got_distances, got_ids = _core.scan_search(codes, queries, k, 2)
        assert np.array_equal(got_distances, distances)
        assert np.array_equal(got_ids, found)
    balls = hashnet.Balls(*_core.scan_radius(codes, queries, n_bits // 5, 2))
    assert_balls_equal(balls, oracle.search_radius(queries, codes, ids, n_bits // 5))


@pytest.mark.parametrize("kind", ["uniform", "clustered"])
def test_probing_finds_what_a_scan_finds_at_a_size_where_it_is_planned(kind):
    rng = np.random.default_rng(3)
    codes = make_codes(kind, 200_000, 64, rng)
    index = build(codes, np.arange(len(codes)))
    queries = make_queries(codes, 64, rng)
    for radius in (0, 2, 4, 8, 12):
        plan = index.explain(queries[0], radius=radius).segments[0]
        # Farther out a scan may be cheaper, which depends on the machine's instruction set.
        assert radius > 4 or not plan.scan
        assert plan.scan or sum(t + 1 for t in plan.substring_radii) == radius + 1
        expected = hashnet.Balls(*_core.scan_radius(codes, queries, radius, 1))
        balls = index.search_radius(queries, radius)
        assert all(np.array_equal(a, b) for a, b in zip(balls, expected, strict=True))
    for k in (1, 10, 1000):
        expected = _core.scan_search(codes, queries, k, 1)
        assert all(np.array_equal(a, b) for a, b in zip(index.search(queries, k), expected, strict=True))


@pytest.mark.parametrize("radius", [0, 4, 12, 30, 64])
def test_counts_are_the_sizes_of_the_balls_where_they_are_large(radius):
    rng = np.random.default_rng(11)
    codes = np.concatenate([make_codes(kind, 50_000, 64, rng) for kind in ("clustered", "repeated")])
    index = build(codes, np.arange(len(codes)), 2)
    queries = make_queries(codes, 16, rng)
    assert np.array_equal(
        index.count_radius(queries, radius), np.diff(index.search_radius(queries, radius).offsets)
    )


def test_long_codes_are_found_by_probing_too():
    rng = np.random.default_rng(4)
    codes = make_codes("clustered", 50_000, 256, rng)
    index = build(codes, np.arange(len(codes)))
    queries = make_queries(codes, 16, rng)
    assert not index.explain(queries[0], radius=16).segments[0].scan
    expected = hashnet.Balls(*_core.scan_radius(codes, queries, 16, 1))
    assert all(np.array_equal(a, b) for a, b in zip(index.search_radius(queries, 16), expected, strict=True))


def test_one_bucket_longer_than_any_buffer_is_searched_whole():
    rng = np.random.default_rng(5)
    codes = rng.integers(0, 256, (40_000, 8), dtype=np.uint8)
    codes[:, :3] = 0  # every code falls into one bucket of the first substring
    index = build(codes, np.arange(len(codes)))
    for radius in (0, 3, 6):
        expected = hashnet.Balls(*_core.scan_radius(codes, codes[:4], radius, 1))
        balls = index.search_radius(codes[:4], radius)
        assert all(np.array_equal(a, b) for a, b in zip(balls, expected, strict=True))


def test_ids_may_use_all_of_int64():
    codes = np.zeros((3, 8), dtype=np.uint8)
    ids = np.array([2**62, 5, 2**40], dtype=np.int64)
    index = build(codes, ids)
    assert index.search(codes[:1], 3).ids.tolist() == [[5, 2**40, 2**62]]


@pytest.mark.parametrize("id_bits", [15, 28, 40, 63])
@pytest.mark.parametrize("n_bits", [8, 64])
@pytest.mark.parametrize("n", [79, 80, 3_000, 20_000])
def test_answers_of_every_size_are_in_order(n, n_bits, id_bits):
    rng = np.random.default_rng(n + id_bits)
    codes = rng.integers(0, 256, (n, n_bits // 8), dtype=np.uint8)
    ids = rng.permutation(n).astype(np.int64)
    ids += (2**id_bits - n) * (ids >= n // 2)  # of few bits and of many
    index = build(codes, ids, 2)
    queries = make_queries(codes, 3, rng)
    for radius in (0, n_bits // 2, n_bits):
        assert_balls_equal(
            index.search_radius(queries, radius), oracle.search_radius(queries, codes, ids, radius)
        )
    distances, found = oracle.search(queries, codes, ids, n)
    neighbors = index.search(queries, n)
    assert np.array_equal(neighbors.distances, distances)
    assert np.array_equal(neighbors.ids, found)


def test_equal_codes_come_back_by_id_whatever_the_order_of_adding():
    rng = np.random.default_rng(6)
    codes = np.repeat(rng.integers(0, 256, (3, 8), dtype=np.uint8), 100, axis=0)
    ids = rng.permutation(300).astype(np.int64)
    shuffled = rng.permutation(300)
    one, other = build(codes, ids), build(codes[shuffled], ids[shuffled], 3)
    assert np.array_equal(one.search(codes[:1], 250).ids, other.search(codes[:1], 250).ids)


def test_more_neighbours_than_codes_are_padded_on_request():
    index = build(np.zeros((2, 8), dtype=np.uint8), np.array([7, 3]))
    neighbors = index.search(np.zeros((1, 8), dtype=np.uint8), 4, pad=True)
    assert neighbors.ids.tolist() == [[3, 7, -1, -1]]
    assert neighbors.distances.tolist() == [[0, 0, 2**31 - 1, 2**31 - 1]]


def test_no_queries_give_an_answer_without_rows():
    index = build(np.zeros((2, 8), dtype=np.uint8), np.array([7, 3]))
    nothing = np.empty((0, 8), dtype=np.uint8)
    assert index.search(nothing, 2).ids.shape == (0, 2)
    assert index.search_radius(nothing, 2).offsets.tolist() == [0]
    assert index.count_radius(nothing, 2).shape == (0,)


def test_an_empty_index_has_empty_balls():
    index = hashnet.Index.in_memory(n_bits=64)
    balls = index.search_radius(np.zeros((2, 8), dtype=np.uint8), 64)
    assert balls.offsets.tolist() == [0, 0, 0]
    assert index.count_radius(np.zeros((2, 8), dtype=np.uint8), 64).tolist() == [0, 0]


def test_explain_counts_what_happened():
    rng = np.random.default_rng(7)
    codes = make_codes("uniform", 100_000, 64, rng)
    index = build(codes, np.arange(len(codes)))
    plan = index.explain(codes[0], radius=6)
    part = plan.segments[0]
    assert part.probes == part.expected_probes
    assert part.candidates >= part.verified >= part.matches >= 1
    assert plan.to_json()["segments"][0]["probes"] == part.probes


def test_explain_tells_of_a_scan():
    rng = np.random.default_rng(8)
    index = build(make_codes("uniform", 20_000, 64, rng), np.arange(20_000))
    part = index.explain(rng.integers(0, 256, 8, dtype=np.uint8), radius=40).segments[0]
    assert part.scan
    assert part.candidates == 20_000


@pytest.mark.parametrize("simd", _core.available_simd())
def test_every_instruction_set_gives_the_same_answers(simd, tmp_path):
    script = (
        "import sys, numpy as np, hashnet; from hashnet import _core\n"
        "rng = np.random.default_rng(0)\n"
        "for n_bits in (24, 48, 64, 128, 192, 256, 1024):\n"
        "    codes = rng.integers(0, 4, (20000, n_bits // 8), dtype=np.uint8)\n"
        "    index = hashnet.Index.in_memory(n_bits=n_bits); index.add(codes)\n"
        "    q = codes[:50]\n"
        "    found = [index.search(q, 20), index.search_radius(q, 5), _core.scan_search(codes, q, 20, 1)]\n"
        "    sys.stdout.buffer.write(b''.join(array.tobytes() for part in found for array in part))\n"
        "sys.stderr.write(_core.simd())\n"
    )

    def answers(name):
        environment = {**os.environ, "HASHNET_SIMD": name}
        done = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, check=True
        )
        assert done.stderr.decode() == name
        return done.stdout

    assert answers(simd) == answers("scalar")


def test_an_instruction_set_that_is_not_there_is_refused():
    environment = {**os.environ, "HASHNET_SIMD": "mmx"}
    done = subprocess.run(
        [sys.executable, "-c", "from hashnet import _core; _core.simd()"],
        env=environment,
        capture_output=True,
        check=False,
    )
    assert done.returncode != 0
    assert b"HASHNET_SIMD=mmx" in done.stderr


def test_the_engine_itself_refuses_no_threads():
    codes = np.zeros((4, 8), dtype=np.uint8)
    for scan in (_core.scan_search, _core.scan_radius):
        with pytest.raises(ValueError, match="threads must be at least 1, got 0"):
            scan(codes, codes, 1, 0)


@pytest.mark.parametrize("ask", ["search", "search_radius", "count_radius"])
def test_a_long_search_can_be_interrupted(ask):
    script = (
        "import os, signal, threading, time, numpy as np, hashnet\n"
        "codes = np.random.default_rng(0).integers(0, 256, (100_000, 8), dtype=np.uint8)\n"
        "index = hashnet.Index.in_memory(n_bits=64); index.add(codes)\n"
        "queries = np.concatenate([codes] * 4)\n"
        "threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
        "began = time.monotonic()\n"
        "try:\n"
        f"    index.{ask}(queries, 12, threads=1)\n"
        "except KeyboardInterrupt:\n"
        "    print(time.monotonic() - began)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 10


def test_other_python_threads_run_while_the_engine_searches():
    rng = np.random.default_rng(9)
    codes = rng.integers(0, 256, (200_000, 8), dtype=np.uint8)
    index = build(codes, np.arange(len(codes)))
    running = threading.Thread(target=index.search, args=(codes[:2000], 100), kwargs={"threads": 1})
    running.start()
    steps = 0
    while running.is_alive():
        steps += 1
    # Were the interpreter lock held, this thread would get a few steps before and after the search.
    assert steps > 10_000
