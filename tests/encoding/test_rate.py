"""Speed and time to go, told with a clock of the test's own."""

from hashnet.encoding.rate import RateMeter


class Recorder:
    def __init__(self):
        self.total = None
        self.done = 0
        self.figures = {}

    def start(self, what, total):
        self.total = total

    def advance(self, done=1, **figures):
        self.done += done
        self.figures = figures

    def finish(self):
        self.total = None


def meter(total, **settings):
    recorder = Recorder()
    now = [0.0]
    return RateMeter(recorder, total, clock=lambda: now[0], **settings), recorder, now


def test_speed_and_time_to_go_are_those_of_this_run_only():
    counted, shown, now = meter(1000, done=500, rejected=3)
    assert (shown.done, shown.total) == (500, 1000)
    now[0] = 10.0
    counted.advance(100, n_rejected=2)
    assert shown.figures == {"images_per_s": 10.0, "eta_s": 40.0, "rejected": 5}


def test_a_job_that_became_slow_is_told_by_its_last_minute():
    counted, shown, now = meter(10_000, window_s=60)
    now[0] = 10.0
    counted.advance(5000)
    for second in range(20, 101, 10):
        now[0] = float(second)
        counted.advance(10)
    # The window holds what was done since second 30: seven times ten images in seventy seconds.
    assert shown.figures["images_per_s"] == 1.0
    assert shown.figures["eta_s"] == 10_000 - 5090


def test_no_time_no_speed():
    counted, shown, _ = meter(10)
    counted.advance(5)
    assert shown.figures == {"rejected": 0}


def test_the_phase_is_finished():
    counted, shown, _ = meter(10)
    counted.finish()
    assert shown.total is None
