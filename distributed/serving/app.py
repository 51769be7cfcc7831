"""The FastAPI app of the search service, over any index and without Ray."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response, StreamingResponse

from hashnet import __version__

from . import schemas, wire
from .backends import Question
from .gate import Gate
from .images import ImageEncoder
from .limits import largest_radius
from .metrics import CONTENT_TYPE
from .problems import ApiError, documented
from .requests import Asked, read_asked, read_images
from .schemas import RadiusRequest, RadiusWishes, SearchRequest, SearchWishes
from .service import Answered, Service
from .settings import ServiceSettings
from .streaming import MEDIA_TYPE

PAGE = Path(__file__).resolve().parent / "page"

# Beyond so many neighbours JSON is written in a thread, and the loop goes on with other requests.
_MANY = 5_000

_ALWAYS = ("unauthorized", "forbidden", "wrong_host", "internal_error")
_WORK = (
    *_ALWAYS,
    "malformed_body",
    "body_timeout",
    "body_too_large",
    "unsupported_media_type",
    "invalid_request",
    "unreadable_image",
    "no_model",
    "too_many_requests",
    "draining",
    "timeout",
)
_SEARCH = (
    *_WORK,
    "fingerprint_mismatch",
    "invalid_codes",
    "too_many_queries",
    "answer_too_large",
    "codes_unavailable",
    "damaged_index",
    "incomplete",
)

Wish = TypeVar("Wish", bound=schemas.Wishes)


def create_app(
    searcher: Any,
    settings: ServiceSettings | None = None,
    encoder: ImageEncoder | None = None,
    *,
    reopen: Callable[[], Any] | None = None,
) -> FastAPI:
    """Return the app that searches ``searcher``, a hashnet.Index or a ShardedIndex; it closes it in the end.

    ``encoder`` (a hashnet.encoding.Encoder) takes images; its fingerprint must be that of the index, else
    FingerprintError is raised, and ValueError for another n_bits. ``reopen`` opens the index anew, for
    ``POST /admin/reload``. The service behind the app is ``app.state.service``.
    """
    settings = settings or ServiceSettings()
    service = Service(searcher, settings, encoder, reopen=reopen)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await service.close()

    app = FastAPI(
        title="hashnet",
        version=__version__,
        summary="Exact nearest neighbours among binary codes.",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        # Nothing is redirected: a body would be sent twice.
        redirect_slashes=False,
    )
    app.state.service = service
    app.add_middleware(
        Gate,
        settings=settings,
        metrics=service.metrics,
        draining=service.draining,
    )
    app.add_exception_handler(HTTPException, _http_error)
    _add_pages(app)
    _add_search(app, service)
    _add_state(app, service)
    _describe(app, guarded=settings.keys.guards("read"))
    return app


async def _http_error(request: Request, error: Exception) -> Response:
    """Answer what no route answers."""
    status = getattr(error, "status_code", 500)
    if status == 405:
        response = ApiError("method_not_allowed", f"{request.method[:20]} is not for this route").response()
        response.headers.update(getattr(error, "headers", None) or {})
        return response
    return ApiError("malformed_body", "the request cannot be understood").response()


def _add_pages(app: FastAPI) -> None:
    """Add the search page and the page of the API: fixed files, read once."""

    def add(route: str, file: str, media_type: str) -> None:
        content = (PAGE / file).read_bytes()

        async def page() -> Response:
            return Response(content, media_type=media_type)

        app.get(route, include_in_schema=False)(page)

    add("/", "index.html", "text/html; charset=utf-8")
    add("/page.css", "page.css", "text/css; charset=utf-8")
    add("/page.js", "page.js", "text/javascript; charset=utf-8")
    add("/docs", "docs.html", "text/html; charset=utf-8")
    add("/docs.js", "docs.js", "text/javascript; charset=utf-8")


def _add_state(app: FastAPI, service: Service) -> None:
    @app.get("/healthz", tags=["state"], response_model=schemas.Alive, responses=documented("wrong_host"))
    async def healthz() -> Response:
        """Tell that the process answers; it does even where shards are gone."""
        return JSONResponse({"status": "ok"})

    @app.get(
        "/readyz",
        tags=["state"],
        response_model=schemas.Ready,
        responses=documented("wrong_host", "not_ready", "draining", "timeout", "internal_error"),
    )
    async def readyz() -> Response:
        """Tell whether every shard has a live replica, and the service takes requests."""
        if service.draining.is_set():
            raise ApiError("draining", "the service is about to end")
        shards = [vars(one) for one in await service.health()]
        dead = [one["shard"] for one in shards if not one["alive"]]
        if dead:
            raise ApiError("not_ready", f"shards {dead} have no live replica", shards=shards)
        return JSONResponse({"ready": True, "shards": shards})

    @app.get("/info", tags=["state"], response_model=schemas.Info, responses=documented(*_ALWAYS))
    async def info() -> Response:
        """Describe what is served, and the limits of a request."""
        version = service.current
        backend, settings = version.backend, service.settings
        limits = {name: getattr(settings, name) for name in schemas.Limits.model_fields}
        limits["max_radius"] = largest_radius(settings, backend.n_bits)
        return JSONResponse(
            {
                "name": backend.path.name if backend.path is not None else "memory",
                "version": version.number,
                "n_codes": len(backend),
                "n_bits": backend.n_bits,
                "fingerprint": backend.fingerprint,
                "encodes": service.encodes,
                "knows_codes": version.knows_codes,
                "limits": limits,
            }
        )

    @app.get(
        "/metrics",
        tags=["state"],
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **documented(*_ALWAYS)},
    )
    async def metrics() -> Response:
        """Return the figures of the service for Prometheus."""
        return Response(service.metrics.text(await service.health()), media_type=CONTENT_TYPE)

    @app.post(
        "/admin/reload",
        tags=["administration"],
        response_model=schemas.Reloaded,
        responses=documented(*_ALWAYS, "not_reloadable", "reload_running", "fingerprint_mismatch"),
    )
    async def reload() -> Response:
        """Open the index anew: what a writer has committed since, or where a link now points."""
        version = await service.reload()
        return JSONResponse({"version": version.number, "n_codes": len(version.backend)})


def _add_search(app: FastAPI, service: Service) -> None:
    settings = service.settings

    @app.post(
        "/search",
        tags=["search"],
        response_model=schemas.SearchAnswer,
        responses=documented(*_SEARCH, "k_out_of_range"),
        openapi_extra=_body(SearchRequest, SearchWishes),
    )
    async def search(request: Request) -> Response:
        """Return the k nearest codes of each query, ties by smaller id."""
        asked = await read_asked(request, SearchRequest, SearchWishes, settings)
        question = Question("search", asked.wishes.k, asked.wishes.partial)
        return await _answer(service, asked, question)

    @app.post(
        "/search_radius",
        tags=["search"],
        response_model=schemas.SearchAnswer,
        responses=_streamable(documented(*_SEARCH, "radius_out_of_range")),
        openapi_extra=_body(RadiusRequest, RadiusWishes),
    )
    async def search_radius(request: Request) -> Response:
        """Return all codes within a radius (inclusive) of each query; as a stream of lines where accepted."""
        asked = await read_asked(request, RadiusRequest, RadiusWishes, settings)
        question = Question("radius", asked.wishes.radius, asked.wishes.partial)
        if MEDIA_TYPE not in request.headers.get("accept", ""):
            return await _answer(service, asked, question)
        lines = service.stream(asked, question)
        # The first line comes after all that may be refused.
        first = await anext(lines)
        return StreamingResponse(_with_first(first, lines), media_type=MEDIA_TYPE)

    @app.post(
        "/encode",
        tags=["search"],
        response_model=schemas.EncodeAnswer,
        responses=documented(*_WORK),
        openapi_extra=_body(None, None),
    )
    async def encode(request: Request) -> Response:
        """Return the codes of images."""
        codes = await service.encode(await read_images(request, settings))
        backend = service.current.backend
        return JSONResponse(
            {
                "n_bits": backend.n_bits,
                "fingerprint": backend.fingerprint,
                "hex": wire.hex_of(codes),
                "base64": wire.base64_of(codes),
            }
        )


async def _answer(service: Service, asked: Asked[Wish], question: Question) -> Response:
    answered = await service.answer(asked, question)
    if sum(len(row.ids) for row in answered.rows) < _MANY:
        body = _answer_json(answered, question)
    else:
        body = await asyncio.to_thread(_answer_json, answered, question)
    return Response(body, media_type="application/json")


def _answer_json(answered: Answered, question: Question) -> bytes:
    backend = answered.version.backend
    value = {
        "n_bits": backend.n_bits,
        "fingerprint": backend.fingerprint,
        "k" if question.kind == "search" else "radius": question.value,
        "complete": not answered.missing,
        "missing": list(answered.missing),
        "answers": [vars(row) for row in answered.rows],
        "plan": answered.plan,
        "time_ms": round(answered.seconds * 1e3, 3),
    }
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


async def _with_first(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for line in rest:
        yield line


def _body(full: type[schemas.Wishes] | None, wishes: type[schemas.Wishes] | None) -> dict[str, Any]:
    """Return the request body for OpenAPI: JSON (``full``), and a form with images."""
    content: dict[str, Any] = {
        "multipart/form-data": {
            "schema": schemas.image_form(wishes),
            "encoding": {"image": {"contentType": "image/jpeg, image/png, image/webp, image/bmp"}},
        }
    }
    if full is not None:
        schema = full.model_json_schema(ref_template="#/components/schemas/{model}")
        content = {"application/json": {"schema": schema}, **content}
    return {"requestBody": {"required": True, "content": content}}


def _streamable(responses: dict[int | str, dict[str, Any]]) -> dict[int | str, dict[str, Any]]:
    text = (
        "A head with `counts`, pieces of balls, and last a line with `end`; without it the stream broke off."
    )
    return {200: {"content": {MEDIA_TYPE: {"schema": {"type": "string", "description": text}}}}, **responses}


def _describe(app: FastAPI, *, guarded: bool) -> None:
    """Add to OpenAPI what FastAPI cannot see: the error's schema and the keys."""
    made = app.openapi()
    components = made.setdefault("components", {})
    components.setdefault("schemas", {})["Problem"] = schemas.Problem.model_json_schema()
    components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    for path, operations in made["paths"].items():
        for operation in operations.values():
            if path.startswith("/admin/") or (guarded and path not in ("/healthz", "/readyz")):
                operation["security"] = [{"key": []}]
    app.openapi_schema = made
