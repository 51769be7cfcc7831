"""Whom to ask, whom to suspect, when to start again."""

import pytest
from hashnet.distributed.replicas import (
    ASKABLE,
    FORGET_S,
    MOST_BACKOFF_S,
    Condition,
    Replica,
    Watch,
    backoff_s,
    choose,
    judge,
)
from hypothesis import given
from hypothesis import strategies as st


def replica(number, condition=Condition.ALIVE, **known):
    return Replica(0, number, f"node{number}", condition=condition, **known)


some_replicas = st.lists(
    st.tuples(st.sampled_from(Condition), st.integers(0, 5), st.integers(0, 5)), max_size=6
).map(
    lambda rows: [
        replica(number, condition, outstanding=outstanding, asked=asked)
        for number, (condition, outstanding, asked) in enumerate(rows)
    ]
)


@given(some_replicas, st.sets(st.integers(0, 5)))
def test_only_who_can_answer_and_was_not_tried_is_chosen(replicas, tried):
    fit = [one for one in replicas if one.condition in ASKABLE and one.number not in tried]
    chosen = choose(replicas, tried, 0.0)
    assert chosen in fit if fit else chosen is None


@given(some_replicas)
def test_the_suspect_is_chosen_only_where_nobody_is_alive(replicas):
    chosen = choose(replicas, (), 0.0)
    if chosen is not None and chosen.condition is Condition.SUSPECT:
        assert all(one.condition is not Condition.ALIVE for one in replicas)


def test_the_least_busy_is_chosen():
    assert choose([replica(0, outstanding=2), replica(1, outstanding=1)], (), 0.0).number == 1


def test_equals_take_turns():
    replicas = [replica(0), replica(1), replica(2)]
    chosen = []
    for _ in range(6):
        one = choose(replicas, (), 0.0)
        one.asked += 1
        chosen.append(one.number)
    assert chosen == [0, 1, 2, 0, 1, 2]


def test_who_was_slow_is_avoided_though_idle():
    slow, busy = replica(0), replica(1, outstanding=3)
    slow.note_slow(10.0, now=100.0)
    assert choose([slow, busy], (), 100.0) is busy


def test_who_was_slow_is_tried_again_later():
    slow, busy = replica(0), replica(1, outstanding=3)
    slow.note_slow(10.0, now=100.0)
    assert choose([slow, busy], (), 100.0 + 4 * FORGET_S) is slow


@given(st.floats(1, 1e6), st.floats(0, 1e4), st.floats(0, 1e4))
def test_slowness_fades_towards_one(factor, age, more):
    one = replica(0)
    one.note_slow(factor, now=0.0)
    assert 1.0 <= one.slowness(age + more) <= one.slowness(age)


def test_latency_follows_answers():
    one = replica(0)
    one.note(1.0)
    for _ in range(50):
        one.note(0.1)
    assert one.latency_s == pytest.approx(0.1, rel=0.01)


@pytest.mark.parametrize(
    ("silent", "judgement"),
    [(0.0, "leave"), (1.9, "leave"), (2.0, "suspect"), (14.9, "suspect"), (15.0, "end")],
)
def test_silence_is_suspicious_and_then_the_end(silent, judgement):
    assert judge(silent, Watch()) == judgement


@given(st.integers(0, 10**6))
def test_backing_off_grows_up_to_a_minute(failures):
    assert backoff_s(failures) <= backoff_s(failures + 1) <= MOST_BACKOFF_S


def test_a_watch_without_time_is_refused():
    with pytest.raises(ValueError, match="probe_every_s must be more than 0, got 0"):
        Watch(probe_every_s=0)
