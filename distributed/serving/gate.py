"""What every request passes before its route: host, key, size, a free place; and what is noted behind it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .keys import Keys
from .keys import Scope as KeyScope
from .metrics import Metrics
from .problems import ApiError, error_of
from .settings import ServiceSettings, is_loopback

log = logging.getLogger("hashnet.serving")

# Longer ones belong to no key.
_LONGEST_HEADER = 4096
_CLIENT_GONE = 499


@dataclass(frozen=True)
class Policy:
    """What a route asks of a request: a key with ``scope``, and a place among those that ``work``."""

    scope: KeyScope | None = None
    works: bool = False


OPEN = Policy()
POLICIES: Mapping[str, Policy] = {
    "/": OPEN,
    "/page.css": OPEN,
    "/page.js": OPEN,
    "/docs": OPEN,
    "/docs.js": OPEN,
    "/openapi.json": OPEN,
    "/healthz": OPEN,
    "/readyz": OPEN,
    "/info": Policy("read"),
    "/metrics": Policy("read"),
    "/search": Policy("read", works=True),
    "/search_radius": Policy("read", works=True),
    "/encode": Policy("read", works=True),
    "/admin/reload": Policy("admin"),
}

SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def check_key(keys: Keys, header: str | None, scope: KeyScope) -> None:
    """Raise ApiError "unauthorized" or "forbidden" unless the Authorization ``header`` opens ``scope``."""
    if not keys.guards(scope):
        return
    if header is None:
        raise ApiError("unauthorized", "this route needs a key; send it as Authorization: Bearer KEY")
    name, _, key = header[:_LONGEST_HEADER].partition(" ")
    scopes = keys.scopes_of(key.strip())
    if name.lower() != "bearer" or not scopes:
        raise ApiError("unauthorized", "the key is not known here; send it as Authorization: Bearer KEY")
    if scope not in scopes:
        raise ApiError("forbidden", f"the key does not have the scope {scope}")


def check_origin(host: str | None, origin: str | None) -> None:
    """Refuse what a page of another site could have sent to a service that asks for no key.

    Such a service is reached by this machine only. A browser on it visits other sites as well; they could
    post forms here, or have their own name resolve to this machine.
    """
    name = _host_of(f"//{host}") if host else None
    if name is None or not is_loopback(name):
        raise ApiError(
            "wrong_host", "a service without keys answers to localhost only; give it keys to use another name"
        )
    if origin is not None:
        name = _host_of(origin)
        if name is None or not is_loopback(name):
            raise ApiError("forbidden", "the request was sent by a page of another site")


def _host_of(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def path_of(scope: Scope) -> str:
    """Return the path of a request within the app, which may be mounted below a ``root_path``."""
    path, root = str(scope["path"]), str(scope.get("root_path", "")).rstrip("/")
    return path.removeprefix(root) if path.startswith(f"{root}/") else path


class Gate:
    """The ASGI middleware around the app; whatever goes wrong inside ends as JSON with a stable code."""

    def __init__(
        self, app: ASGIApp, *, settings: ServiceSettings, metrics: Metrics, draining: asyncio.Event
    ) -> None:
        self._app = app
        self._settings = settings
        self._metrics = metrics
        self._draining = draining
        self._working = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        path = path_of(scope)
        answer = _Answer(send, self._settings.timeout_s)
        try:
            await self._serve(path, scope, receive, answer)
        except ClientDisconnect:
            answer.status = _CLIENT_GONE
        except asyncio.CancelledError:
            answer.status = _CLIENT_GONE
            raise
        except Exception as error:
            await self._fail(error, scope, receive, answer)
        finally:
            route = path if path in POLICIES else "other"
            method = scope["method"] if scope["method"] in ("GET", "POST") else "other"
            self._metrics.requests.labels(route, method, str(answer.status)).inc()
            self._metrics.seconds.labels(route).observe(time.perf_counter() - began)

    async def _serve(self, path: str, scope: Scope, receive: Receive, answer: _Answer) -> None:
        headers = Headers(scope=scope)
        policy = POLICIES.get(path)
        if policy is None:
            # Nothing gets past a policy by having none.
            shown = path.encode("ascii", "replace").decode("ascii")[:100]
            raise ApiError("not_found", f"there is no route {shown}; /docs lists them")
        if not self._settings.keys.guards("read"):
            check_origin(headers.get("host"), headers.get("origin"))
        if policy.scope is not None:
            check_key(self._settings.keys, headers.get("authorization"), policy.scope)
        body = _Body(receive, self._settings, headers.get("content-length"))
        if not policy.works:
            await self._app(scope, body, answer)
            return
        if self._draining.is_set():
            raise ApiError("draining", "the service is about to end; ask another one")
        if self._working >= self._settings.max_concurrent:
            raise ApiError(
                "too_many_requests",
                f"{self._working} requests are being worked on already; ask again a little later",
            )
        self._working += 1
        self._metrics.working.set(self._working)
        try:
            await self._app(scope, body, answer)
        finally:
            self._working -= 1
            self._metrics.working.set(self._working)

    async def _fail(self, error: Exception, scope: Scope, receive: Receive, answer: _Answer) -> None:
        known = error_of(error)
        if known.status == 500:
            log.error("%s %s failed", scope["method"], scope["path"], exc_info=error)
        self._metrics.errors.labels(known.code).inc()
        if answer.started:
            # Nothing can be taken back; ending here without the end of the body shows that it is cut off.
            raise error
        await known.response()(scope, receive, answer)


class _Answer:
    """Sends with security headers; remembers the status; gives up on a client that stopped reading."""

    def __init__(self, send: Send, timeout_s: float) -> None:
        self._send = send
        self._timeout_s = timeout_s
        self.status = 500
        self.started = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in SECURITY_HEADERS.items():
                headers.setdefault(name, value)
        async with asyncio.timeout(self._timeout_s):
            await self._send(message)


class _Body:
    """Receives at most the permitted bytes, within the permitted time."""

    def __init__(self, receive: Receive, settings: ServiceSettings, length: str | None) -> None:
        self._receive = receive
        self._limit = settings.max_body_bytes
        self._deadline = asyncio.get_running_loop().time() + settings.timeout_s
        self._size = 0
        self._whole = False
        if length is not None and length.isascii() and length.isdigit() and int(length[:20]) > self._limit:
            raise self._too_large()

    async def __call__(self) -> Message:
        if self._whole:
            # From now on only the end of the connection is waited for.
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            raise ApiError("body_timeout", "the body did not arrive in time; send it faster") from None
        if message["type"] == "http.request":
            self._size += len(message.get("body", b""))
            self._whole = not message.get("more_body", False)
            if self._size > self._limit:
                raise self._too_large()
        return message

    def _too_large(self) -> ApiError:
        return ApiError(
            "body_too_large",
            f"a body may have {self._limit} bytes; send fewer queries or a smaller image",
            limit=self._limit,
        )
