"""Batches are cut into even pieces that cover them, of a size that suits what is known of their cost."""

import pytest
from hashnet.distributed.cutting import (
    FIRST_ROWS,
    LEAST_LED_S,
    LEAST_ROWS,
    MOST_ANSWER_BYTES,
    PIECE_S,
    cut,
    piece_rows,
    worth_leading,
)
from hypothesis import given
from hypothesis import strategies as st

costs = st.none() | st.floats(0, 10, allow_nan=False)


@given(st.integers(0, 10**4), st.integers(1, 10**4))
def test_pieces_cover_a_batch_in_order(n, rows):
    pieces = cut(n, rows)
    assert [piece.start for piece in pieces] == [0, *(piece.stop for piece in pieces[:-1])]
    assert pieces[-1].stop == n


@given(st.integers(0, 10**4), st.integers(1, 10**4))
def test_pieces_are_even_and_small_enough(n, rows):
    lengths = [piece.stop - piece.start for piece in cut(n, rows)]
    assert max(lengths) <= rows
    assert max(lengths) - min(lengths) <= 1


def test_a_batch_without_queries_is_one_piece():
    assert cut(0, 100) == [slice(0, 0)]


@given(st.integers(0, 10**6), costs, st.integers(1, 8), st.integers(0, 10**9))
def test_a_piece_has_a_row_and_its_answer_is_bounded(n, cost, lanes, size):
    rows = piece_rows(n, seconds_a_query=cost, lanes=lanes, answer_bytes=size)
    assert rows >= 1
    assert rows == 1 or rows * size <= MOST_ANSWER_BYTES


@given(st.integers(1, 10**6), st.floats(1e-7, 10), st.integers(1, 8))
def test_a_piece_takes_a_bounded_time_unless_it_is_tiny(n, cost, lanes):
    rows = piece_rows(n, seconds_a_query=cost, lanes=lanes, answer_bytes=0)
    assert rows == LEAST_ROWS or rows * cost <= PIECE_S


@pytest.mark.parametrize(
    ("n", "cost", "lanes", "rows"),
    [
        (10_000, None, 2, FIRST_ROWS),  # nothing is known yet
        (1024, 10e-6, 1, 1024),  # one piece: a call costs a tenth of the search
        (1024, 10e-6, 2, 512),  # a half for each of two replicas
        (64, 10e-6, 2, 8192),  # too little to be shared
        (1000, 1e-3, 1, 100),
    ],
)
def test_the_size_of_a_piece_follows_its_cost(n, cost, lanes, rows):
    assert piece_rows(n, seconds_a_query=cost, lanes=lanes, answer_bytes=0) == rows


@given(st.integers(1, 10**5), st.floats(1e-6, 1), st.integers(1, 4), st.integers(2, 8))
def test_where_pieces_are_worth_leading_every_shard_leads_one(n, cost, lanes, shards):
    if worth_leading(n, seconds_a_query=cost, lanes=lanes * shards):
        rows = piece_rows(n, seconds_a_query=cost, lanes=lanes * shards, answer_bytes=0)
        assert len(cut(n, rows)) >= shards


def test_short_questions_are_not_led():
    assert not worth_leading(1, seconds_a_query=None, lanes=2)
    assert not worth_leading(1, seconds_a_query=10.0, lanes=2)
    assert not worth_leading(1024, seconds_a_query=1.9 * LEAST_LED_S / 1024, lanes=2)
    assert worth_leading(1024, seconds_a_query=2.1 * LEAST_LED_S / 1024, lanes=2)
