"""Wrong arguments are refused with the value, the rule and the remedy."""

from __future__ import annotations

import numpy as np
import pytest

import hashnet
from hashnet.index.arguments import ascends, check_new_ids


@pytest.fixture(scope="module")
def index():
    index = hashnet.Index.in_memory(n_bits=64)
    index.add(np.arange(80, dtype=np.uint8).reshape(10, 8))
    return index


GOOD = np.zeros((2, 8), dtype=np.uint8)

WRONG_CODES = [
    (GOOD.tolist(), TypeError, "must be a numpy array"),
    (GOOD.astype(np.int64), TypeError, "dtype uint8 .* got int64"),
    (GOOD.astype(np.float32), TypeError, "got float32"),
    (GOOD.astype(bool), TypeError, "got bool"),
    (GOOD[0], ValueError, r"shape \(n, 8\) for n_bits=64, got \(8,\); pass one code as"),
    (np.zeros((2, 16), dtype=np.uint8), ValueError, r"got \(2, 16\)"),
    (np.zeros((2, 64), dtype=np.uint8), ValueError, r"got \(2, 64\)"),
    (np.zeros((2, 16), dtype=np.uint8)[:, ::2], ValueError, "C-contiguous"),
    (np.asfortranarray(np.zeros((3, 8), dtype=np.uint8)), ValueError, "C-contiguous"),
]


@pytest.mark.parametrize(("codes", "error", "message"), WRONG_CODES)
def test_wrong_queries_and_codes_are_refused(index, codes, error, message):
    with pytest.raises(error, match=message):
        index.search(codes, 1)
    with pytest.raises(error, match=message):
        index.search_radius(codes, 1)
    with pytest.raises(error, match=message):
        index.count_radius(codes, 1)
    with pytest.raises(error, match=message):
        index.add(codes)
    assert len(index) == 10


@pytest.mark.parametrize(
    ("k", "error", "message"),
    [
        (0, ValueError, "k must be at least 1, got 0"),
        (-3, ValueError, "got -3"),
        (11, ValueError, "got k=11 for 10 codes; .* pad=True"),
        (2**31, ValueError, "at most 2"),
        (1.0, TypeError, "k must be an int, got float"),
        (True, TypeError, "got bool"),
    ],
)
def test_wrong_k_is_refused(index, k, error, message):
    with pytest.raises(error, match=message):
        index.search(GOOD, k)


@pytest.mark.parametrize(
    ("within", "error", "message"),
    [
        (-1, ValueError, "from 0 to n_bits=64, got -1"),
        (10**12, ValueError, "from 0 to n_bits=64, got 65"),
        (np.array([3, 65], dtype=np.int32), ValueError, "got 65"),
        (np.array([3], dtype=np.int32), ValueError, r"each of 2 queries, got \(1,\)"),
        (np.array([3, 4]), TypeError, "must be int32, got int64"),
        (2.5, TypeError, "must be an int or an int32 array, got float"),
        (True, TypeError, "got bool"),
    ],
)
def test_wrong_within_is_refused(index, within, error, message):
    with pytest.raises(error, match=message):
        index.search(np.concatenate([GOOD, GOOD])[:2], 3, within=within)


def test_one_distance_holds_for_all_queries(index):
    queries = np.concatenate([GOOD, ~GOOD])
    every = np.full(len(queries), 30, dtype=np.int32)
    one = index.search(queries, 10, within=30)
    assert np.array_equal(one.ids, index.search(queries, 10, within=every).ids)


@pytest.mark.parametrize(
    ("radius", "error", "message"),
    [
        (-1, ValueError, "from 0 to n_bits=64 .* got -1"),
        (65, ValueError, "got 65"),
        (2.5, TypeError, "radius must be an int, got float"),
    ],
)
def test_wrong_radius_is_refused(index, radius, error, message):
    with pytest.raises(error, match=message):
        index.search_radius(GOOD, radius)
    with pytest.raises(error, match=message):
        index.count_radius(GOOD, radius)


@pytest.mark.parametrize(
    ("n_bits", "error", "message"),
    [
        (12, ValueError, "multiple of 8, got 12; pad"),
        (0, ValueError, "from 8 to 1024, got 0"),
        (1032, ValueError, "got 1032"),
        (64.0, TypeError, "n_bits must be an int"),
    ],
)
def test_wrong_n_bits_is_refused_and_makes_no_directory(tmp_path, n_bits, error, message):
    with pytest.raises(error, match=message):
        hashnet.Index.create(tmp_path / "i", n_bits=n_bits)
    with pytest.raises(error, match=message):
        hashnet.Index.in_memory(n_bits=n_bits)
    assert not (tmp_path / "i").exists()


def test_wrong_ids_dtype_is_refused(index):
    with pytest.raises(TypeError, match=r"dtype int64, got int32; pass ids\.astype"):
        index.add(GOOD, ids=np.array([100, 101], dtype=np.int32))


def test_wrong_keys_are_refused(index):
    with pytest.raises(ValueError, match="each of the 2 codes, got 1"):
        index.add(GOOD, keys=["a"])
    with pytest.raises(TypeError, match="keys must be str, got int"):
        index.add(GOOD, keys=["a", 2])
    with pytest.raises(TypeError, match="sequence of str, got str"):
        index.add(GOOD, keys="ab")


def test_explain_takes_one_query_and_one_question(index):
    with pytest.raises(ValueError, match="takes one query, got 2"):
        index.explain(GOOD, k=1)
    for asked in ({}, {"radius": 1, "k": 1}):
        with pytest.raises(ValueError, match="either radius or k"):
            index.explain(GOOD[0], **asked)


def test_wrong_threads_are_refused(index):
    with pytest.raises(ValueError, match="threads must be at least 1, got 0"):
        index.search(GOOD, 1, threads=0)
    with pytest.raises(TypeError, match="threads must be an int"):
        index.search_radius(GOOD, 1, threads=1.5)


def test_wrong_modes_are_refused(tmp_path):
    with pytest.raises(ValueError, match="mode must be 'r' or 'w', got 'a'"):
        hashnet.open_index(tmp_path, mode="a")
    with pytest.raises(TypeError, match="preload must be a bool, got str"):
        hashnet.open_index(tmp_path, preload="gpu")
    with pytest.raises(TypeError, match="verify must be a bool or None, got str"):
        hashnet.open_index(tmp_path, verify="all")


def test_a_closed_index_says_so():
    index = hashnet.Index.in_memory(n_bits=64)
    index.add(GOOD)
    index.close()
    index.close()
    for ask in (
        lambda: index.search(GOOD, 1),
        lambda: index.search_radius(GOOD, 1),
        lambda: index.count_radius(GOOD, 1),
        lambda: index.explain(GOOD[0], k=1),
        lambda: index.add(GOOD),
        index.export,
        lambda: index.keys_of(np.array([0])),
        index.check,
        index.refresh,
    ):
        with pytest.raises(ValueError, match="the index is closed"):
            ask()


@pytest.mark.parametrize(
    ("memory", "error", "message"),
    [
        (0, ValueError, r"at least 67108864 bytes \(64 MiB\), got 0"),
        (-(2**30), ValueError, "got -1073741824"),
        (2.5e9, TypeError, r"memory must be an int \(bytes\), got float"),
        ("4G", TypeError, "got str"),
        (True, TypeError, "got bool"),
    ],
)
def test_wrong_memory_is_refused(index, memory, error, message):
    with pytest.raises(error, match=message):
        index.add(GOOD, memory=memory)
    assert len(index) == 10


def test_ids_that_would_leave_int64_are_refused():
    index = hashnet.Index.in_memory(n_bits=64)
    index.add(GOOD[:1], ids=np.array([2**63 - 2]))
    with pytest.raises(ValueError, match="2 ids counted on from 9223372036854775807 would reach"):
        index.add(GOOD)
    index.add(GOOD[:1], ids=np.array([2**63 - 1]))
    assert sorted(index.ids().tolist()) == [2**63 - 2, 2**63 - 1]


def test_ids_that_occur_twice_far_apart_are_found():
    ids = np.arange(3_000_000)
    ids[2_500_000] = 1_048_576
    with pytest.raises(ValueError, match="distinct, got 1048576"):
        check_new_ids(ids, [])


@pytest.mark.parametrize("at", [1, 1_048_575, 1_048_576, 1_048_577, 2_999_999])
def test_a_step_down_is_seen_wherever_it_is(at):
    ids = np.arange(3_000_000)
    assert ascends(ids)
    ids[at] = ids[at - 1]
    assert not ascends(ids)


def test_an_id_that_occurs_twice_is_named():
    with pytest.raises(ValueError, match="distinct, got 7"):
        check_new_ids(np.array([7, 1, 7]), [])
