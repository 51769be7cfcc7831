"""What an index is made of, and how parts of it are told apart on other nodes: no Ray."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from hashnet.errors import HashnetError
from hashnet.index.manifest import SegmentEntry
from hashnet.index.store import Store

from .placement import place_segments


@dataclass(frozen=True)
class Part:
    """The segments of one shard: their positions, size and signature."""

    segments: tuple[int, ...]
    n_codes: int
    n_bytes: int
    signature: str


@dataclass(frozen=True)
class Description:
    """One committed state of an index, cut into parts."""

    n_bits: int
    fingerprint: str | None
    parts: tuple[Part, ...]


def describe(path: Path, shards: int) -> Description:
    """Read the manifest at ``path`` and place its segments on ``shards``, as even as whole segments allow.

    Raises FileNotFoundError or DamagedError, and ValueError where there are fewer segments than shards.
    """
    manifest = Store(path).read()
    placed = place_segments([segment.n_rows for segment in manifest.segments], shards)
    parts = tuple(
        Part(
            segments=tuple(numbers),
            n_codes=sum(entry.n_rows for entry in entries),
            n_bytes=sum(entry.file.size for entry in entries),
            signature=signature_of(entries),
        )
        for numbers, entries in ((numbers, manifest.part(numbers)) for numbers in placed)
    )
    return Description(manifest.n_bits, manifest.fingerprint, parts)


def check_signature(path: Path, segments: Sequence[int], signature: str) -> None:
    """Raise HashnetError unless the segments at these positions of an index have ``signature``."""
    listed = Store(path).read().segments
    if max(segments) < len(listed) and signature_of([listed[at] for at in segments]) == signature:
        return
    raise HashnetError(
        f"{path} does not list the segments that are searched: it was changed since they were opened, or is "
        "no copy of that index; make it one, or swap to it to search it"
    )


def signature_of(entries: Sequence[SegmentEntry]) -> str:
    """Return a short text that two lists of segments share only if they hold the same rows.

    A manifest lists the checksum of each segment's header, and that the checksums of all its sections.
    """
    listed = [(entry.file.name, entry.file.size, entry.file.checksum) for entry in entries]
    return sha256(repr(listed).encode()).hexdigest()[:32]
