"""A thread in the background is waited for, whoever presses Ctrl-C."""

from __future__ import annotations

import signal
import threading
import time

import pytest
from hashnet.distributed.train_thread import Background


def test_what_the_work_returns_is_the_result():
    background = Background(lambda: 7, name="seven")
    assert background.wait(10)
    assert background.result() == 7


def test_what_the_work_raises_is_raised_by_who_asks():
    def leave():
        raise SystemExit(3)

    background = Background(leave, name="leave")
    assert background.wait(10)
    with pytest.raises(SystemExit, match="3"):
        background.result()


def test_ctrl_c_ends_the_waiting_and_not_the_work():
    go_on = threading.Event()
    background = Background(lambda: go_on.wait(10), name="waiting")
    main = threading.main_thread().ident
    pressed = threading.Timer(0.1, signal.pthread_kill, (main, signal.SIGINT))
    pressed.start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        background.wait(10)
    assert time.monotonic() - began < 5
    assert not background.wait(0.05), "the work is taken for ended"
    go_on.set()
    assert background.wait(10)
    assert background.result() is True
