"""Delays of hedging follow the latest answers of the same kind."""

import pytest
from hashnet.distributed.pace import (
    ENOUGH,
    FIRST_DELAY_S,
    LEAST_DELAY_S,
    WINDOW,
    Pace,
    Paces,
    check_hedge,
    hedge_delay,
)
from hypothesis import given
from hypothesis import strategies as st


def pace_of(seconds):
    pace = Pace()
    for one in seconds:
        pace.note(one)
    return pace


def test_a_fixed_delay_is_kept():
    assert hedge_delay(0.25, pace_of([1.0] * 50)) == 0.25


def test_no_delay_means_never():
    assert hedge_delay(None, pace_of([1.0] * 50)) is None


@given(st.lists(st.floats(0, 100), max_size=ENOUGH - 1))
def test_a_few_answers_are_not_trusted(seconds):
    assert hedge_delay("auto", pace_of(seconds)) == FIRST_DELAY_S


@given(st.lists(st.floats(0, 100), min_size=ENOUGH, max_size=300))
def test_the_delay_exceeds_all_but_one_in_ten_of_the_latest_answers(seconds):
    latest = sorted(seconds[-WINDOW:])
    # A percentile may be of a few answers ago.
    stale = ENOUGH // 2
    delay = hedge_delay("auto", pace_of(seconds))
    assert delay >= LEAST_DELAY_S
    assert sum(one > delay for one in latest) <= 0.1 * len(latest) + stale


def test_the_delay_follows_a_change_of_pace():
    slow = hedge_delay("auto", pace_of([0.1] * 200))
    assert hedge_delay("auto", pace_of([0.1] * 200 + [0.5] * 200)) == pytest.approx(5 * slow)


def test_kinds_of_questions_have_paces_of_their_own():
    paces = Paces()
    for _ in range(ENOUGH):
        paces.note("search", 10, 1, 0.001)
        paces.note("search", 10, 1000, 0.9)
    assert paces.of("search", 10, 1).high_s == 0.001
    assert paces.of("search", 10, 1000).high_s == 0.9
    assert paces.of("search_radius", 10, 1).high_s is None


def test_the_cost_of_a_query_is_what_shards_take_for_it():
    paces = Paces()
    for _ in range(20):
        paces.note_search("search", 10, 1000, 0.01)
        paces.note_search("search", 10, 0, 0.01)
        paces.note("search", 10, 1000, 5.0)
    assert paces.seconds_a_query("search", 10) == pytest.approx(1e-5)


def test_the_cost_of_a_query_follows_what_changes():
    paces = Paces()
    paces.note_search("search", 10, 1, 1.0)
    for _ in range(100):
        paces.note_search("search", 10, 1, 0.1)
    assert paces.seconds_a_query("search", 10) == pytest.approx(0.1, rel=0.01)


def test_nothing_is_known_of_what_was_never_asked():
    assert Paces().seconds_a_query("search", 1) is None


@pytest.mark.parametrize(("setting", "error"), [("soon", TypeError), (True, TypeError), (-1, ValueError)])
def test_a_wrong_delay_is_refused(setting, error):
    with pytest.raises(error, match="hedge_after_s must be"):
        check_hedge(setting)
