"""Where replicas get their codes from: files that every node sees, or codes in Ray's object store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .parts import Description


@dataclass(frozen=True)
class FileSource:
    """An index directory; ``paths`` are it and its copies, of which each replica opens one."""

    paths: tuple[Path, ...]
    description: Description
    preload: bool
    verify: bool | None

    @property
    def n_bits(self) -> int:
        """Bits of a code."""
        return self.description.n_bits

    @property
    def fingerprint(self) -> str | None:
        """Fingerprint of the code space."""
        return self.description.fingerprint

    @property
    def n_codes(self) -> tuple[int, ...]:
        """Codes of each shard."""
        return tuple(part.n_codes for part in self.description.parts)

    @property
    def owned(self) -> bool:
        """Whether a replica takes its bytes of the memory of its node; a map is the system's to drop."""
        return self.preload

    @property
    def n_bytes(self) -> tuple[int, ...]:
        """Bytes of each shard."""
        return tuple(part.n_bytes for part in self.description.parts)

    def path_of(self, copy: int) -> Path | None:
        """Return the directory of one of the copies."""
        return self.paths[copy % len(self.paths)]

    def open(self, actor: Any, shard: int, copy: int) -> Any:
        """Have ``actor`` open its part; return the reference of what it tells then."""
        part = self.description.parts[shard]
        path = str(self.paths[copy % len(self.paths)])
        return actor.open.remote(path, list(part.segments), part.signature, self.preload, self.verify)


@dataclass(frozen=True)
class MemorySource:
    """Codes and ids of each shard as references into the object store, kept so that replicas can restart."""

    n_bits: int
    fingerprint: str | None
    parts: Sequence[tuple[Any, Any]]
    n_codes: tuple[int, ...]

    @property
    def owned(self) -> bool:
        """Whether a replica takes its bytes of the memory of its node."""
        return True

    @property
    def n_bytes(self) -> tuple[int, ...]:
        """Bytes of each shard, about: codes, ids and tables."""
        return tuple(n * (8 + 3 * self.n_bits // 8) for n in self.n_codes)

    def path_of(self, copy: int) -> Path | None:
        """Return None: there is no directory."""
        del copy
        return None

    def open(self, actor: Any, shard: int, copy: int) -> Any:
        """Have ``actor`` take its part; return the reference of what it tells then."""
        del copy
        return actor.load.remote(*self.parts[shard], self.n_bits)


Source = FileSource | MemorySource
