"""What a pipeline promises: order, a bound on what is in memory, errors, and torch as it was."""

import threading
import time

import pytest
import torch

from hashnet.encoding.pipeline import Pipeline


def test_results_come_in_the_order_of_the_items():
    def slow_first(item):
        time.sleep(0.02 if item == 0 else 0)
        return item

    with Pipeline(3) as pipeline:
        assert pipeline.start(slow_first, range(20)).results() == list(range(20))


def test_each_computes_with_one_thread_and_torch_gets_its_threads_back():
    before = torch.get_num_threads()
    with Pipeline(2) as pipeline:
        assert set(pipeline.start(lambda _: torch.get_num_threads(), range(8)).results()) == {1}
    assert torch.get_num_threads() == before


def test_only_so_many_items_are_taken_ahead():
    held, most = [], []
    lock = threading.Lock()

    def items():
        for item in range(50):
            with lock:
                held.append(item)
                most.append(len(held))
            yield item

    def compute(item):
        time.sleep(0.001)
        with lock:
            held.remove(item)

    with Pipeline(2) as pipeline:
        pipeline.start(compute, items()).results()
    # Five slots, and one item that waits for a slot.
    assert max(most) <= 6


def test_the_next_start_begins_before_the_first_is_done():
    gate = threading.Event()
    with Pipeline(2) as pipeline:
        first = pipeline.start(lambda _: gate.wait(10), [0])
        assert pipeline.start(lambda item: item, [1]).results() == [1]
        gate.set()
        assert first.results() == [True]


def test_two_starts_take_their_items_one_after_the_other():
    taken = []

    def items(name):
        for _ in range(30):
            taken.append(name)
            time.sleep(0.0005)
            yield name

    with Pipeline(2) as pipeline:
        threads = [
            threading.Thread(target=lambda name=name: pipeline.start(lambda item: item, items(name)))
            for name in "ab"
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert taken in (["a"] * 30 + ["b"] * 30, ["b"] * 30 + ["a"] * 30)


def test_starts_not_in_turn_take_their_items_side_by_side():
    met = threading.Barrier(2, timeout=10)

    def items():
        met.wait()
        yield 1

    with Pipeline(2) as pipeline:
        threads = [
            threading.Thread(target=lambda: pipeline.start(lambda item: item, items(), in_turn=False))
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not met.broken


def test_an_error_ends_what_was_started_and_leaves_the_pipeline_usable():
    computed = []

    def fails(item):
        computed.append(item)
        if item == 2:
            raise OSError("disk")

    with Pipeline(1) as pipeline:
        with pytest.raises(OSError, match="disk"):
            pipeline.start(fails, range(1000)).results()
        assert len(computed) < 20
        assert pipeline.start(lambda item: item, range(10)).results() == list(range(10))


def test_an_error_of_the_items_is_raised():
    def items():
        yield 1
        raise ValueError("no more")

    with Pipeline(1) as pipeline, pytest.raises(ValueError, match="no more"):
        pipeline.start(lambda item: item, items())


def test_every_result_is_told_once_and_in_order():
    told = []
    with Pipeline(2) as pipeline:
        started = pipeline.start(lambda item: item, range(25), done=told.append)
        assert told == list(range(len(told)))
        started.results()
    assert told == list(range(25))
