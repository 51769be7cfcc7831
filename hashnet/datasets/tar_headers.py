"""The members of an untrusted tar file (ustar, GNU, pax), read header by header within bounds.

Python's tarfile takes a damaged header in the middle of a file for its end, and reads pax headers of any
size into memory. Here a tar file is whole, with its end marker, or damaged.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple, Protocol

BLOCK = 512
# Long names and pax records; PATH_MAX is 4 KiB.
MAX_HEADER_BYTES = 2**20

_ZERO = bytes(BLOCK)
_PIECE_BYTES = 2**20
_REGULAR, _LINKS, _WITHOUT_DATA = b"0\x007", b"12", b"123456"
_LONG_NAME, _LONG_LINK, _SPARSE = b"L", b"K", b"S"
_PAX, _PAX_GLOBAL = b"xX", b"g"
_OCTAL = re.compile(rb"[ \0]*([0-7]+)[ \0]*")


class Bytes(Protocol):
    """Something to read from at any offset."""

    @property
    def size(self) -> int:
        """Bytes there are."""

    def read(self, offset: int, n: int) -> bytes:
        """Return up to ``n`` bytes from ``offset``; fewer only at the end."""


class Member(NamedTuple):
    """A member: its name, where its headers begin, where its ``size`` bytes lie, and what it is."""

    name: str
    header_at: int
    data_at: int
    size: int
    is_file: bool
    is_link: bool


def members(tar: Bytes, start: int = 0) -> Iterator[Member]:
    """Yield the members from ``start``, where the headers of one begin; raise ValueError for any damage.

    Past the last member the end marker and nothing but zeros behind it are checked.
    """
    at = start
    while True:
        header_at = at
        name: str | None = None
        size: int | None = None
        while True:
            header = tar.read(at, BLOCK)
            if header == _ZERO:
                if at != header_at:
                    raise ValueError(f"it ends between a long name and its member (byte {at})")
                _check_rest(tar, at)
                return
            kind, own_size = _check_header(header, at)
            at += BLOCK
            if kind not in _LONG_NAME + _LONG_LINK + _PAX + _PAX_GLOBAL:
                break
            data = _header_data(tar, at, own_size)
            at += _padded(own_size)
            if kind == _LONG_NAME:
                name = _text(data)
            elif kind in _PAX:
                records = _pax_records(data, at)
                name = _text(records[b"path"]) if b"path" in records else name
                size = _pax_size(records[b"size"], at) if b"size" in records else size
            elif kind == _PAX_GLOBAL and {b"path", b"size"} & set(_pax_records(data, at)):
                raise ValueError("a global pax header gives all members one name or size")
        if kind == _SPARSE:
            raise ValueError(f"the member at byte {header_at} is sparse, which is not read; pack it anew")
        size = own_size if size is None else size
        stored = 0 if kind in _WITHOUT_DATA else size
        if at + stored > tar.size:
            raise ValueError(
                f"the member at byte {header_at} has {stored} bytes, of which {tar.size - at} are there"
            )
        name = _ustar_name(header) if name is None else name
        is_file = kind in _REGULAR and not name.endswith("/")
        yield Member(name, header_at, at, stored, is_file, kind in _LINKS)
        at += _padded(stored)


def _check_header(header: bytes, at: int) -> tuple[bytes, int]:
    """Return kind and size of a header block whose checksum is right."""
    if not header:
        raise ValueError(f"it ends at byte {at} without an end marker; it was cut off")
    if len(header) < BLOCK:
        raise ValueError(f"the header at byte {at} is cut off")
    # The checksum field itself counts as spaces.
    total = sum(header) - sum(header[148:156]) + 8 * ord(" ")
    if _number(header[148:156], at) != total:
        raise ValueError(f"what stands at byte {at} is no tar header (wrong checksum)")
    return header[156:157], _number(header[124:136], at)


def _number(field: bytes, at: int) -> int:
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    match = _OCTAL.fullmatch(field)
    # A field of no digits is zero in some old archives.
    if match is None and field.strip(b" \0"):
        raise ValueError(f"the header at byte {at} has the number {field!r}")
    return 0 if match is None else int(match[1], 8)


def _header_data(tar: Bytes, at: int, size: int) -> bytes:
    if size > MAX_HEADER_BYTES:
        raise ValueError(
            f"the extended header at byte {at} has {size} bytes, the limit is {MAX_HEADER_BYTES}"
        )
    data = tar.read(at, size)
    if len(data) < size:
        raise ValueError(f"the extended header at byte {at} is cut off")
    return data


def _pax_records(data: bytes, at: int) -> dict[bytes, bytes]:
    """Return the records ``length key=value``, where the length counts the whole record."""
    records: dict[bytes, bytes] = {}
    while data:
        digits, space, _ = data[:20].partition(b" ")
        length = int(digits) if space and digits.isdigit() else 0
        key, equals, value = data[len(digits) + 1 : length].partition(b"=")
        if not len(digits) + 3 < length <= len(data) or not equals or not value.endswith(b"\n"):
            raise ValueError(f"the pax header before byte {at} is damaged")
        if key.startswith(b"GNU.sparse."):
            raise ValueError(f"the member at byte {at} is sparse, which is not read; pack it anew")
        records[key] = value[:-1]
        data = data[length:]
    return records


def _pax_size(value: bytes, at: int) -> int:
    if not value.isdigit() or len(value) > 18:
        raise ValueError(f"the pax header before byte {at} has the size {value[:20]!r}")
    return int(value)


def _ustar_name(header: bytes) -> str:
    name = header[:100].split(b"\0", 1)[0]
    # GNU headers have other fields in the place of the prefix.
    prefix = header[345:500].split(b"\0", 1)[0] if header[257:263] == b"ustar\0" else b""
    return _text(prefix + b"/" + name if prefix else name)


def _text(raw: bytes) -> str:
    return raw.split(b"\0", 1)[0].decode("utf-8", "backslashreplace")


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _check_rest(tar: Bytes, at: int) -> None:
    while piece := tar.read(at, _PIECE_BYTES):
        if piece.strip(b"\0"):
            raise ValueError(f"there is more behind its end marker (byte {at}): were archives joined?")
        at += len(piece)
