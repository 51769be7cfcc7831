"""Tokens of Ray clusters: a fresh one for a Ray of our own, the user's for one that is joined (no Ray here).

Ray's processes listen on all interfaces, and whoever reaches an open Ray can run code.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Container, MutableMapping
from pathlib import Path

from .addresses import LOCAL, chosen_address

TOKEN_BYTES = 32
# Where `ray get-auth-token --generate` puts it.
_TOKEN_FILE = Path(".ray") / "auth_token"


def demand_token(
    environment: MutableMapping[str, str] = os.environ,
    *,
    address: str | None = None,
    loaded: Container[str] = sys.modules,
    home: Path | None = None,
) -> bool:
    """Settle how this process, which is to start or join the Ray at ``address``, proves itself.

    A Ray of its own ("local", or None without RAY_ADDRESS) refuses whoever lacks a fresh random token. For a
    cluster that is joined the user's token is presented, if there is one: in RAY_AUTH_TOKEN, in the file that
    RAY_AUTH_TOKEN_PATH names, or in ``~/.ray/auth_token``; a made-up one would be refused there. An open
    cluster can be joined either way.

    Ray reads the settings when it is imported, so this comes first; it is for programs that own their
    process, as the commands do. Nothing changes, and False is returned, where Ray is loaded already, the
    caller has chosen ``RAY_AUTH_MODE``, or a cluster is joined without any token.
    """
    if "ray" in loaded or "RAY_AUTH_MODE" in environment:
        return False
    if chosen_address(address, environment) == LOCAL:
        environment["RAY_AUTH_TOKEN"] = secrets.token_hex(TOKEN_BYTES)
    elif not _has_token(environment, home or Path.home()):
        return False
    environment["RAY_AUTH_MODE"] = "token"
    return True


def _has_token(environment: MutableMapping[str, str], home: Path) -> bool:
    if environment.get("RAY_AUTH_TOKEN") or environment.get("RAY_AUTH_TOKEN_PATH"):
        return True
    return (home / _TOKEN_FILE).is_file()
