"""Codes as text: hex, base64 or lists of bytes to packed codes, with every bound checked before decoding."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Literal

import numpy as np

from hashnet.codes import Codes

from .problems import ApiError

Encoding = Literal["hex", "base64", "array"]


def decode_codes(texts: Sequence[str | Sequence[int]], encoding: Encoding, *, n_bits: int) -> Codes:
    """Return the packed codes ``(n, n_bits / 8)`` of ``texts``, one code each.

    hex and base64 (standard alphabet, padded) give the bytes of a code in order, ``array`` lists them. Raises
    ApiError("invalid_codes") with the position of the first text that is no code of ``n_bits`` bits.
    """
    n_bytes = n_bits // 8
    length = {"hex": 2 * n_bytes, "base64": 4 * ((n_bytes + 2) // 3), "array": n_bytes}[encoding]
    what = {"hex": "hex digits", "base64": "characters of base64", "array": "bytes"}[encoding]
    codes = np.empty((len(texts), n_bytes), dtype=np.uint8)
    for i, text in enumerate(texts):
        if isinstance(text, str) == (encoding == "array"):
            wanted = "a list of bytes" if encoding == "array" else "a string"
            raise ApiError("invalid_codes", f"codes[{i}] must be {wanted} for encoding {encoding}")
        if len(text) != length:
            raise ApiError(
                "invalid_codes",
                f"codes[{i}] must have {length} {what} for n_bits={n_bits}, got {len(text)}",
            )
        code = _decoded(text, encoding)
        # Two texts of base64 with as many characters may hold different numbers of bytes.
        if code is None or len(code) != n_bytes:
            raise ApiError("invalid_codes", f"codes[{i}] is not {_NAMES[encoding]}")
        codes[i] = np.frombuffer(code, dtype=np.uint8)
    return codes


_NAMES = {
    "hex": "hex: digits 0-9 and a-f",
    "base64": "base64 of as many bytes, in the standard alphabet, padded with =",
    "array": "a list of bytes, integers from 0 to 255",
}


def _decoded(text: str | Sequence[int], encoding: Encoding) -> bytes | None:
    try:
        if not isinstance(text, str):
            return bytes(text)
        if encoding == "base64":
            return base64.b64decode(text, validate=True)
        return binascii.unhexlify(text)
    except ValueError:
        return None


def hex_of(codes: Codes) -> list[str]:
    """Return each code as hex."""
    text = codes.tobytes().hex()
    width = 2 * codes.shape[1]
    return [text[at : at + width] for at in range(0, len(text), width)]


def base64_of(codes: Codes) -> list[str]:
    """Return each code as base64."""
    return [base64.b64encode(code.tobytes()).decode("ascii") for code in codes]
