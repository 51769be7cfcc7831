"""Where a Ray is to be found: what ``--ray`` and RAY_ADDRESS mean (no Ray here)."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from typing import NamedTuple

LOCAL = "local"
AUTO = "auto"
# A machine that answers at all does so within a second, also across a continent.
CONNECT_TIMEOUT_S = 5.0

# RFC 9113, section 3.4: each side of HTTP/2, on which gRPC runs, begins with a SETTINGS frame (type 4).
_SETTINGS_FRAME = b"\x04"
_FRAME_HEADER_BYTES = 9
_HTTP2_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0" + _SETTINGS_FRAME + b"\0\0\0\0\0"

_HOST_PORT = re.compile(r"(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):(?P<port>[0-9]{1,5})")
_RULE = "--ray takes auto (the cluster of this machine), local (one of its own) or HOST:PORT of a head node"


class Address(NamedTuple):
    """Host and port of the head node of a cluster."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def chosen_address(address: str | None, environment: Mapping[str, str] = os.environ) -> str:
    """Return "local", "auto" or HOST:PORT: what ``address`` says, and where it says nothing RAY_ADDRESS.

    None without RAY_ADDRESS is "local". "auto" follows RAY_ADDRESS where that is set, as everywhere in Ray.
    Raises ValueError for anything that is none of the three.
    """
    named = environment.get("RAY_ADDRESS", "").strip()
    if address is None:
        chosen, origin = named or LOCAL, "RAY_ADDRESS"
    elif address == AUTO and named:
        chosen, origin = named, "RAY_ADDRESS"
    else:
        chosen, origin = address, "--ray"
    if chosen not in (LOCAL, AUTO):
        parse_address(chosen, origin=origin)
    return chosen


def parse_address(text: str, *, origin: str = "--ray") -> Address:
    """Return host and port of ``text``, else raise ValueError; ``origin`` is where it was said."""
    if "://" in text:
        raise ValueError(
            f"{origin} is {text!r}, the address of a Ray client or job server; {_RULE}, like 10.0.0.1:6379: "
            "run the command on a machine of the cluster"
        )
    match = _HOST_PORT.fullmatch(text)
    if match is None or not 0 < int(match["port"]) < 1 << 16:
        raise ValueError(f"{origin} is {text!r}; {_RULE}, like 10.0.0.1:6379")
    return Address(match["host"].strip("[]"), int(match["port"]))


def check_reachable(address: Address, *, timeout_s: float = CONNECT_TIMEOUT_S) -> None:
    """Raise ConnectionError unless a gRPC server, as a head node runs one, answers within ``timeout_s``.

    Ray itself would try for a quarter of an hour, and not say what it is doing.
    """
    try:
        with socket.create_connection(address, timeout=timeout_s) as connection:
            connection.sendall(_HTTP2_GREETING)
            greeting = connection.recv(_FRAME_HEADER_BYTES)
        reason = "" if greeting[3:4] == _SETTINGS_FRAME else "what answers is another service"
    except OSError as error:
        reason = f"no answer within {timeout_s:g} s" if isinstance(error, TimeoutError) else str(error)
    if reason:
        raise ConnectionError(
            f"no Ray cluster answers at {address} ({reason}); start one there with `ray start --head "
            f"--port {address.port}`, correct the address, or pass --ray local to start one for this command"
        )


def why_not_joined(chosen: str, error: BaseException) -> str:
    """Return what to tell of an ``error`` of Ray that ended joining the cluster at ``chosen``."""
    reasons = f"{error} {error.__cause__ or ''}"
    if "InvalidAuthToken" in reasons or "uthentication" in reasons:
        return (
            f"the Ray cluster at {chosen} refuses the token of this process, or the lack of one; set "
            "RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN to what the cluster was started with"
        )
    if chosen == AUTO:
        return (
            "no Ray cluster runs on this machine, as --ray auto or RAY_ADDRESS has it; start one with "
            "`ray start --head`, give its HOST:PORT, or pass --ray local to start one for this command"
        )
    return (
        f"what answers at {chosen} is no Ray cluster that can be joined ({error}); give HOST:PORT of a "
        "head node with the same version of Ray"
    )
