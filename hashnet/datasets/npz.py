"""Arrays of an untrusted .npz archive: bounded, without pickle, mapped where they are stored uncompressed."""

from __future__ import annotations

import math
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from hashnet.errors import DamagedError

# A compressed member may inflate a thousandfold; more than this is not held in memory.
MAX_INFLATED_BYTES = 4 * 2**30
# Checking the CRC of a mapped member reads it all; beyond this size opening would take minutes.
MAX_CHECKED_BYTES = 256 * 2**20
_LOCAL_HEADER_BYTES = 30
# What zipfile and numpy raise for archives and headers that are not what they claim.
_IRREGULAR = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    RuntimeError,  # also for a compression method that this Python lacks
    SyntaxError,
    TypeError,
    ValueError,
)


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of ``path`` by name, read-only; raise DamagedError for anything irregular."""
    # An unreadable file raises OSError here; below, an OSError is a seek to an impossible place.
    with path.open("rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                return {
                    info.filename.removesuffix(".npy"): _read_member(path, archive, info)
                    for info in archive.infolist()
                    if info.filename.endswith(".npy")
                }
        except _IRREGULAR as error:
            raise DamagedError(path, f"not a readable .npz archive ({error})") from error


def _read_member(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> NDArray[Any]:
    with archive.open(info) as member:
        version = npy.read_magic(member)
        read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read_header(member)
        start = member.tell()
        if dtype.hasobject:
            raise DamagedError(path, f"{info.filename} holds pickled objects, which are never loaded")
        n_bytes = math.prod(shape) * dtype.itemsize
        if min(shape, default=0) < 0 or start + n_bytes != info.file_size:
            raise DamagedError(
                path,
                f"{info.filename} claims shape {shape} of {dtype}, but holds {info.file_size - start} bytes",
            )
        order: Literal["C", "F"] = "F" if fortran else "C"
        if info.compress_type != zipfile.ZIP_STORED:
            if n_bytes > MAX_INFLATED_BYTES:
                raise DamagedError(
                    path, f"{info.filename} inflates to {n_bytes} bytes, the limit is {MAX_INFLATED_BYTES}"
                )
            return np.frombuffer(member.read(n_bytes), dtype=dtype).reshape(shape, order=order)
    data_at = _data_offset(path, info)
    if data_at + info.file_size > path.stat().st_size:
        raise DamagedError(path, f"{info.filename} is truncated")
    if n_bytes == 0:
        return np.empty(shape, dtype=dtype, order=order)
    if info.file_size <= MAX_CHECKED_BYTES:
        whole = np.memmap(path, dtype=np.uint8, mode="r", offset=data_at, shape=(info.file_size,))
        if zlib.crc32(whole.data) != info.CRC:
            raise DamagedError(path, f"{info.filename} fails its CRC")
    return np.memmap(path, dtype=dtype, mode="r", offset=data_at + start, shape=shape, order=order)


def _data_offset(path: Path, info: zipfile.ZipInfo) -> int:
    with path.open("rb") as file:
        file.seek(info.header_offset)
        header = file.read(_LOCAL_HEADER_BYTES)
    if (
        len(header) < _LOCAL_HEADER_BYTES
        or header[:4] != b"PK\x03\x04"
        or info.compress_size != info.file_size
    ):
        raise DamagedError(path, f"{info.filename} has a broken header")
    # The local header's name and extra field may differ in length from the central directory's.
    return (
        info.header_offset
        + _LOCAL_HEADER_BYTES
        + int.from_bytes(header[26:28], "little")
        + int.from_bytes(header[28:30], "little")
    )
