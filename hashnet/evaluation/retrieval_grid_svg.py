"""Query images beside their nearest neighbours as one SVG, for papers and slides."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from textwrap import wrap

from hashnet.evaluation.retrieval_grid import MAX_SIDE, GridItem, GridRow, data_uri

SIDE, GAP, TEXT = 84, 12, 28
RIGHT, WRONG, QUERY, UNKNOWN = "#009E73", "#D55E00", "#0072B2", "#8C8C8C"
CAPTION_WIDTH, CAPTION_LINES = 15, 2


def retrieval_grid_svg(rows: Sequence[GridRow], *, max_side: int = MAX_SIDE) -> str:
    """Return the SVG of a grid: queries on the left, neighbours by rank, images embedded.

    Images are shrunk to ``max_side`` pixels.

    Relevant neighbours have a solid frame and a round tick, others a dashed frame and a square cross, so that
    they are told apart without colour. Captions have two lines of 15 characters, the title of a cell all.
    """
    if not rows:
        raise ValueError("a grid needs at least one row, got none")
    columns = 1 + max(len(row.neighbours) for row in rows)
    width = GAP + columns * (SIDE + GAP) + GAP
    height = GAP + len(rows) * (SIDE + TEXT + GAP)
    parts = [
        '<svg role="img" aria-label="Queries and their nearest neighbours" '
        'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="10">'
    ]
    for r, row in enumerate(rows):
        y = GAP + r * (SIDE + TEXT + GAP)
        parts.append(_cell(row.query, GAP, y, max_side, query=True))
        for c, item in enumerate(row.neighbours):
            # A wider gap parts the query from what was found.
            parts.append(_cell(item, 2 * GAP + (c + 1) * (SIDE + GAP), y, max_side, query=False))
    return "\n".join([*parts, "</svg>"])


def _cell(item: GridItem, x: int, y: int, max_side: int, *, query: bool) -> str:
    colour, dash, sign, said = UNKNOWN, "", "", "neighbour"
    if query:
        colour, said = QUERY, "query"
        sign = (
            f'<rect x="{x + 4}" y="{y + 4}" width="{SIDE - 8}" height="{SIDE - 8}" fill="none" '
            f'stroke="{colour}" stroke-width="1.2"/>'
        )
    elif item.relevant is not None and item.relevant:
        colour, said = RIGHT, "relevant"
        sign = _sign(x, y, colour, round_=True, path="M-4 0 L-1 3.5 L4.5 -3.5")
    elif item.relevant is not None:
        colour, said, dash = WRONG, "not relevant", ' stroke-dasharray="6 4"'
        sign = _sign(x, y, colour, round_=False, path="M-3.5 -3.5 L3.5 3.5 M3.5 -3.5 L-3.5 3.5")
    pixelated = ' style="image-rendering:pixelated"' if max(item.image.size) <= 16 else ""
    lines = wrap(item.caption, CAPTION_WIDTH)
    if len(lines) > CAPTION_LINES:
        lines[CAPTION_LINES - 1] = lines[CAPTION_LINES - 1][: CAPTION_WIDTH - 1] + "…"
    caption = "".join(
        f'<text x="{x}" y="{y + SIDE + 12 * (i + 1)}" fill="currentColor">{escape(line)}</text>'
        for i, line in enumerate(lines[:CAPTION_LINES])
    )
    return (
        f"<g><title>{escape(f'{said}: {item.caption}')}</title>"
        f'<image x="{x}" y="{y}" width="{SIDE}" height="{SIDE}"{pixelated} '
        f'xlink:href="{data_uri(item.image, max_side)}"/>'
        f'<rect x="{x}" y="{y}" width="{SIDE}" height="{SIDE}" fill="none" stroke="{colour}" '
        f'stroke-width="3"{dash}/>{sign}'
        f"{caption}</g>"
    )


def _sign(x: int, y: int, colour: str, *, round_: bool, path: str) -> str:
    corner = 8 if round_ else 0
    return (
        f'<g transform="translate({x + SIDE - 9} {y + 9})"><rect x="-8" y="-8" width="16" height="16" '
        f'rx="{corner}" fill="{colour}"/><path d="{path}" fill="none" stroke="#ffffff" '
        'stroke-width="2"/></g>'
    )
