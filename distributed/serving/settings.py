"""What a service allows and how it works, checked once at the start."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field, fields

from .keys import Keys

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8000


@dataclass(frozen=True)
class ServiceSettings:
    """Limits and ways of working of one service; the defaults suit a machine with a few cores.

    What a request may cost: ``max_body_bytes``; ``max_queries`` and ``max_images`` in one request; ``max_k``;
    ``max_radius`` (None: up to n_bits); ``max_answers``, neighbours in one JSON answer; ``max_streamed``,
    neighbours of one query in a stream; ``max_pixels`` of an image before it is decoded. ``max_concurrent``
    requests are worked on at a time, others are told to come back; a body must arrive, and an answer be
    found, within ``timeout_s``.

    How it works: ``workers`` calls of the engine at a time, each with up to ``batch_queries`` queries of
    several requests (1: every request alone), on ``threads`` threads where the index is in this process. One
    query in ``explain_every`` is explained for the metrics (0: none). For indexes of up to ``code_table``
    codes the answer can have the codes of neighbours.
    """

    max_body_bytes: int = 16 << 20
    max_queries: int = 1024
    max_images: int = 16
    max_k: int = 10_000
    max_radius: int | None = None
    max_answers: int = 1_000_000
    max_streamed: int = 10_000_000
    max_pixels: int = 25_000_000
    max_concurrent: int = 64
    timeout_s: float = 30.0
    workers: int = 2
    threads: int = 1
    batch_queries: int = 256
    explain_every: int = 100
    code_table: int = 4_000_000
    keys: Keys = field(default_factory=Keys)

    def __post_init__(self) -> None:
        """Raise ValueError for a limit below its least value."""
        may_be_zero = {"explain_every", "code_table", "max_radius"}
        for one in fields(self):
            value = getattr(self, one.name)
            if not isinstance(value, int | float):
                continue
            least = 0 if one.name in may_be_zero else 1
            if value < least and one.name != "timeout_s":
                raise ValueError(f"{one.name} must be at least {least}, got {value}")
        if not 0 < self.timeout_s < float("inf"):
            raise ValueError(f"timeout_s must be a positive number of seconds, got {self.timeout_s}")


def is_loopback(host: str) -> bool:
    """Return whether ``host``, a name or an address, can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_host(host: str, keys: Keys) -> str:
    """Return ``host``; raise ValueError where others could reach a service that asks for no key."""
    if is_loopback(host) or keys.guards("read"):
        return host
    raise ValueError(
        f"host {host} can be reached from other machines, and there is no key; give read keys with --keys "
        f"FILE or in the environment variable HASHNET_KEYS, or stay on {DEFAULT_HOST}"
    )
