"""Keys that open a service: each has scopes, none is kept in the clear, all are compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

Scope = Literal["read", "admin"]

ENVIRONMENT = "HASHNET_KEYS"
SCOPES: tuple[Scope, ...] = get_args(Scope)
# As many characters as 128 random bits have in base64.
LEAST_LENGTH = 22

_KEY = re.compile(r"[A-Za-z0-9._~+/=-]+")
_HOW = (
    "write one key a line as `read KEY`, `admin KEY` or `read,admin KEY`, "
    "with keys like `openssl rand -hex 32`"
)


@dataclass(frozen=True)
class Keys:
    """The SHA-256 digests of keys with the scopes of each.

    A key has just the scopes it was given: one for admin alone does not search. Without any key reading is
    open to whoever reaches the service; administration always needs a key.
    """

    digests: tuple[tuple[bytes, frozenset[Scope]], ...] = ()

    def guards(self, scope: Scope) -> bool:
        """Return whether ``scope`` needs a key."""
        return scope == "admin" or bool(self.digests)

    def scopes_of(self, key: str) -> frozenset[Scope]:
        """Return the scopes of ``key``, none for an unknown one; the time it takes does not depend on it."""
        digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
        found: frozenset[Scope] = frozenset()
        for known, scopes in self.digests:
            # Every known key is compared, found or not.
            if hmac.compare_digest(known, digest):
                found = found | scopes
        return found

    def __repr__(self) -> str:
        return f"Keys({len(self.digests)})"


def parse_keys(text: str, *, source: str) -> Keys:
    """Return the keys in ``text``: a line each, ``SCOPE[,SCOPE] KEY``; ``#`` begins a comment.

    Raises ValueError with ``source`` and the line number, never with a key, for any other line, and for no
    key at all.
    """
    digests: list[tuple[bytes, frozenset[Scope]]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        where = f"{source}, line {number}"
        if len(words) != 2:
            raise ValueError(f"{where} must have scopes and a key, got {len(words)} words; {_HOW}")
        names, key = words[0].split(","), words[1]
        scopes = frozenset(scope for scope in SCOPES if scope in names)
        if len(scopes) != len(names):
            raise ValueError(f"{where}: scopes must be of {', '.join(SCOPES)}; {_HOW}")
        if len(key) < LEAST_LENGTH or not _KEY.fullmatch(key):
            raise ValueError(
                f"{where}: a key must have at least {LEAST_LENGTH} letters, digits or any of ._~+/=- ; {_HOW}"
            )
        digests.append((hashlib.sha256(key.encode()).digest(), scopes))
    if not digests:
        raise ValueError(f"{source} has no keys; {_HOW}")
    return Keys(tuple(digests))


def load_keys(file: Path | None, *, environment: Mapping[str, str] = os.environ) -> Keys:
    """Return the keys in ``file``, else those in the variable HASHNET_KEYS (lines or ``;``), else none.

    Raises ValueError for a file that every user of the machine may read, and as ``parse_keys`` does.
    """
    if file is not None:
        if file.stat().st_mode & stat.S_IROTH:
            raise ValueError(f"every user of this machine can read the keys in {file}; chmod 600 {file}")
        return parse_keys(file.read_text(encoding="utf-8"), source=str(file))
    text = environment.get(ENVIRONMENT)
    if text is None:
        return Keys()
    return parse_keys(text.replace(";", "\n"), source=f"environment variable {ENVIRONMENT}")
