"""Serve an app from this process, without Ray."""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import partial

import uvicorn
from fastapi import FastAPI


def bind(host: str, port: int) -> socket.socket:
    """Return a bound socket; port 0 takes a free one. Raises OSError that names host and port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    server = socket.socket(family, socket.SOCK_STREAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        server.bind((host.strip("[]"), port))
    except OSError as error:
        server.close()
        raise OSError(
            f"cannot listen on {host}:{port}: {error.strerror or error}; choose another --port or --host"
        ) from None
    return server


def url_of(host: str, port: int) -> str:
    """Return the address of a service for people and clients."""
    return f"http://{f'[{host}]' if ':' in host and not host.startswith('[') else host}:{port}/"


def run(
    app: FastAPI, server: socket.socket, *, host: str, drain_s: float, ready: Callable[[str], None]
) -> None:
    """Serve ``app`` on a bound socket until SIGINT or SIGTERM; ``ready`` is told the URL.

    Then no connections are taken any more, and open requests have ``drain_s`` seconds to end. The signals are
    raised again behind that, for the handlers of the caller.
    """
    url = url_of(host, server.getsockname()[1])
    config = uvicorn.Config(
        app,
        lifespan="on",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=max(1, round(drain_s)),
    )
    _Server(config, partial(ready, url)).run(sockets=[server])


class _Server(uvicorn.Server):
    """Tells when it is ready."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._tell = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then tell."""
        await super().startup(sockets=sockets)
        if not self.should_exit:
            self._tell()
