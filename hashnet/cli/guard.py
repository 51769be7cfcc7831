"""Errors become one line on stderr and an exit code: 0 ok, 1 failure, 2 usage, 3 data damaged, 4 partial."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import traceback
from collections.abc import Callable
from typing import ParamSpec

import typer

from hashnet.errors import DamagedError, HashnetError, IncompleteError

FAILURE = 1
USAGE = 2
DAMAGED = 3
PARTIAL = 4
INTERRUPTED = 130  # 128 + SIGINT, as shells have it

Params = ParamSpec("Params")

_WRONG_PATH = (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError)
_EXPECTED = (HashnetError, ValueError, TypeError, OSError)


class _Debug:
    """Whether a traceback is wanted; set anew by every invocation."""

    wanted = False


def set_debug(wanted: bool) -> None:
    """Ask for tracebacks in addition to the one line."""
    _Debug.wanted = wanted


def exit_code(error: BaseException) -> int:
    """Return the exit code that ``error`` stands for."""
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    if isinstance(error, DamagedError):
        return DAMAGED
    if isinstance(error, IncompleteError):
        return PARTIAL
    if isinstance(error, (ValueError, TypeError, *_WRONG_PATH)):
        return USAGE
    return FAILURE


def describe(error: BaseException) -> str:
    """Return ``error`` as one line without a traceback."""
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    text = " ".join(str(error).split())
    if isinstance(error, _EXPECTED) and text:
        return text
    return f"unexpected {type(error).__name__}: {text}; --debug shows where".replace(": ;", ";")


def guarded(command: Callable[Params, None], *, resume: str = "") -> Callable[Params, None]:
    """Wrap a command: what it raises becomes a line and an exit code.

    ``resume`` is the advice after Ctrl-C.
    """

    @functools.wraps(command)
    def run(*args: Params.args, **kwargs: Params.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except KeyboardInterrupt as error:
            advice = resume or "nothing was changed; run the same command again"
            _fail(error, f"interrupted; {advice}")
        except BrokenPipeError:
            # The reader of our output (head, less) has seen enough; a second error at exit would be noise.
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(FAILURE) from None
        except (typer.Exit, typer.Abort, typer.BadParameter):
            raise
        except Exception as error:
            # The last frame before the user: whatever it is, it ends as one line, with --debug as the way in.
            _fail(error, describe(error))

    return run


def _fail(error: BaseException, line: str) -> None:
    if _Debug.wanted:
        traceback.print_exception(error, file=sys.stderr)
    typer.echo(f"hashnet: {line}", err=True)
    raise typer.Exit(exit_code(error)) from None
