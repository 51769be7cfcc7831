"""A page that needs nothing but itself: sections, tables, figures and picture grids in one HTML file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape, unescape
from pathlib import Path

from hashnet.files import write_atomically

STYLE = """
:root { color-scheme: light dark; --page: #ffffff; --ink: #1c1e21; --soft: #5c6570; --line: #d9dde2;
  --card: #f5f6f8; --right: #00805d; --wrong: #c65300; --mark: #0b66a8; }
@media (prefers-color-scheme: dark) { :root { --page: #16181c; --ink: #e6e8eb; --soft: #a2abb6;
  --line: #363b42; --card: #1f2329; --right: #2fc598; --wrong: #ff8b45; --mark: #6db8f2; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 72rem; background: var(--page);
  color: var(--ink); font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .25rem; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .75rem; padding-bottom: .3rem;
  border-bottom: 1px solid var(--line); }
p { max-width: 46rem; margin: .5rem 0 1rem; }
.subtitle, figcaption, caption { color: var(--soft); }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .75rem;
  margin: 1.25rem 0; padding: 0; }
.facts div { background: var(--card); border-radius: .5rem; padding: .7rem .9rem; }
.facts dt { color: var(--soft); font-size: .85rem; }
.facts dd { margin: 0; font-size: 1.35rem; font-weight: 600; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding-bottom: .4rem; font-size: .9rem; }
th, td { text-align: left; padding: .35rem 1.4rem .35rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; }
thead th { color: var(--soft); font-weight: 600; font-size: .85rem; }
tbody th { font-weight: 400; }
td.number, th.number { text-align: right; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr));
  gap: 1.25rem 2rem; margin: 1rem 0; }
.figures figure { margin: 0; min-width: 0; }
.figures figure.wide { grid-column: 1 / -1; overflow-x: auto; }
.figures figure.wide svg { min-width: 40rem; }
.figures svg { width: 100%; height: auto; display: block; overflow: visible; }
.figures svg text { font-family: inherit !important; }
.figures figcaption { font-size: .9rem; margin-top: .35rem; }
pre { background: var(--card); padding: .9rem 1rem; border-radius: .5rem; overflow-x: auto;
  font-size: .85rem; line-height: 1.45; }
.grid { overflow-x: auto; margin: 1rem 0; }
.row { display: flex; gap: .5rem; padding: .5rem 0; border-bottom: 1px solid var(--line);
  width: max-content; min-width: 100%; }
.cell { margin: 0; width: 5.2rem; flex: none; font-size: .72rem; line-height: 1.3; }
.cell img { display: block; width: 5.2rem; height: 5.2rem; object-fit: contain; background: var(--card);
  border: 3px solid var(--line); border-radius: .3rem; }
.cell.tiny img { image-rendering: pixelated; }
.cell figcaption { overflow-wrap: anywhere; margin-top: .2rem; }
.cell.query { margin-right: .9rem; }
.cell.query img { border: 3px double var(--mark); }
.cell.right img { border: 3px solid var(--right); }
.cell.wrong img { border: 3px dashed var(--wrong); }
.cell.right figcaption { color: var(--right); }
.cell.wrong figcaption { color: var(--wrong); }
footer { margin-top: 3rem; color: var(--soft); font-size: .85rem; }
@media print { body { max-width: none; } h2 { break-after: avoid; } figure, .row { break-inside: avoid; } }
"""

# Points; two figures of 5.6 inches stand side by side.
WIDE = 450


class Page:
    """A page that is filled from top to bottom, then written.

    Texts are escaped; only :meth:`figure` and :meth:`grid` take markup, that of
    :mod:`hashnet.evaluation.figures` and :func:`hashnet.evaluation.retrieval_grid`. Methods return the page.
    """

    def __init__(self, title: str, *, subtitle: str = "", footer: str = "") -> None:
        self.title = title
        self._subtitle = subtitle
        self._footer = footer
        self._parts: list[str] = []
        self._figures: list[str] = []
        self._in_figures = False

    def section(self, title: str) -> Page:
        """Begin a section."""
        return self._add(f"<h2>{escape(title)}</h2>")

    def text(self, text: str) -> Page:
        """Add a paragraph."""
        return self._add(f"<p>{escape(text)}</p>")

    def facts(self, facts: Sequence[tuple[str, str]]) -> Page:
        """Add a few headline figures as (name, value)."""
        cells = "".join(f"<div><dt>{escape(n)}</dt><dd>{escape(v)}</dd></div>" for n, v in facts)
        return self._add(f'<dl class="facts">{cells}</dl>')

    def table(
        self, rows: Sequence[Sequence[object]], *, header: Sequence[str] = (), caption: str = ""
    ) -> Page:
        """Add a table; the first column names the row. Columns of numbers are set to the right.

        Raises ValueError for rows of different lengths.
        """
        width = len(header) if header else len(rows[0]) if rows else 0
        for row in rows:
            if len(row) != width:
                raise ValueError(f"a row of this table must have {width} cells, got {len(row)}: {list(row)}")
        cells = [[str(cell) for cell in row] for row in rows]
        numeric = [
            column > 0 and bool(cells) and all(_is_number(row[column]) for row in cells)
            for column in range(width)
        ]
        parts = ['<div class="scroll"><table>']
        if caption:
            parts.append(f"<caption>{escape(caption)}</caption>")
        if header:
            parts.append(
                "<thead><tr>"
                + "".join(
                    f'<th scope="col"{_number_class(numeric[i])}>{escape(name)}</th>'
                    for i, name in enumerate(header)
                )
                + "</tr></thead>"
            )
        parts.append("<tbody>")
        for row in cells:
            line = "".join(
                f"<td{_number_class(numeric[i])}>{escape(cell)}</td>" for i, cell in enumerate(row) if i > 0
            )
            parts.append(f'<tr><th scope="row">{escape(row[0])}</th>{line}</tr>')
        parts.append("</tbody></table></div>")
        return self._add("".join(parts))

    def figure(self, svg: str, caption: str) -> Page:
        """Add a figure; figures that follow each other stand side by side where there is room.

        One that is wider than 450 points has the row to itself.
        """
        if not svg.lstrip().startswith("<svg"):
            raise ValueError(f"a figure must be SVG markup that begins with <svg, got {svg[:40]!r}")
        if not self._in_figures:
            self._parts.append('<div class="figures">')
            self._in_figures = True
        self._figures.append(svg)
        width, _ = _size(svg)
        kind = ' class="wide"' if width > WIDE else ""
        # The letters of a figure that stands alone would otherwise grow with the page.
        most = f' style="max-width: {1.5 * width:.0f}px"' if width else ""
        begin = f"<figure{kind}{most}>"
        self._parts.append(f"{begin}{svg}<figcaption>{escape(caption)}</figcaption></figure>")
        return self

    def grid(self, grid: str) -> Page:
        """Add a picture grid made by :func:`hashnet.evaluation.retrieval_grid`."""
        if not grid.startswith('<div class="grid">'):
            raise ValueError(f"a grid must come from retrieval_grid, got {grid[:40]!r}")
        return self._add(grid)

    def preformatted(self, text: str) -> Page:
        """Add text as it stands, in a typewriter face: commands, listings."""
        return self._add(f"<pre>{escape(text)}</pre>")

    def to_html(self) -> str:
        """Return the whole document."""
        subtitle = f'<p class="subtitle">{escape(self._subtitle)}</p>' if self._subtitle else ""
        footer = f"<footer>{escape(self._footer)}</footer>" if self._footer else ""
        end = "</div>" if self._in_figures else ""
        body = "\n".join(self._parts)
        return (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
            "style-src 'unsafe-inline'; img-src data:\">\n"
            f"<title>{escape(self.title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
            f"<h1>{escape(self.title)}</h1>\n{subtitle}\n{body}\n{end}\n{footer}\n</body>\n</html>\n"
        )

    def write(self, path: str | Path) -> Path:
        """Write the page to ``path``, whole or not at all, making its folder; returns the path."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(target, self.to_html().encode())
        return target

    def write_figures(self, folder: str | Path) -> list[Path]:
        """Write the figures of the page as SVG files of their own, numbered, dark on white; returns them.

        Figures of an earlier page with more of them are left as they are.
        """
        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        written = []
        for number, svg in enumerate(self._figures, start=1):
            label = re.search(r'aria-label="([^"]*)"', svg[: svg.index(">")])
            words = re.sub(r"[^a-z0-9]+", "-", unescape(label[1] if label else "figure").lower())
            target = place / f"{number:02d}-{words.strip('-')[:60]}.svg"
            write_atomically(target, standing_alone(svg).encode())
            written.append(target)
        return written

    def _add(self, part: str) -> Page:
        if self._in_figures:
            self._parts.append("</div>")
            self._in_figures = False
        self._parts.append(part)
        return self


def standing_alone(svg: str) -> str:
    """Return a figure as the text of a file of its own: with a size, dark on white."""
    width, height = _size(svg)
    size = f'width="{width:g}pt" height="{height:g}pt" ' if width else ""
    alone = svg.replace("<svg ", f'<svg {size}style="color:#1c1e21;background:#ffffff" ', 1)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{alone}\n'


def _size(svg: str) -> tuple[float, float]:
    """Return width and height of the view box, zeros where there is none."""
    box = re.search(r'viewBox="[-0-9.]+ [-0-9.]+ ([0-9.]+) ([0-9.]+)"', svg[: svg.index(">")])
    return (float(box[1]), float(box[2])) if box else (0.0, 0.0)


def _is_number(text: str) -> bool:
    first = text.lstrip("+-−<>~≈ ")[:1]
    return first.isdigit() or text in {"", "-", "–"} or (first == "." and text.lstrip("+-−.")[:1].isdigit())


def _number_class(numeric: bool) -> str:
    return ' class="number"' if numeric else ""
