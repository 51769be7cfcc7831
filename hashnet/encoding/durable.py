"""The mark by which a written file is known again."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from hashnet.files import replacing

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
    """Write ``data`` to ``path``, whole or not at all; return its mark. Durable after ``sync_directory``."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)
    return FileMark.of(data)
