"""Where the codes of an index come from on the command line, and in how much memory it is built."""

from __future__ import annotations

import re
from pathlib import Path

from hashnet.codes import Codes
from hashnet.encoding import CodeStore
from hashnet.index import open_codes
from hashnet.index.code_files import SUFFIXES

_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,15})?)\s*([KMGT]?)(iB|B)?", re.IGNORECASE)
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}


def open_source(path: Path, n_bits: int | None) -> CodeStore | Codes:
    """Return the code store at ``path``, or the codes of a file, mapped; ``n_bits`` is for files only."""
    if path.is_file() or (path.suffix in SUFFIXES and not path.exists()):
        return open_codes(path, n_bits=n_bits)
    if n_bits is not None:
        raise ValueError(f"--n-bits is for code files, and {path} is none: a code store knows its own")
    return CodeStore.open(path)


def parse_memory(text: str | None) -> int | None:
    """Return the bytes that an amount like 512M, 4G or 4GiB means, None for None; else ValueError.

    K, M, G and T are powers of 1024, alone and with iB; with B alone they are powers of 1000.
    """
    if text is None:
        return None
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"--memory must be an amount of memory like 512M, 4G or 4GiB, got {text!r}")
    number, letter, unit = match[1], match[2].upper(), (match[3] or "").lower()
    base = 1000 if letter and unit == "b" else 1024
    return int(float(number) * base ** _POWERS[letter])
