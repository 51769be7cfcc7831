"""How figures look: colours for every eye, a look of its own for each method, SVG that a page can hold.

The colours are Okabe & Ito's, in which their yellow, too light for white paper, and their black, which no
dark page shows, are replaced. Nothing is told by colour alone: lines differ in dash and marker as well. Text
and axes take the colour of the page (``currentColor``), and the same input gives the same bytes.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable
from html import escape
from typing import Any

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C8C8C", "#B8A800")
STYLES: tuple[Any, ...] = ("-", "--", "-.", (0, (1, 1.5)), (0, (5, 1, 1, 1, 1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
# A colour that nothing else has, put in where the page's own colour is meant.
INK = "#010203"

# The methods in the order of looks, so that a method looks the same in every figure of every report.
METHODS = (
    *("hashnet", "dhn", "itqcca", "itq", "dnnh", "cnnh", "sdh", "lsh"),
    *("ksh", "sh", "bre", "hashnetc", "hashnetw", "hashnetsgn", "dpsh", "greedyhash"),
    *("csq", "dpn", "orthohash"),
)

LEGEND_BESIDE = 5
"""With more entries than these the legend stands beside the axes."""


def look(i: int, *, marker: bool = False) -> dict[str, Any]:
    """Return what matplotlib's ``plot`` needs for look ``i``; the first 40 are all different."""
    turn = i // len(COLOURS)
    line: dict[str, Any] = {
        "color": COLOURS[i % len(COLOURS)],
        "linestyle": STYLES[(i + turn) % len(STYLES)],
        "linewidth": 1.8,
    }
    return {**line, "marker": MARKERS[(i + turn) % len(MARKERS)]} if marker else line


def looks(names: Iterable[str]) -> dict[str, int]:
    """Return the number of the look of each name: a known method's own, for others the first free ones."""
    listed = list(dict.fromkeys(names))
    known = {name: METHODS.index(_plain(name)) for name in listed if _plain(name) in METHODS}
    free = (i for i in range(len(METHODS) + len(listed)) if i not in known.values())
    return {name: known[name] if name in known else next(free) for name in listed}


def add_legend(axes: Any, n: int) -> None:
    """Add a legend if there is anything to tell apart, beside the axes if it is long."""
    if n > LEGEND_BESIDE:
        axes.legend(
            loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=9, handlelength=3.2
        )
    elif n > 1:
        axes.legend(frameon=False, fontsize=9, handlelength=3.2)


def to_svg(
    draw: Callable[..., None],
    title: str,
    *,
    height: float = 3.4,
    width: float = 5.6,
    panels: int = 1,
    grid: bool = True,
) -> str:
    """Return the SVG of what ``draw`` draws on ``panels`` axes side by side.

    Sizes are inches at 10 points; the SVG itself has none and scales. The caller's settings of matplotlib are
    left alone. ``title`` is what screen readers say.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    settings = {
        "svg.fonttype": "none",
        "svg.hashsalt": title,
        "font.family": "sans-serif",
        # The one that texts are measured with; the whole list of matplotlib would stand at every text.
        "font.sans-serif": ["DejaVu Sans"],
        "font.size": 10,
        "axes.unicode_minus": True,
        **{f"axes.spines.{side}": False for side in ("top", "right")},
        **dict.fromkeys(
            ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK
        ),
    }
    with mpl.rc_context(settings):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(figure)
        all_axes = figure.subplots(1, panels, squeeze=False)[0]
        for axes in all_axes:
            if grid:
                axes.grid(color=INK, alpha=0.12, linewidth=0.6)
                axes.set_axisbelow(True)
        draw(*all_axes)
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :].strip().replace(INK, "currentColor")
    # Several figures share a page, and these names, which nothing refers to, would be there several times.
    svg = re.sub(r' id="[A-Za-z0-9.]+_[0-9]+"', "", svg)
    # A millionth of a point, turns by no angle and indentation make up a third of what matplotlib writes.
    svg = re.sub(r'(?<= )(d|x|y)="([^"]*)"', _rounded, svg)
    svg = re.sub(r' transform="rotate\(-?0 [^"]*\)"', "", svg)
    svg = re.sub(r"\n +", "\n", svg)
    svg = re.sub(r'style="[^"]*"', lambda style: re.sub(r"([:;]) ", r"\1", style[0]), svg)
    svg = re.sub(_MARKERS, _styled_once, svg)
    # A size in points would fix what the page should scale.
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    return svg.replace("<svg", f'<svg role="img" aria-label="{escape(title, quote=True)}"', 1)


# The markers of a line, or the points of a cloud, that look alike.
_MARKERS = r'<g((?: clip-path="[^"]*")?)>\n((?:<use [^>]*(style="[^"]*")/>\n)(?:<use [^>]*\3/>\n)+)</g>'


def _styled_once(group: re.Match[str]) -> str:
    """Return a group of markers with their common style said once."""
    return f"<g{group[1]} {group[3]}>\n{group[2].replace(' ' + group[3], '')}</g>"


def _rounded(attribute: re.Match[str]) -> str:
    """Return coordinates with two decimals."""
    values = re.sub(r"[0-9]+\.[0-9]{3,}", lambda number: f"{float(number[0]):.2f}", attribute[2])
    return f'{attribute[1]}="{values}"'


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
