"""A request's body becomes wishes and codes, or wishes and image files; nothing is decoded here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from fastapi import Request
from pydantic import ValidationError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from .problems import ApiError
from .schemas import Wishes
from .settings import ServiceSettings
from .wire import Encoding

Wish = TypeVar("Wish", bound=Wishes)

_MAX_FIELDS = 16
_MAX_FIELD_BYTES = 1024


@dataclass(frozen=True)
class Asked(Generic[Wish]):
    """A search request: either ``codes`` as they were written, or the bytes of ``images``."""

    wishes: Wish
    codes: Sequence[str | Sequence[int]] | None = None
    encoding: Encoding = "hex"
    images: tuple[bytes, ...] = ()


async def read_asked(
    request: Request, full: type[Wish], wishes: type[Wish], settings: ServiceSettings
) -> Asked[Wish]:
    """Return what a search request asks, from JSON (``full``) or a form with images and ``wishes``."""
    kind = _media_type(request)
    if kind == "multipart/form-data":
        images, fields = await _read_form(request, settings)
        return Asked(_checked(wishes, fields), images=images)
    if kind != "application/json":
        raise _unsupported(kind, "application/json or multipart/form-data")
    body = await request.body()
    try:
        asked: Any = full.model_validate_json(body)
    except ValidationError as error:
        raise _invalid(error) from None
    if len(asked.codes) > settings.max_queries:
        raise ApiError(
            "too_many_queries",
            f"a request may have {settings.max_queries} queries, got {len(asked.codes)}; send several",
            limit=settings.max_queries,
        )
    return Asked(asked, codes=asked.codes, encoding=asked.encoding)


async def read_images(request: Request, settings: ServiceSettings) -> tuple[bytes, ...]:
    """Return the image files of a form."""
    kind = _media_type(request)
    if kind != "multipart/form-data":
        raise _unsupported(kind, "multipart/form-data")
    images, fields = await _read_form(request, settings)
    if fields:
        raise ApiError("invalid_request", f"field {_shown(next(iter(fields)))} is not known here")
    return images


async def _read_form(request: Request, settings: ServiceSettings) -> tuple[tuple[bytes, ...], dict[str, str]]:
    try:
        form = await request.form(
            max_files=settings.max_images, max_fields=_MAX_FIELDS, max_part_size=_MAX_FIELD_BYTES
        )
    except HTTPException as error:
        raise ApiError("malformed_body", f"the form cannot be read: {error.detail}") from None
    images: list[bytes] = []
    fields: dict[str, str] = {}
    try:
        for name, value in form.multi_items():
            if isinstance(value, UploadFile) != (name == "image"):
                what = "a file" if isinstance(value, UploadFile) else "a text"
                raise ApiError(
                    "invalid_request", f"field {_shown(name)} must not be {what}; only `image` is a file"
                )
            if isinstance(value, UploadFile):
                images.append(await value.read())
            elif name in fields:
                raise ApiError("invalid_request", f"field {_shown(name)} occurs twice")
            else:
                fields[name] = value
    finally:
        await form.close()
    if not images:
        raise ApiError("invalid_request", "the form has no image; send it as a file in the field `image`")
    return tuple(images), fields


def _checked(model: type[Wish], fields: dict[str, str]) -> Wish:
    try:
        # Everything in a form is text.
        return model.model_validate_strings(fields, strict=False)
    except ValidationError as error:
        raise _invalid(error) from None


def _invalid(error: ValidationError) -> ApiError:
    """Return the first of what is wrong; the input itself is not repeated."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"][:4])
    if first["type"] == "json_invalid":
        return ApiError("malformed_body", f"the body is not JSON: {_shown(first['msg'])}")
    return ApiError("invalid_request", f"{_shown(where) or 'the body'}: {_shown(first['msg'])}")


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _unsupported(kind: str, wanted: str) -> ApiError:
    return ApiError("unsupported_media_type", f"content type must be {wanted}, got {_shown(kind) or 'none'}")


def _shown(text: str) -> str:
    return text.encode("ascii", "replace").decode("ascii")[:200]
