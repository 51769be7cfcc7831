"""A token for the Ray that a command starts: its processes listen on all interfaces (no Ray here)."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Container, MutableMapping

TOKEN_BYTES = 32


def demand_token(
    environment: MutableMapping[str, str] = os.environ, *, loaded: Container[str] = sys.modules
) -> bool:
    """Have a Ray that this process starts later refuse whoever lacks a fresh random token.

    Ray reads the setting when it is imported, so this comes first; it is for programs that own their process,
    as the commands do. Nothing changes, and False is returned, where Ray is loaded already or the caller has
    chosen ``RAY_AUTH_MODE``. An open cluster can still be joined.
    """
    if "ray" in loaded or "RAY_AUTH_MODE" in environment:
        return False
    environment["RAY_AUTH_MODE"] = "token"
    environment["RAY_AUTH_TOKEN"] = secrets.token_hex(TOKEN_BYTES)
    return True
