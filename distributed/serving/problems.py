"""Errors on the wire: a status, a stable code that programs can act on, and a sentence for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse

from hashnet.errors import (
    DamagedError,
    FingerprintError,
    HashnetError,
    IncompleteError,
    UnreadableImageError,
)

# Seconds after which a client that was turned away may come back.
RETRY_AFTER_S = 1

CODES: Mapping[str, tuple[int, str]] = {
    "malformed_body": (400, "the body is not what its content type says"),
    "unauthorized": (401, "no key, or an unknown one"),
    "forbidden": (403, "the key lacks the scope, or the request comes from another site"),
    "not_found": (404, "no such route"),
    "method_not_allowed": (405, "the route has another method"),
    "body_timeout": (408, "the body did not arrive in time"),
    "fingerprint_mismatch": (409, "the queries come from another code space than the index"),
    "not_reloadable": (409, "the service was not given a way to open its index anew"),
    "reload_running": (409, "another reload has not ended yet"),
    "body_too_large": (413, "the body exceeds the limit"),
    "unsupported_media_type": (415, "a body of this type is not understood here"),
    "wrong_host": (421, "the request names another host than this one"),
    "invalid_request": (422, "the body does not follow the schema"),
    "invalid_codes": (422, "codes cannot be decoded, or have another length than those of the index"),
    "too_many_queries": (422, "more queries in one request than the limit"),
    "k_out_of_range": (422, "k exceeds the limit or the number of codes"),
    "radius_out_of_range": (422, "the radius exceeds the limit or n_bits"),
    "answer_too_large": (422, "the answer would exceed the limit; ask for less, or for a stream"),
    "codes_unavailable": (422, "the index is too large for the service to know the codes of neighbours"),
    "unreadable_image": (422, "an image cannot be decoded, or has too many pixels"),
    "no_model": (422, "images need a model, and the service has none"),
    "too_many_requests": (429, "as many requests as the limit are being worked on; come back"),
    "internal_error": (500, "a fault of the service"),
    "damaged_index": (500, "a file of the index is damaged"),
    "incomplete": (503, "a shard did not answer; come back, or ask for a partial answer"),
    "not_ready": (503, "a shard has no live replica"),
    "draining": (503, "the service is about to end"),
    "timeout": (504, "no answer within the limit"),
}


class ApiError(Exception):
    """An answer that is an error; ``code`` is one of ``CODES``, ``details`` go into the JSON as they are."""

    def __init__(self, code: str, message: str, **details: Any) -> None:
        super().__init__(message)
        self.code = code
        self.status = CODES[code][0]
        self.message = message
        self.details = details

    def body(self) -> dict[str, Any]:
        """Return the JSON object of the error."""
        return {"code": self.code, "message": self.message, **self.details}

    def response(self) -> JSONResponse:
        """Return the response, with the headers that go with its status."""
        headers = {}
        if self.status == 401:
            headers["WWW-Authenticate"] = 'Bearer realm="hashnet"'
        if self.code in ("too_many_requests", "incomplete", "not_ready", "draining"):
            headers["Retry-After"] = str(RETRY_AFTER_S)
        if self.code in ("body_too_large", "body_timeout", "draining"):
            # The rest of the body would be taken for the next request.
            headers["Connection"] = "close"
        return JSONResponse(self.body(), self.status, headers=headers)


# What a client is told instead of the error's own words, which may name files of the server.
_WITHOUT_DETAILS: tuple[tuple[type[Exception], str, str], ...] = (
    (TimeoutError, "timeout", "no answer within the limit of the service; ask for less, or later"),
    (DamagedError, "damaged_index", "a file of the index is damaged; the log of the service names it"),
    (HashnetError, "internal_error", "the index cannot answer; the log of the service says why"),
    (Exception, "internal_error", "unexpected error; the log of the service has more"),
)


def error_of(error: Exception) -> ApiError:
    """Return what a client is told of ``error``; a bug or a damaged file gives no details away."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, FingerprintError):
        return ApiError("fingerprint_mismatch", str(error), got=error.got, wanted=error.wanted)
    if isinstance(error, IncompleteError):
        message = f"shards {error.missing} did not answer; ask again, or with partial=true"
        return ApiError("incomplete", message, missing=list(error.missing))
    if isinstance(error, UnreadableImageError):
        return ApiError("unreadable_image", str(error))
    code, message = next(told for kind, *told in _WITHOUT_DETAILS if isinstance(error, kind))
    return ApiError(code, message)


def last_line(text: str) -> str:
    """Return the last line that says something: the error itself, of a traceback from another process."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "no reason was given")


def documented(*codes: str) -> dict[int | str, dict[str, Any]]:
    """Return the entries of OpenAPI's responses for ``codes``, grouped by status."""
    by_status: dict[int | str, list[str]] = {}
    for code in codes:
        status, meaning = CODES[code]
        by_status.setdefault(status, []).append(f"`{code}`: {meaning}")
    return {
        status: {
            "description": "; ".join(texts),
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status, texts in sorted(by_status.items(), key=lambda item: int(item[0]))
    }
