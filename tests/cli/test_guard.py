"""Every error ends as one line on stderr and the exit code that stands for it."""

import pytest
import typer
from typer.testing import CliRunner

from hashnet.cli.guard import describe, exit_code, guarded, set_debug
from hashnet.errors import DamagedError, FingerprintError, HashnetError, IncompleteError, LockedError


@pytest.fixture(autouse=True)
def without_debug():
    set_debug(False)
    yield
    set_debug(False)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ValueError("wrong"), 2),
        (TypeError("wrong"), 2),
        (FileNotFoundError("gone"), 2),
        (FileExistsError("there"), 2),
        (NotADirectoryError("file"), 2),
        (FingerprintError("a", "b"), 2),
        (DamagedError("x.seg", "checksum"), 3),
        (IncompleteError([1], "died"), 4),
        (HashnetError("failed"), 1),
        (LockedError("locked"), 1),
        (PermissionError("denied"), 1),
        (OSError("disk full"), 1),
        (RuntimeError("bug"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_each_error_has_its_exit_code(error, code):
    assert exit_code(error) == code


def run(error, *, resume=""):
    app = typer.Typer()

    def command() -> None:
        """Fail."""
        raise error

    app.command()(guarded(command, resume=resume))
    return CliRunner().invoke(app, [])


def test_an_error_is_one_line_without_a_traceback():
    result = run(ValueError("first\nsecond"))
    assert result.stderr == "hashnet: first second\n"


def test_debug_shows_the_traceback():
    set_debug(True)
    assert "Traceback" in run(ValueError("wrong")).stderr


def test_an_interruption_says_how_to_go_on():
    result = run(KeyboardInterrupt(), resume="run it with --resume")
    assert (result.exit_code, result.stderr) == (130, "hashnet: interrupted; run it with --resume\n")


def test_a_bug_is_called_unexpected():
    result = run(ZeroDivisionError("division by zero"))
    assert (result.exit_code, result.stderr) == (
        1,
        "hashnet: unexpected ZeroDivisionError: division by zero; --debug shows where\n",
    )


def test_a_closed_pipe_is_no_message():
    result = run(BrokenPipeError())
    assert (result.exit_code, result.stderr) == (1, "")


def test_an_os_error_begins_with_the_file():
    assert describe(FileNotFoundError(2, "No such file or directory", "a.npy")) == (
        "a.npy: No such file or directory"
    )
