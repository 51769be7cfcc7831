"""Reading and altering the records of a segment file, with checksums that fit what was altered."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from hashnet import _core

HEADER = struct.Struct("<8sIIQQQIII12s")
TABLE_BYTES = 48
RECORD = struct.Struct("<IIQQII")


class Kind(IntEnum):
    """Kinds of sections, as in csrc/storage/format.hpp."""

    IDS32 = 1
    IDS64 = 2
    RUN_STARTS = 3
    ROWS = 4
    DIRECTORY = 5
    BLOCKS = 6
    POSITIONS = 7
    BLOCK_CELLS = 8
    BIT_ORDER = 9
    RUN_BITS = 10
    RUN_SAMPLES = 11
    RUN_RANKS = 12


@dataclass
class Section:
    """One section: what it is and its bytes."""

    kind: int
    table: int
    offset: int
    size: int


class SegmentFile:
    """The bytes of a segment, to be altered."""

    def __init__(self, path: Path) -> None:
        self.data = bytearray(path.read_bytes())
        self.header = list(HEADER.unpack_from(self.data))
        self.records_at = HEADER.size + TABLE_BYTES * self.header[6]
        self.sections = []
        for i in range(self.header[7]):
            kind, table, offset, size, _, _ = RECORD.unpack_from(self.data, self.records_at + RECORD.size * i)
            self.sections.append(Section(kind, table, offset, size))

    def section(self, kind: Kind, table: int = 0) -> Section | None:
        """Return the section of this kind, None if the file has none."""
        return next((s for s in self.sections if (s.kind, s.table) == (kind, table)), None)

    def append(self, kind: Kind, content: bytes) -> None:
        """Add a section at the end; the header has room for a few more records."""
        self.sections.append(Section(kind, 0, len(self.data), len(content)))
        self.data += content + bytes(-len(content) % 64)

    def write(self, path: Path) -> None:
        """Write the file with all checksums made to fit."""
        for i, s in enumerate(self.sections):
            crc = _core.crc32c(bytes(self.data[s.offset : s.offset + s.size]))
            RECORD.pack_into(
                self.data, self.records_at + RECORD.size * i, s.kind, s.table, s.offset, s.size, crc, 0
            )
        self.header[5] = len(self.data)
        self.header[7] = len(self.sections)
        self.header[8] = 0
        HEADER.pack_into(self.data, 0, *self.header)
        end = self.records_at + RECORD.size * len(self.sections)
        self.header[8] = _core.crc32c(bytes(self.data[:end]))
        HEADER.pack_into(self.data, 0, *self.header)
        path.write_bytes(self.data)
