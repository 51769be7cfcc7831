"""A question reaches an answer of every shard through failures, delays and damage, or says what it lacks."""

import heapq

import pytest
from hashnet.distributed.fanout import ROUNDS, Fanout
from hashnet.distributed.replicas import ASKABLE, Condition, Replica
from hypothesis import given, settings
from hypothesis import strategies as st


def shard_of(shard, *conditions):
    return [
        Replica(shard, 10 * shard + number, "node", condition=condition)
        for number, condition in enumerate(conditions)
    ]


ALIVE = Condition.ALIVE


def two_by_two():
    return [shard_of(0, ALIVE, ALIVE), shard_of(1, ALIVE, ALIVE)]


def numbers(sends):
    return [(send.piece, send.replica.number) for send in sends]


def test_every_shard_is_asked_once():
    shards = two_by_two()
    fanout = Fanout(1, 2, shards.__getitem__)
    assert numbers(fanout.due(0.0)) == [(0, 0), (0, 10)]
    assert fanout.due(0.0) == []


def test_it_is_finished_when_every_shard_answered():
    shards = two_by_two()
    fanout = Fanout(1, 2, shards.__getitem__)
    fanout.due(0.0)
    assert fanout.answered(0, 0, 0)
    fanout.due(0.0)
    assert not fanout.finished
    assert fanout.answered(0, 1, 10)
    fanout.due(0.0)
    assert fanout.finished
    assert fanout.missing == {}


def test_another_replica_is_asked_when_one_fails():
    shards = two_by_two()
    fanout = Fanout(1, 2, shards.__getitem__)
    fanout.due(0.0)
    shards[1][0].condition = Condition.DEAD
    fanout.failed(0, 1, 10, "died")
    assert numbers(fanout.due(0.1)) == [(0, 11)]


def test_a_shard_whose_replicas_all_died_is_lost_at_once_with_the_reasons():
    shards = two_by_two()
    fanout = Fanout(1, 2, shards.__getitem__)
    fanout.due(0.0)
    for number in (10, 11):
        shards[1][number - 10].condition = Condition.DEAD
        fanout.failed(0, 1, number, f"{number} died")
        fanout.due(0.0)
    assert fanout.lossy
    assert fanout.missing == {1: "10 died; 11 died"}


def test_a_shard_without_replicas_says_why():
    dead = shard_of(0, Condition.DAMAGED)
    dead[0].reason = "checksum differs"
    fanout = Fanout(1, 1, [dead].__getitem__)
    assert fanout.due(0.0) == []
    assert fanout.missing == {0: "replica 0 is damaged: checksum differs"}


def test_replicas_that_are_only_away_are_tried_in_several_rounds():
    shards = [shard_of(0, ALIVE, Condition.SUSPECT)]
    fanout = Fanout(1, 1, shards.__getitem__)
    now, asked = 0.0, []
    while not fanout.finished:
        for send in fanout.due(now):
            asked.append(send.replica.number)
            fanout.failed(0, 0, send.replica.number, "away")
        now = max(now, fanout.wake_at() or now)
    assert asked == [0, 1] * ROUNDS
    assert fanout.missing == {0: "away"}


def test_a_late_answer_is_hedged_once_per_delay():
    shards = [shard_of(0, ALIVE, ALIVE, ALIVE)]
    fanout = Fanout(1, 1, shards.__getitem__, hedge_s=0.5)
    assert numbers(fanout.due(0.0)) == [(0, 0)]
    assert fanout.wake_at() == 0.5
    assert fanout.due(0.4) == []
    hedge = fanout.due(0.5)
    assert (numbers(hedge), hedge[0].late) == ([(0, 1)], (0,))
    assert fanout.due(0.9) == []
    assert numbers(fanout.due(1.0)) == [(0, 2)]


def test_one_answer_is_awaited_for_each_task_whoever_gives_it():
    shards = two_by_two()
    fanout = Fanout(1, 2, shards.__getitem__, hedge_s=0.5)
    fanout.due(0.0)
    assert fanout.awaited == 2
    fanout.due(0.5)
    assert fanout.awaited == 2
    fanout.answered(0, 1, 11)
    assert fanout.awaited == 1
    fanout.answered(0, 0, 0)
    assert fanout.awaited == 1


def test_of_several_pieces_any_answer_is_awaited():
    fanout = Fanout(2, 2, two_by_two().__getitem__)
    fanout.due(0.0)
    assert fanout.awaited == 1


def test_only_the_first_answer_counts():
    shards = [shard_of(0, ALIVE, ALIVE)]
    fanout = Fanout(1, 1, shards.__getitem__, hedge_s=0.5)
    fanout.due(0.0)
    fanout.due(0.5)
    assert fanout.answered(0, 0, 1)
    assert not fanout.answered(0, 0, 0)


def test_without_hedging_nobody_else_is_asked():
    shards = [shard_of(0, ALIVE, ALIVE)]
    fanout = Fanout(1, 1, shards.__getitem__)
    fanout.due(0.0)
    assert fanout.wake_at() is None
    assert fanout.due(1e9) == []


def test_a_replica_that_came_up_meanwhile_takes_over():
    shards = [shard_of(0, ALIVE)]
    fanout = Fanout(1, 1, shards.__getitem__, hedge_s=0.1)
    fanout.due(0.0)
    assert fanout.due(0.2) == []
    shards[0].append(Replica(0, 7, "node", condition=ALIVE))
    assert numbers(fanout.due(fanout.wake_at())) == [(0, 7)]


def test_what_is_missing_at_the_deadline_is_lost():
    shards = two_by_two()
    fanout = Fanout(3, 2, shards.__getitem__, deadline=1.0, timeout_s=1.0)
    fanout.due(0.0)
    fanout.answered(0, 0, 0)
    assert fanout.wake_at() == 1.0
    assert fanout.due(1.0) == []
    assert fanout.finished
    assert fanout.missing == {0: "no answer within 1.0 s", 1: "no answer within 1.0 s"}


def test_an_answer_after_the_deadline_is_not_used():
    shards = [shard_of(0, ALIVE)]
    fanout = Fanout(1, 1, shards.__getitem__, deadline=1.0, timeout_s=1.0)
    fanout.due(0.0)
    fanout.due(1.0)
    assert not fanout.answered(0, 0, 0)
    assert fanout.lossy


def test_no_more_pieces_are_under_way_than_the_window():
    shards = [shard_of(0, ALIVE)]
    fanout = Fanout(5, 1, shards.__getitem__, window=2)
    assert numbers(fanout.due(0.0)) == [(0, 0), (1, 0)]
    fanout.answered(1, 0, 0)
    assert numbers(fanout.due(0.0)) == [(2, 0)]


def test_others_are_asked_when_the_leader_of_a_piece_has_answered():
    shards = two_by_two()
    fanout = Fanout(2, 2, shards.__getitem__, led=True)
    assert numbers(fanout.due(0.0)) == [(0, 0), (1, 10)]
    assert fanout.wake_at() is None
    fanout.answered(1, 1, 10)
    assert [(send.piece, send.replica.shard) for send in fanout.due(0.1)] == [(1, 0)]


def test_a_lost_leader_holds_nobody():
    shards = [shard_of(0, Condition.DAMAGED), shard_of(1, ALIVE)]
    fanout = Fanout(1, 2, shards.__getitem__, led=True)
    assert numbers(fanout.due(0.0)) == [(0, 10)]
    assert list(fanout.missing) == [0]


def test_a_late_leader_is_hedged_like_any_other():
    shards = two_by_two()
    fanout = Fanout(1, 2, shards.__getitem__, led=True, hedge_s=0.5)
    fanout.due(0.0)
    assert fanout.wake_at() == 0.5
    assert numbers(fanout.due(0.5)) == [(0, 1)]


def test_pieces_spread_over_replicas():
    shards = [shard_of(0, ALIVE, ALIVE)]
    fanout = Fanout(4, 1, shards.__getitem__, window=4)
    assert [send.replica.number for send in fanout.due(0.0)] == [0, 1, 0, 1]


# What a replica does with a call: the seconds it takes, and whether it then answers, dies or is away.
deeds = st.tuples(
    st.sampled_from([0.0, 0.01, 0.2, 5.0, None]), st.sampled_from(["answer", "answer", "die", "away"])
)


@settings(deadline=None, max_examples=200)
@given(
    pieces=st.integers(1, 5),
    fates=st.lists(
        st.lists(st.lists(deeds, min_size=1, max_size=3), min_size=1, max_size=3), min_size=1, max_size=3
    ),
    window=st.integers(1, 4),
    hedge=st.sampled_from([None, 0.0, 0.1]),
    timeout=st.sampled_from([None, 1.0]),
    led=st.booleans(),
)
def test_in_any_weather_an_answer_is_whole_or_says_what_is_missing(
    pieces, fates, window, hedge, timeout, led
):
    """Replicas do as they are fated, over and over; None means that they never answer."""
    shards = [shard_of(shard, *[ALIVE] * len(of)) for shard, of in enumerate(fates)]
    calls = {one.number: 0 for of in shards for one in of}
    fanout = Fanout(
        pieces,
        len(shards),
        shards.__getitem__,
        window=window,
        led=led,
        hedge_s=hedge,
        deadline=timeout,
        timeout_s=timeout,
    )
    now, order, events, used = 0.0, 0, [], {}
    for _ in range(100_000):
        for send in fanout.due(now):
            one = send.replica
            assert one.condition in ASKABLE
            script = fates[one.shard][one.number % 10]
            takes, deed = script[calls[one.number] % len(script)]
            calls[one.number] += 1
            if takes is not None:
                order += 1
                heapq.heappush(events, (now + takes, order, deed, send.piece, one))
        if fanout.finished:
            break
        times = [time for time in (fanout.wake_at(), events[0][0] if events else None) if time is not None]
        if not times or min(times) > 1000.0:
            break
        now = max(now, min(times))
        while events and events[0][0] <= now:
            _, _, deed, piece, one = heapq.heappop(events)
            one.outstanding -= 1
            if one.condition is Condition.DEAD:
                fanout.failed(piece, one.shard, one.number, "died")
            elif deed == "answer":
                if fanout.answered(piece, one.shard, one.number):
                    assert (piece, one.shard) not in used
                    used[piece, one.shard] = one.number
            else:
                if deed == "die":
                    one.condition = Condition.DEAD
                fanout.failed(piece, one.shard, one.number, deed)
    else:
        pytest.fail("the question never ends")
    answered = {
        shard for shard in range(len(shards)) if all((piece, shard) in used for piece in range(pieces))
    }
    if fanout.finished:
        assert set(fanout.missing) == set(range(len(shards))) - answered
    else:
        # Without a deadline a question waits for ever only for who never answers, and says nothing.
        assert timeout is None
        assert any(takes is None for of in fates for script in of for takes, _ in script)
    if timeout is not None:
        assert now <= timeout
