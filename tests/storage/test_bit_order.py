"""Bit selection as a built segment shows it: the order it keeps, and answers that do not depend on it."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from hashnet import _core
from hashnet.codes import Codes

N = 20_000


def build(codes: Codes, *, select_bits: bool = True) -> _core.Segment:
    """Return a segment in memory of 16-bit substrings whose ids are row numbers."""
    tables = codes.shape[1] // 2
    return _core.Segment.build(
        codes,
        None,
        0,
        "",
        1,
        memory=0,
        tables=tables,
        directory_bits=0,
        select_bits=select_bits,
        progress=None,
    )


def uniform(n_bits: int) -> Codes:
    """Return codes of fair, independent bits."""
    return np.random.default_rng(1).integers(0, 256, (N, n_bits // 8), dtype=np.uint8)


def dependent(n_bits: int) -> Codes:
    """Return codes whose neighbouring bits come in fours that mostly agree."""
    rng = np.random.default_rng(2)
    latents = np.repeat(rng.random((N, n_bits // 4)) < 0.5, 4, axis=1)
    return np.packbits(latents ^ (rng.random((N, n_bits)) < 0.05), axis=1)


def in_order(codes: Codes, order: NDArray[np.uint16]) -> Codes:
    """Return ``codes`` with dimension ``order[i]`` at place i."""
    return np.packbits(np.unpackbits(codes, axis=1)[:, order], axis=1)


def pairs_in_a_bucket(codes: Codes, segment: _core.Segment) -> int:
    """Return how many pairs of codes agree on a substring of ``segment``, for codes in its own order."""
    bits = np.unpackbits(codes, axis=1)
    pairs = 0
    for table in segment.tables:
        substring = bits[:, table["start"] : table["start"] + table["substring_bits"]]
        _, counts = np.unique(np.packbits(substring, axis=1), axis=0, return_counts=True)
        pairs += int((counts * (counts - 1) // 2).sum())
    return pairs


@pytest.mark.parametrize("n_bits", [64, 128])
def test_order_is_a_permutation_that_parts_dependent_bits(n_bits: int) -> None:
    codes = dependent(n_bits)
    segment = build(codes)
    order = segment.bit_order
    assert order is not None
    assert order.dtype == np.uint16
    assert sorted(order.tolist()) == list(range(n_bits))
    assert 5 * pairs_in_a_bucket(in_order(codes, order), segment) < pairs_in_a_bucket(codes, segment)


@pytest.mark.parametrize("n_bits", [64, 128])
def test_independent_bits_keep_their_order(n_bits: int) -> None:
    assert build(uniform(n_bits)).bit_order is None


def test_selection_can_be_switched_off() -> None:
    assert build(dependent(64), select_bits=False).bit_order is None


def test_equal_builds_choose_equal_orders() -> None:
    codes = dependent(64)
    first, second = build(codes), build(codes)
    assert first.bit_order is not None
    assert second.bit_order is not None
    assert np.array_equal(first.bit_order, second.bit_order)
    assert first.checksum == second.checksum


@pytest.mark.parametrize("n_bits", [48, 64, 128])
def test_answers_are_those_of_the_linear_scan(n_bits: int) -> None:
    codes = dependent(n_bits)
    queries = np.concatenate([codes[:10], dependent(n_bits)[-10:], uniform(n_bits)[:10]])
    searcher = _core.Searcher([build(codes)])
    for k in (1, 10, 100):
        for found, scanned in zip(
            searcher.search(queries, k, 1), _core.scan_search(codes, queries, k, 1), strict=True
        ):
            assert np.array_equal(found, scanned)
    for radius in (0, 3, 8):
        for found, scanned in zip(
            searcher.search_radius(queries, radius, 1),
            _core.scan_radius(codes, queries, radius, 1),
            strict=True,
        ):
            assert np.array_equal(found, scanned)


@pytest.mark.parametrize("n_bits", [64, 128])
def test_exported_codes_are_in_the_order_of_the_user(n_bits: int) -> None:
    codes = dependent(n_bits)
    exported, ids = build(codes).export_rows()
    assert np.array_equal(exported, codes[ids])
