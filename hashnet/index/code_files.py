"""Code files: packed codes in one plain file, mapped instead of read, so that any size can be opened.

.npy         uint8 (n, n_bits / 8) in C order, as numpy.save writes it
.u8bin       uint32 n, uint32 bytes a code, both little-endian, then the rows (the form of BIGANN)
.bin, .raw   the rows alone; n_bits must be told
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.lib import format as npy

from hashnet.codes import Codes, check_n_bits
from hashnet.errors import DamagedError

SUFFIXES = (".npy", ".u8bin", ".bin", ".raw")

_U8BIN_HEADER = struct.Struct("<II")
_ALLOWED = "a code file ends in .npy, .u8bin, .bin or .raw"


class _Rows(NamedTuple):
    """Where the rows of a file lie, as its header tells: ``n`` rows of ``n_bytes`` from ``offset``."""

    offset: int
    n: int
    n_bytes: int


def open_codes(path: str | Path, *, n_bits: int | None = None) -> Codes:
    """Map a code file; return its codes, uint8 ``(n, n_bits / 8)``, C-contiguous and read-only.

    The suffix tells the form. ``n_bits`` is needed for .bin and .raw, and compared with the header of the
    others. Nothing is read but the header, and nothing is copied; the file must keep its length as long as
    the array is used. Raises FileNotFoundError; DamagedError where header and size of a file contradict each
    other; TypeError or ValueError where it is whole but holds something else than at least one code.
    """
    path = Path(path)
    if n_bits is not None:
        n_bits = check_n_bits(n_bits)
    if path.suffix not in SUFFIXES:
        raise ValueError(f"{path} has the suffix {path.suffix!r}, but {_ALLOWED}; rename it after its form")
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist or is not a file; {_ALLOWED}")
    size = path.stat().st_size
    if size == 0:
        raise ValueError(f"{path} is empty; a code file holds at least one code")
    if path.suffix == ".npy":
        rows = _npy_rows(path)
    elif path.suffix == ".u8bin":
        rows = _u8bin_rows(path, size)
    else:
        rows = _plain_rows(path, size, n_bits)
    if rows.n == 0:
        raise ValueError(f"{path} holds no codes; a code file holds at least one")
    _check_width(path, rows.n_bytes, n_bits)
    wanted = rows.offset + rows.n * rows.n_bytes
    if size != wanted:
        raise DamagedError(
            path, f"its header tells of {rows.n} codes of {rows.n_bytes} bytes, {wanted} bytes, it has {size}"
        )
    return np.memmap(path, dtype=np.uint8, mode="r", offset=rows.offset, shape=(rows.n, rows.n_bytes))


def _npy_rows(path: Path) -> _Rows:
    with path.open("rb") as file:
        if file.read(len(npy.MAGIC_PREFIX)) != npy.MAGIC_PREFIX:
            raise ValueError(f"{path} is not an .npy file; save packed codes (uint8) with np.save")
        file.seek(0)
        try:
            version = npy.read_magic(file)
            # Version 3 differs from 2 only in names of fields, which codes have none of.
            read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            shape, fortran_order, dtype = read(file)
        except ValueError as error:
            # Only the first sentence: numpy goes on with advice to trust the file.
            raise DamagedError(path, str(error).split(".", maxsplit=1)[0]) from error
        offset = file.tell()
    if dtype != np.uint8:
        raise TypeError(f"{path} must hold uint8 (packed bits), got {dtype}; pack codes with hashnet.pack")
    if len(shape) != 2 or min(shape) < 0:
        raise ValueError(f"{path} must have shape (n, n_bits / 8), got {shape}")
    if fortran_order and min(shape) > 1:
        raise ValueError(f"{path} is in Fortran order; save np.ascontiguousarray(codes)")
    return _Rows(offset, *shape)


def _u8bin_rows(path: Path, size: int) -> _Rows:
    if size < _U8BIN_HEADER.size:
        raise DamagedError(path, f"it has {size} bytes, the header alone takes {_U8BIN_HEADER.size}")
    with path.open("rb") as file:
        n, n_bytes = _U8BIN_HEADER.unpack(file.read(_U8BIN_HEADER.size))
    return _Rows(_U8BIN_HEADER.size, n, n_bytes)


def _plain_rows(path: Path, size: int, n_bits: int | None) -> _Rows:
    if n_bits is None:
        raise ValueError(f"{path} has no header that tells the length of a code; give n_bits (--n-bits)")
    n_bytes = n_bits // 8
    if size % n_bytes:
        raise ValueError(
            f"{path} must be whole codes of {n_bytes} bytes for n_bits={n_bits}, got {size} bytes; give the "
            "n_bits that it was written with"
        )
    return _Rows(0, size // n_bytes, n_bytes)


def _check_width(path: Path, n_bytes: int, n_bits: int | None) -> None:
    try:
        held = check_n_bits(n_bytes * 8)
    except ValueError as error:
        raise ValueError(f"{path} holds rows of {n_bytes} bytes: {error}") from error
    if n_bits is not None and n_bits != held:
        raise ValueError(f"{path} holds codes of {held} bits, but n_bits={n_bits} was given; leave it out")
