"""Amounts of memory as people write them: 512M, 4G, 4GiB."""

from __future__ import annotations

import re

_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([KMGT]?)(iB|B)?", re.IGNORECASE)
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}


def parse_bytes(text: str, *, name: str) -> int:
    """Return the number of bytes that ``text`` means; ValueError, which says ``name``, for anything else.

    K, M, G and T are powers of 1024, alone and with iB; with B alone they are powers of 1000.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{name} must be an amount of memory like 512M, 4G or 4GiB, got {text!r}")
    number, letter, unit = match[1], match[2].upper(), (match[3] or "").lower()
    base = 1000 if letter and unit == "b" else 1024
    return int(float(number) * base ** _POWERS[letter])
