"""What workers tell becomes one progress, whoever dies on the way."""

from __future__ import annotations

from hashnet.distributed.train_events import Event, Letter, Mailbox, MergedProgress, RelayedProgress


class Recorder:
    def __init__(self):
        self.heard = []

    def start(self, what, total):
        self.heard.append(("start", what, total))

    def advance(self, done=1, **figures):
        self.heard.append(("advance", done, figures))

    def finish(self):
        self.heard.append(("finish",))


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def relayed(rank):
    letters, clock = [], Clock()
    return RelayedProgress("a", rank, letters.append, clock=clock), letters, clock


def merged(n_images=10):
    recorder, warned = Recorder(), []
    return MergedProgress(recorder, n_images, warn=warned.append), recorder.heard, warned


def test_steps_between_two_letters_are_one_event_with_the_last_figures():
    progress, letters, clock = relayed(0)
    progress.start("train", 100)
    for step in range(5):
        progress.advance(loss=1.0 - step / 10, beta=2.0)
    assert len(letters) == 1
    clock.now = 0.6
    progress.advance(2)
    assert letters[1] == Letter("a", 0, [Event("advance", done=7, figures={"loss": 0.6, "beta": 2.0})])
    progress.finish()
    assert [event.kind for letter in letters for event in letter.events] == ["start", "advance", "finish"]


def test_letters_are_at_least_half_a_second_apart():
    progress, letters, clock = relayed(0)
    for tick in range(100):
        clock.now = tick / 20
        progress.advance()
    assert len(letters) == 9


def test_rank_0_alone_tells_of_phases_that_are_alike_in_all():
    progress, letters, _ = relayed(1)
    progress.start("train", 100)
    progress.advance()
    progress.finish()
    assert letters == []
    progress.start("features", 50)
    assert letters == [Letter("a", 1, [Event("start", "features", 50)])]


def test_every_worker_can_warn():
    progress, letters, _ = relayed(1)
    progress.start("train", 100)
    progress.warn("collapsed")
    assert letters == [Letter("a", 1, [Event("warning", "collapsed")])]


def test_shares_of_a_phase_and_their_rates_add_up():
    progress, heard, _ = merged(n_images=10)
    progress.receive(
        [
            Letter(
                "a",
                1,
                [Event("start", "features", 4), Event("advance", done=4, figures={"images_per_s": 8.0})],
            ),
            Letter(
                "a",
                0,
                [Event("start", "features", 6), Event("advance", done=2, figures={"images_per_s": 3.0})],
            ),
            Letter("a", 1, [Event("finish")]),
            Letter("a", 0, [Event("advance", done=4, figures={"images_per_s": 4.0}), Event("finish")]),
            Letter("a", 0, [Event("start", "train", 50), Event("advance", done=50), Event("finish")]),
        ]
    )
    progress.finish()
    assert heard == [
        ("start", "features", 10),
        ("advance", 4, {"images_per_s": 8.0}),
        ("advance", 2, {"images_per_s": 11.0}),
        ("advance", 4, {"images_per_s": 12.0}),
        ("start", "train", 50),
        ("advance", 50, {}),
        ("finish",),
    ]


def test_a_new_attempt_begins_the_phase_anew_and_the_old_one_is_not_heard_again():
    progress, heard, _ = merged()
    progress.receive([Letter("a", 0, [Event("start", "train", 50), Event("advance", done=30)])])
    progress.receive([Letter("b", 0, [Event("start", "train", 50), Event("advance", done=20)])])
    progress.receive(
        [Letter("a", 0, [Event("advance", done=5)]), Letter("b", 0, [Event("advance", done=30)])]
    )
    progress.finish()
    assert heard == [
        ("start", "train", 50),
        ("advance", 30, {}),
        ("start", "train", 50),
        ("advance", 20, {}),
        ("advance", 30, {}),
        ("finish",),
    ]


def test_warnings_are_handed_on():
    progress, heard, warned = merged()
    progress.receive([Letter("a", 0, [Event("warning", "collapsed")])])
    progress.finish()
    assert (heard, warned) == ([], ["collapsed"])


def test_a_mailbox_gives_each_letter_once_and_remembers_to_stop():
    mailbox = Mailbox()
    letters = [Letter("a", rank, []) for rank in range(3)]
    for letter in letters:
        mailbox.put(letter)
    assert (mailbox.take(), mailbox.take()) == (letters, [])
    assert not mailbox.stopping()
    mailbox.stop()
    assert mailbox.stopping()
