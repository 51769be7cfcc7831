"""The manifest of an index directory: the committed list of its parts, as checksummed JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hashnet import _core
from hashnet.codes import check_n_bits
from hashnet.errors import DamagedError
from hashnet.index.layout import DEFAULT_LAYOUT, LayoutOptions

FORMAT = "hashnet-index"
VERSION = 1
# A manifest lists segments of up to 4e9 codes; this bounds what an untrusted file can make us read.
MAX_MANIFEST_BYTES = 64 << 20

_SAFE_FILE = re.compile(r"[0-9]{6,}\.(seg|keys\.parquet)")


@dataclass(frozen=True)
class FileEntry:
    """A file under ``segments/``, with what it must be: size in bytes and CRC-32C.

    For a segment the checksum is that of its header, which holds the checksums of all its sections; for
    any other file it is that of the whole file.
    """

    name: str
    size: int
    checksum: int

    def __post_init__(self) -> None:
        # The name becomes a path: it must not lead out of the index directory.
        if not isinstance(self.name, str) or not _SAFE_FILE.fullmatch(self.name):
            raise ValueError(f"file name {self.name!r} is not one of an index")
        _check_counts(size=self.size, checksum=self.checksum)


@dataclass(frozen=True)
class SegmentEntry:
    """One immutable segment: its files and the range of its ids."""

    file: FileEntry
    n_rows: int
    n_distinct: int
    min_id: int
    max_id: int
    keys: FileEntry | None = None

    def __post_init__(self) -> None:
        _check_counts(n_rows=self.n_rows, n_distinct=self.n_distinct, min_id=self.min_id, max_id=self.max_id)


@dataclass(frozen=True)
class Manifest:
    """One committed state of an index. ``tombstones`` lists files of deleted ids; none are written yet.

    ``layout`` is what later segments are built with; manifests of older versions lack it.
    """

    n_bits: int
    fingerprint: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    generation: int = 0
    next_segment: int = 0
    segments: tuple[SegmentEntry, ...] = ()
    tombstones: tuple[FileEntry, ...] = ()
    layout: LayoutOptions = DEFAULT_LAYOUT

    @property
    def n_rows(self) -> int:
        """Rows of all segments."""
        return sum(segment.n_rows for segment in self.segments)

    def part(self, numbers: Sequence[int] | slice | None) -> tuple[SegmentEntry, ...]:
        """Return the segments at these positions, all for None; raises ValueError for an absent one."""
        if numbers is None:
            return self.segments
        if isinstance(numbers, slice):
            return self.segments[numbers]
        for number in numbers:
            if not 0 <= number < len(self.segments):
                raise ValueError(f"segments must be from 0 to {len(self.segments) - 1}, got {number}")
        return tuple(self.segments[number] for number in numbers)

    def to_bytes(self) -> bytes:
        """Return the manifest as JSON whose last member is the CRC-32C of all the others."""
        body = {"format": FORMAT, "version": VERSION, **asdict(self)}
        body["checksum"] = _checksum(body)
        return json.dumps(body, indent=1).encode()


def parse_manifest(data: bytes, path: Path) -> Manifest:
    """Return the manifest in ``data``; raises DamagedError, naming ``path``, for anything unexpected."""
    try:
        body = json.loads(data)
        if not isinstance(body, dict) or body.get("format") != FORMAT:
            raise ValueError("not the manifest of a hashnet index")
        if body.get("version") != VERSION:
            raise ValueError(f"format version {body.get('version')}, this hashnet reads version {VERSION}")
        stored = body.pop("checksum", None)
        if stored != _checksum(body):
            raise ValueError("checksum differs")
        segments = tuple(segment_from_json(entry) for entry in body["segments"])
        n_bits = check_n_bits(body["n_bits"])
        manifest = Manifest(
            n_bits=n_bits,
            fingerprint=body["fingerprint"],
            metadata=dict(body["metadata"]),
            generation=body["generation"],
            next_segment=body["next_segment"],
            segments=segments,
            tombstones=tuple(FileEntry(**entry) for entry in body["tombstones"]),
            layout=LayoutOptions(**body.get("layout", {})).check(n_bits),
        )
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise DamagedError(path, str(error)) from error
    if manifest.tombstones:
        raise DamagedError(path, "it has tombstones, which this hashnet cannot apply; use a newer one")
    return manifest


def segment_from_json(entry: dict[str, Any]) -> SegmentEntry:
    """Return the segment entry that ``asdict`` took apart; ValueError, TypeError or KeyError for others."""
    keys = entry["keys"]
    return SegmentEntry(
        file=FileEntry(**entry["file"]),
        n_rows=entry["n_rows"],
        n_distinct=entry["n_distinct"],
        min_id=entry["min_id"],
        max_id=entry["max_id"],
        keys=None if keys is None else FileEntry(**keys),
    )


def _checksum(body: dict[str, Any]) -> int:
    return _core.crc32c(json.dumps(body, sort_keys=True, separators=(",", ":")).encode())


def _check_counts(**counts: object) -> None:
    for name, value in counts.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise ValueError(f"{name} must be an int >= 0, got {value!r}")
