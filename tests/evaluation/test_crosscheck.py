"""A cross-check agrees with a right index, and names the place where a wrong one errs."""

from __future__ import annotations

import json
import sys
import types

import numpy as np
import oracle
import pytest

from hashnet import Balls, Index, Neighbors
from hashnet.errors import HashnetError
from hashnet.evaluation import crosscheck
from hashnet.evaluation.reference import FaissMultiHash, multi_hash_shape

faiss = pytest.importorskip("faiss", reason="faiss is an extra (cpu or gpu)")


class Oracle:
    """An index that answers by numpy; ``spoil`` changes what it says."""

    def __init__(self, codes, ids, spoil=None):
        self.codes, self.ids, self.spoil = codes, ids, spoil or (lambda distances, ids: (distances, ids))

    def search(self, queries, k):
        distances, ids = oracle.search(queries, self.codes, self.ids, k)
        return Neighbors(*self.spoil(distances, ids))

    def search_radius(self, queries, radius):
        answers = oracle.search_radius(queries, self.codes, self.ids, radius)
        answers = [self.spoil(*answer) for answer in answers]
        offsets = np.cumsum([0, *(len(ids) for _, ids in answers)])
        distances = np.concatenate([distances for distances, _ in answers]).astype(np.int32)
        return Balls(offsets, distances, np.concatenate([ids for _, ids in answers]))


def sample(n_bits, n=400, nq=30, seed=0):
    """Clustered codes with many duplicates and ties, under shuffled ids."""
    rng = np.random.default_rng(seed)
    centres = rng.integers(0, 256, (5, n_bits // 8), dtype=np.uint8)
    flips = np.packbits(rng.random((n + nq, n_bits)) < 2 / n_bits, axis=1)
    every = centres[rng.integers(0, 5, n + nq)] ^ flips
    ids = rng.permutation(n).astype(np.int64) * 3
    return every[:n], ids, every[n:]


@pytest.mark.parametrize("n_bits", [8, 16, 24, 32, 48, 64, 72, 128, 256, 1024])
@pytest.mark.parametrize(("radius", "k"), [(0, 1), (2, 10), (5, 100)])
def test_a_right_index_has_no_mismatch(n_bits, radius, k):
    codes, ids, queries = sample(n_bits)
    report = crosscheck(Oracle(codes, ids), codes, ids, queries, radius=radius, k=k)
    assert report.ok, str(report)
    assert [one.n_compared + one.n_skipped for one in report.comparisons] == [30] * 6


@pytest.mark.parametrize("n_bits", [16, 64, 136])
def test_an_index_is_checked_by_what_it_exports(n_bits):
    codes, ids, queries = sample(n_bits)
    with Index.in_memory(n_bits=n_bits) as index:
        index.add(codes, ids=ids)
        report = crosscheck(index, *index.export(), queries, radius=6, k=25)
    assert report.ok, str(report)


def test_a_radius_of_all_bits_finds_everything_everywhere():
    codes, ids, queries = sample(16)
    report = crosscheck(Oracle(codes, ids), codes, ids, queries, radius=16)
    assert report.ok, str(report)


def test_multi_hash_is_complete_at_every_radius_it_accepts():
    codes, ids, queries = sample(32, n=300)
    order = np.argsort(ids)
    system = FaissMultiHash(np.ascontiguousarray(codes[order]), ids[order])
    for radius in range(33):
        if system.refuses(radius) is not None:
            continue
        found = system.balls(queries, radius)
        for q, (distances, names) in enumerate(oracle.search_radius(queries, codes, ids, radius)):
            np.testing.assert_array_equal(found.ball(q)[0], distances)
            np.testing.assert_array_equal(found.ball(q)[1], names)


@pytest.mark.parametrize("n", [1, 100, 10_000_000])
def test_multi_hash_gets_hashes_that_fit_the_code(n):
    for n_bits in range(8, 1025, 8):
        n_hashes, hash_bits = multi_hash_shape(n_bits, n)
        assert n_hashes >= 1
        assert n_hashes * hash_bits <= n_bits
        assert hash_bits <= 24


def test_what_is_too_much_for_multi_hash_is_skipped_with_a_reason(monkeypatch):
    monkeypatch.setattr("hashnet.evaluation.reference.MAX_PROBES", 1000)
    codes, ids, queries = sample(256)
    report = crosscheck(Oracle(codes, ids), codes, ids, queries, radius=250)
    skipped = [one for one in report.comparisons if one.n_skipped]
    assert [(one.system, one.n_skipped) for one in skipped] == [("FAISS IndexBinaryMultiHash", 30)]
    assert "probes a query" in skipped[0].reason


def test_a_collection_too_large_for_hash_tables_skips_multi_hash(monkeypatch):
    monkeypatch.setattr("hashnet.evaluation.reference.MAX_TABLE_BYTES", 1000)
    codes, ids, queries = sample(32)
    report = crosscheck(Oracle(codes, ids), codes, ids, queries, radius=1, k=3)
    assert [(one.question, one.n_skipped) for one in report.comparisons if one.n_skipped] == [
        ("radius 1", 30),
        ("k=3", 30),
    ]


def test_row_numbers_stand_in_for_missing_ids():
    codes, _, queries = sample(32)
    index = Oracle(codes, np.arange(len(codes)))
    assert crosscheck(index, codes, None, queries, radius=3, k=5).ok


def swap_ties(distances, ids):
    """The right codes at the right distances, ties by larger id."""
    order = np.lexsort((-ids, distances))
    return np.take_along_axis(distances, order, -1), np.take_along_axis(ids, order, -1)


def drop_last(distances, ids):
    return distances[..., :-1], ids[..., :-1]


def wrong_distance(distances, ids):
    return distances + 1, ids


@pytest.mark.parametrize("spoil", [swap_ties, drop_last, wrong_distance])
@pytest.mark.parametrize("question", [{"radius": 4}, {"k": 20}])
def test_a_wrong_answer_is_a_mismatch_with_every_system(spoil, question):
    codes, ids, queries = sample(32)
    report = crosscheck(Oracle(codes, ids, spoil), codes, ids, queries, **question)
    assert not report.ok
    assert all(one.n_mismatches > 0 for one in report.comparisons)


def test_a_mismatch_names_query_rank_and_both_answers():
    codes = np.array([[0], [1], [3]], dtype=np.uint8)
    ids = np.array([10, 11, 12], dtype=np.int64)

    def spoil(distances, found):
        return distances, np.where(found == 11, 12, found)

    report = crosscheck(Oracle(codes, ids, spoil), codes, ids, codes[:1], k=2)
    assert str(report.mismatches[0]) == (
        "k=2, query 0, rank 1: hashnet has id 12 at distance 1, linear scan has id 11 at distance 1"
    )


def test_a_missing_neighbour_reads_as_such():
    codes = np.array([[0], [1]], dtype=np.uint8)
    report = crosscheck(Oracle(codes, np.arange(2), drop_last), codes, None, codes[:1], radius=8)
    assert "hashnet has no more" in str(report.mismatches[0])


def test_only_the_first_mismatches_are_listed():
    codes, ids, queries = sample(32)
    report = crosscheck(Oracle(codes, ids, wrong_distance), codes, ids, queries, radius=8, k=20)
    assert (len(report.mismatches), report.n_mismatches) == (10, 180)


def test_the_report_is_json():
    codes, ids, queries = sample(32)
    report = crosscheck(Oracle(codes, ids, wrong_distance), codes, ids, queries, radius=2, k=2)
    stored = json.loads(json.dumps(report.to_json()))
    assert (stored["ok"], stored["n_queries"], stored["radius"], stored["k"]) == (False, 30, 2, 2)


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ({}, "nothing is asked"),
        ({"radius": -1}, "radius must be from 0 to n_bits=32, got -1"),
        ({"radius": 33}, "radius must be from 0 to n_bits=32, got 33"),
        ({"k": 0}, "k must be from 1 to the number of codes, 400, got 0"),
        ({"k": 401}, "k must be from 1 to the number of codes, 400, got 401"),
    ],
)
def test_a_question_that_cannot_be_asked_is_refused(question, message):
    codes, ids, queries = sample(32)
    with pytest.raises(ValueError, match=message):
        crosscheck(Oracle(codes, ids), codes, ids, queries, **question)


@pytest.mark.parametrize("module", [None, types.ModuleType("faiss")])
def test_without_faiss_the_remedy_is_named(monkeypatch, module):
    monkeypatch.setitem(sys.modules, "faiss", module)
    codes, ids, queries = sample(32)
    with pytest.raises(HashnetError, match=r"pip install 'hashnet\[cpu\]'"):
        crosscheck(Oracle(codes, ids), codes, ids, queries, radius=1)


def test_large_balls_are_asked_for_a_few_at_a_time(monkeypatch):
    monkeypatch.setattr("hashnet.evaluation.reference.MAX_FOUND", 500)
    codes, ids, queries = sample(32)
    assert crosscheck(Oracle(codes, ids), codes, ids, queries, radius=30, k=100).ok
