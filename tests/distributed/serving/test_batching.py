"""Requests that wait are answered together, each with its own answer."""

import asyncio

import pytest
from hashnet.distributed.serving.batching import Batcher


class Slow:
    """Notes its calls; each ends when it is told to."""

    def __init__(self):
        self.calls = []
        self.ends = []

    async def __call__(self, key, items):
        end = asyncio.get_running_loop().create_future()
        self.calls.append((key, items))
        self.ends.append(end)
        await end
        return [item * 10 for item in items]


async def settle():
    for _ in range(10):
        await asyncio.sleep(0)


def run(test):
    return asyncio.run(asyncio.wait_for(test(), 10))


def test_a_free_worker_starts_at_once():
    async def test():
        slow = Slow()
        batcher = Batcher(slow, workers=2, limit=8)
        first, second = (asyncio.ensure_future(batcher.ask("k", i)) for i in (1, 2))
        await settle()
        assert slow.calls == [("k", [1]), ("k", [2])]
        for end in slow.ends:
            end.set_result(None)
        assert await asyncio.gather(first, second) == [10, 20]

    run(test)


def test_what_arrives_meanwhile_is_answered_together():
    async def test():
        slow = Slow()
        batcher = Batcher(slow, workers=1, limit=8)
        asked = [asyncio.ensure_future(batcher.ask("k", i)) for i in range(5)]
        await settle()
        slow.ends[0].set_result(None)
        await settle()
        assert slow.calls == [("k", [0]), ("k", [1, 2, 3, 4])]
        slow.ends[1].set_result(None)
        assert await asyncio.gather(*asked) == [0, 10, 20, 30, 40]

    run(test)


def test_a_batch_has_at_most_the_limit_but_at_least_one():
    async def test():
        slow = Slow()
        batcher = Batcher(slow, workers=1, limit=4)
        weights = [1, 3, 1, 1, 9, 1]
        asked = [asyncio.ensure_future(batcher.ask("k", i, weight=w)) for i, w in enumerate(weights)]
        for n in range(5):
            await settle()
            slow.ends[n].set_result(None)
        await asyncio.gather(*asked)
        assert [items for _, items in slow.calls] == [[0], [1, 2], [3], [4], [5]]

    run(test)


def test_questions_that_differ_are_asked_apart_and_in_turn():
    async def test():
        slow = Slow()
        batcher = Batcher(slow, workers=1, limit=2)
        asked = [asyncio.ensure_future(batcher.ask(key, i)) for i, key in enumerate("aaaabb")]
        for n in range(4):
            await settle()
            slow.ends[n].set_result(None)
        assert await asyncio.gather(*asked) == [0, 10, 20, 30, 40, 50]
        assert slow.calls == [("a", [0]), ("a", [1, 2]), ("b", [4, 5]), ("a", [3])]

    run(test)


def test_whoever_left_is_not_asked_for():
    async def test():
        slow = Slow()
        batcher = Batcher(slow, workers=1, limit=8)
        asked = [asyncio.ensure_future(batcher.ask("k", i)) for i in range(3)]
        await settle()
        asked[1].cancel()
        slow.ends[0].set_result(None)
        await settle()
        assert slow.calls[1] == ("k", [2])
        slow.ends[1].set_result(None)
        assert await asked[2] == 20

    run(test)


def test_a_failure_reaches_all_of_the_batch_and_nobody_else():
    async def test():
        calls = []

        async def fail_first(key, items):
            calls.append(items)
            await asyncio.sleep(0)
            if len(calls) == 2:
                raise ValueError("no")
            return items

        batcher = Batcher(fail_first, workers=1, limit=2)
        answers = await asyncio.gather(*(batcher.ask("k", i) for i in range(5)), return_exceptions=True)
        assert [str(one) for one in answers] == ["0", "no", "no", "3", "4"]

    run(test)


def test_a_failure_of_one_item_is_its_own():
    async def test():
        async def odd_fail(key, items):
            return [ValueError(str(i)) if i % 2 else i for i in items]

        batcher = Batcher(odd_fail, workers=1, limit=8)
        answers = await asyncio.gather(*(batcher.ask("k", i) for i in range(4)), return_exceptions=True)
        assert [type(one) for one in answers] == [int, ValueError, int, ValueError]

    run(test)


@pytest.mark.parametrize("workers", [1, 3])
def test_no_more_workers_are_used_than_there_are(workers):
    async def test():
        running = most = 0

        async def count(key, items):
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(0.001)
            running -= 1
            return items

        batcher = Batcher(count, workers=workers, limit=2)
        assert await asyncio.gather(*(batcher.ask(i % 3, i) for i in range(50))) == list(range(50))
        assert most == workers

    run(test)
