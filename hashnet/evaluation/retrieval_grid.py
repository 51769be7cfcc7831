"""Query images beside their nearest neighbours, as HTML: right and wrong told by colour, line and sign."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image

# Twice the shown size, for screens with two pixels a point.
MAX_SIDE = 192


@dataclass(frozen=True)
class GridItem:
    """An image with its caption (key, distance); ``relevant`` None where nobody knows."""

    image: Image.Image
    caption: str
    relevant: bool | None = None


@dataclass(frozen=True)
class GridRow:
    """A query and its neighbours, nearest first."""

    query: GridItem
    neighbours: Sequence[GridItem]


def retrieval_grid(rows: Sequence[GridRow], *, max_side: int = MAX_SIDE) -> str:
    """Return the HTML of a grid, for :meth:`hashnet.evaluation.Page.grid`.

    Images are shrunk to ``max_side`` pixels and embedded. Relevant neighbours have a solid frame and a tick,
    others a dashed frame and a cross.
    """
    if not rows:
        raise ValueError("a grid needs at least one row, got none")
    lines = ['<div class="grid">']
    for row in rows:
        lines.append('<div class="row">')
        lines.append(_cell(row.query, "query", max_side))
        lines.extend(_cell(item, _state(item.relevant), max_side) for item in row.neighbours)
        lines.append("</div>")
    lines.append("</div>")
    return "\n".join(lines)


def _state(relevant: bool | None) -> str:
    return "unknown" if relevant is None else "right" if relevant else "wrong"


def _cell(item: GridItem, state: str, max_side: int) -> str:
    sign = {"right": "✓ ", "wrong": "✗ ", "query": "query: "}.get(state, "")
    said = {"right": "relevant", "wrong": "not relevant", "query": "query"}.get(state, "neighbour")
    alternative = escape(f"{said}: {item.caption}", quote=True)
    # Interpolation would blur a picture of a few pixels beyond recognition.
    size = " tiny" if max(item.image.size) <= 16 else ""
    return (
        f'<figure class="cell {state}{size}"><img src="{data_uri(item.image, max_side)}" alt="{alternative}" '
        f'title="{escape(item.caption, quote=True)}">'
        f"<figcaption>{sign}{escape(item.caption)}</figcaption></figure>"
    )


def data_uri(image: Image.Image, max_side: int = MAX_SIDE) -> str:
    """Return a copy of ``image``, at most ``max_side`` pixels wide and high, as a data URI.

    It is a JPEG, or a PNG where that is shorter: for drawings, and for pictures of a few pixels, which JPEG
    would blur besides.
    """
    picture = image.convert("RGB")
    picture.thumbnail((max_side, max_side))
    kind, data = "jpeg", _saved(picture, "JPEG", quality=82)
    if max(picture.size) <= 64 and len(png := _saved(picture, "PNG", optimize=True)) <= len(data):
        kind, data = "png", png
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _saved(picture: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, format=kind, **options)
    return file.getvalue()
