"""Files that appear whole or not at all, and survive a power loss once the call returns."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TEMPORARY_SUFFIX = ".tmp"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path to write to; what was written is made durable and replaces ``path`` at the end.

    The rename itself is durable after ``sync_directory``, which a caller with several files does once. If
    anything raises, the temporary file is removed and ``path`` is untouched. Two processes that write the
    same path do not get in each other's way.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{os.urandom(4).hex()}{TEMPORARY_SUFFIX}")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_atomically(path: Path, data: bytes) -> None:
    """Replace ``path`` by ``data``, durable on return; raises OSError and leaves ``path`` as it was."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
