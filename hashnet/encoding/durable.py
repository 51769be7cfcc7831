"""Files that are there whole or not at all, and the mark by which they are known again."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

TEMPORARY_SUFFIX = ".tmp"
_PIECE_BYTES = 2**20


@dataclass(frozen=True)
class FileMark:
    """Size and SHA-256 of a file."""

    n_bytes: int
    sha256: str

    @classmethod
    def of(cls, data: bytes) -> Self:
        """Return the mark of a file with this content."""
        return cls(len(data), hashlib.sha256(data).hexdigest())

    def fits(self, path: Path) -> bool:
        """Return whether ``path`` is there and has this mark."""
        return self.mismatch(path) is None

    def mismatch(self, path: Path) -> str | None:
        """Return what is wrong with ``path``, or None."""
        try:
            size = path.stat().st_size
            if size != self.n_bytes:
                return f"has {size} bytes, {self.n_bytes} were written"
            hasher = hashlib.sha256()
            with path.open("rb") as file:
                while piece := file.read(_PIECE_BYTES):
                    hasher.update(piece)
        except FileNotFoundError:
            return "is missing"
        return None if hasher.hexdigest() == self.sha256 else "fails its SHA-256 checksum"

    def to_json(self) -> dict[str, Any]:
        """Return the mark as JSON values."""
        return {"bytes": self.n_bytes, "sha256": self.sha256}

    @classmethod
    def from_json(cls, values: Any) -> Self:
        """Return what ``to_json`` wrote; raise ValueError, TypeError or KeyError for anything else."""
        n_bytes, sha256 = values["bytes"], values["sha256"]
        if type(n_bytes) is not int or n_bytes < 0 or not isinstance(sha256, str):
            raise ValueError(f"{values} is no size and checksum")
        return cls(n_bytes, sha256)


def write_durably(path: Path, data: bytes) -> FileMark:
    """Write ``data`` to ``path`` so that after a crash it is there whole or not at all; return its mark.

    The rename is durable after ``sync_folder``: a caller that writes several files syncs once.
    """
    # Two workers may write the same unit after a restart; each has its own temporary.
    temporary = path.with_name(f"{path.name}.{os.getpid()}-{os.urandom(4).hex()}{TEMPORARY_SUFFIX}")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return FileMark.of(data)


def sync_folder(folder: Path) -> None:
    """Make the names in ``folder`` durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
