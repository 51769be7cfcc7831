"""How the segment files of an index are opened: mapped or read, compared with their checksums or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hashnet import _core
from hashnet.errors import DamagedError
from hashnet.index.manifest import SegmentEntry

# Comparing checksums reads every byte: half a second for this many where they are cached, minutes for an
# index of a billion codes that must come from a disk.
VERIFY_UP_TO = 1 << 30


@dataclass(frozen=True)
class Opening:
    """How segments are opened; ``verify`` None compares checksums of few bytes, or where all are read."""

    preload: bool = False
    verify: bool | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.preload, bool):
            raise TypeError(f"preload must be a bool, got {type(self.preload).__name__}")
        if self.verify is not None and not isinstance(self.verify, bool):
            raise TypeError(f"verify must be a bool or None, got {type(self.verify).__name__}")

    def verifies(self, entries: Sequence[SegmentEntry]) -> bool:
        """Return whether all bytes of ``entries``, which are opened together, are to be checked."""
        if self.verify is not None:
            return self.verify
        return self.preload or sum(entry.file.size for entry in entries) <= VERIFY_UP_TO


def open_segment(
    path: Path, entry: SegmentEntry, *, n_bits: int, preload: bool, verify: bool
) -> _core.Segment:
    """Open the segment file that ``entry`` lists; raises DamagedError if it is not that."""
    try:
        segment = _core.Segment.open(str(path), copy=preload, verify=verify)
    except FileNotFoundError as error:
        raise DamagedError(path, "the file is missing") from error
    except _core.DamagedSegmentError as error:
        raise DamagedError(path, str(error)) from error
    got = (segment.n_bits, segment.size, segment.checksum, segment.n_rows, segment.n_distinct)
    wanted = (n_bits, entry.file.size, entry.file.checksum, entry.n_rows, entry.n_distinct)
    if got != wanted:
        raise DamagedError(path, "it is a segment, but not the one that the manifest lists")
    return segment
