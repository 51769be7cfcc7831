"""Progress goes to stderr, in the form that was asked for."""

import io
import json
import subprocess
import sys

import pytest

from hashnet.progress import NO_PROGRESS, BarProgress, JsonProgress, NoProgress, make_progress


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def lines_of(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_json_progress_writes_one_object_a_line():
    stream = io.StringIO()
    progress = JsonProgress(stream)
    progress.start("encode", 3)
    progress.advance(3, images_per_s=5.0)
    progress.finish()
    assert [line["event"] for line in lines_of(stream)] == ["start", "finish"]
    assert lines_of(stream)[-1] | {"seconds": 0} == {
        "event": "finish",
        "what": "encode",
        "done": 3,
        "total": 3,
        "seconds": 0,
        "images_per_s": 5.0,
    }


def test_json_progress_writes_at_most_two_advances_a_second():
    stream, clock = io.StringIO(), Clock()
    progress = JsonProgress(stream, clock=clock)
    progress.start("train", 1000)
    for _ in range(1000):
        clock.now += 0.001953125
        progress.advance()
    advances = [line for line in lines_of(stream) if line["event"] == "advance"]
    assert len(advances) == 3
    assert advances[-1]["done"] == 768


def test_json_progress_never_writes_nan():
    stream = io.StringIO()
    progress = JsonProgress(stream)
    progress.start("train", None)
    progress.advance(loss=float("nan"))
    progress.finish()
    assert lines_of(stream)[-1]["loss"] is None


def test_a_figure_cannot_hide_the_count():
    stream = io.StringIO()
    progress = JsonProgress(stream)
    progress.start("train", 2)
    progress.advance(1, total=9.0)
    progress.finish()
    assert lines_of(stream)[-1]["total"] == 2


def test_a_new_phase_finishes_the_open_one():
    stream = io.StringIO()
    progress = JsonProgress(stream)
    progress.start("a", 1)
    progress.start("b", 1)
    assert [(line["event"], line["what"]) for line in lines_of(stream)] == [
        ("start", "a"),
        ("finish", "a"),
        ("start", "b"),
    ]


@pytest.mark.parametrize("total", [5, None])
def test_bar_progress_draws_what_and_figures(total):
    stream = io.StringIO()
    progress = BarProgress(stream)
    progress.start("encode [cats]", total)
    progress.advance(5, loss=0.25)
    progress.finish()
    assert "encode [cats]" in stream.getvalue()
    assert "loss 0.25" in stream.getvalue()


def test_bar_progress_counts_what_is_done():
    stream = io.StringIO()
    progress = BarProgress(stream)
    progress.start("encode", 2000)
    progress.advance(1500, images_per_s=12345.6)
    progress.finish()
    assert "1,500/2,000" in stream.getvalue()
    assert "images per s 12,346" in stream.getvalue()


def test_bar_progress_of_unknown_length_shows_no_count():
    stream = io.StringIO()
    progress = BarProgress(stream)
    progress.start("wait", None)
    progress.finish()
    assert "/" not in stream.getvalue()


@pytest.mark.parametrize("progress", [NoProgress(), JsonProgress(io.StringIO()), BarProgress(io.StringIO())])
def test_advance_and_finish_without_a_phase_do_nothing(progress):
    progress.advance(1, loss=1.0)
    progress.finish()


def test_auto_is_silent_where_there_is_no_terminal():
    assert make_progress("auto", stream=io.StringIO()) is NO_PROGRESS


def test_each_mode_has_its_progress():
    assert isinstance(make_progress("json"), JsonProgress)
    assert isinstance(make_progress("bar"), BarProgress)
    assert make_progress("none") is NO_PROGRESS


def test_an_unknown_mode_is_refused():
    with pytest.raises(ValueError, match="auto, bar, json, none, got 'fancy'"):
        make_progress("fancy")


def test_importing_progress_does_not_load_rich():
    script = "import sys, hashnet.progress; print('rich' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
