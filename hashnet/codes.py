"""Packed binary codes: the one layout that every part of hashnet reads and writes.

``codes`` is uint8, C-contiguous, of shape ``(n, n_bits / 8)``. A bit is 1 where the relaxed code is
greater than 0; the first dimension is the most significant bit of byte 0, as ``numpy.packbits`` has it.
Codes are never converted silently: what is not in this layout is refused.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.uint8]
Ids = NDArray[np.int64]

MIN_BITS = 8
MAX_BITS = 1024


def check_n_bits(n_bits: int) -> int:
    """Return ``n_bits`` if it is a multiple of 8 from 8 to 1024, else raise TypeError or ValueError."""
    if isinstance(n_bits, bool) or not isinstance(n_bits, int | np.integer):
        raise TypeError(f"n_bits must be an int, got {type(n_bits).__name__}")
    n_bits = int(n_bits)
    if n_bits % 8:
        raise ValueError(f"n_bits must be a multiple of 8, got {n_bits}; pad the codes with zero bits")
    if not MIN_BITS <= n_bits <= MAX_BITS:
        raise ValueError(f"n_bits must be from {MIN_BITS} to {MAX_BITS}, got {n_bits}")
    return n_bits


def check_codes(codes: Any, n_bits: int, *, name: str = "codes") -> Codes:
    """Return ``codes`` unchanged if they are packed codes of ``n_bits`` bits.

    Raises TypeError for anything but a uint8 numpy array and ValueError for a wrong shape or memory
    order. Nothing is copied or converted; a single code is ``codes[None, :]``.
    """
    if not isinstance(codes, np.ndarray):
        raise TypeError(
            f"{name} must be a numpy array of uint8, got {type(codes).__name__}; "
            "use hashnet.pack(relaxed) or np.asarray(..., dtype=np.uint8)"
        )
    if codes.dtype != np.uint8:
        raise TypeError(
            f"{name} must have dtype uint8 (packed bits), got {codes.dtype}; "
            "pack relaxed codes or single bits with hashnet.pack"
        )
    n_bytes = n_bits // 8
    if codes.ndim != 2 or codes.shape[1] != n_bytes:
        raise ValueError(
            f"{name} must have shape (n, {n_bytes}) for n_bits={n_bits}, got {codes.shape}"
            + ("; pass one code as code[None, :]" if codes.ndim == 1 else "")
        )
    if not codes.flags.c_contiguous:
        raise ValueError(f"{name} must be C-contiguous; pass np.ascontiguousarray({name})")
    return codes


def check_ids(ids: Any, n: int) -> Ids:
    """Return ``ids`` unchanged if they are ``n`` distinct int64 values >= 0 (-1 pads answers)."""
    if not isinstance(ids, np.ndarray):
        raise TypeError(f"ids must be a numpy array of int64, got {type(ids).__name__}")
    if ids.dtype != np.int64:
        raise TypeError(f"ids must have dtype int64, got {ids.dtype}; pass ids.astype(np.int64)")
    if ids.shape != (n,):
        raise ValueError(f"ids must have shape ({n},), one for each code, got {ids.shape}")
    if n and int(ids.min()) < 0:
        raise ValueError(f"ids must be >= 0, got {int(ids.min())}; -1 marks missing neighbours in answers")
    return np.ascontiguousarray(ids)


def pack(relaxed: NDArray[Any]) -> Codes:
    """Pack relaxed codes ``(n, n_bits)``, or bits as bool, into codes ``(n, n_bits / 8)``; bit = value > 0.

    Raises ValueError for NaN, which has no sign, and for an n_bits that is not a multiple of 8.
    """
    if not isinstance(relaxed, np.ndarray):
        raise TypeError(f"relaxed codes must be a numpy array, got {type(relaxed).__name__}")
    if relaxed.dtype.kind not in "fbiu":
        raise TypeError(f"relaxed codes must be real numbers or bool, got dtype {relaxed.dtype}")
    if relaxed.ndim != 2:
        raise ValueError(f"relaxed codes must have shape (n, n_bits), got {relaxed.shape}")
    check_n_bits(relaxed.shape[1])
    if relaxed.dtype.kind == "f" and np.isnan(relaxed).any():
        row = int(np.flatnonzero(np.isnan(relaxed).any(axis=1))[0])
        raise ValueError(f"relaxed code {row} has NaN; a bit is value > 0, and NaN has no sign")
    # In the order of columns for an array in Fortran's order, as a transposed one is; codes are rows.
    return np.ascontiguousarray(np.packbits(relaxed > 0, axis=1))


def unpack(codes: Codes) -> NDArray[np.uint8]:
    """Unpack codes ``(n, n_bytes)`` into bits ``(n, n_bits)`` of 0 and 1."""
    if not isinstance(codes, np.ndarray) or codes.ndim != 2:
        raise ValueError(f"codes must be an array of shape (n, n_bytes), got {np.shape(codes)}")
    check_codes(codes, check_n_bits(codes.shape[1] * 8))
    return np.unpackbits(codes, axis=1)
