"""Figures of an evaluation as SVG, to stand in a page: colours for every eye, legible on light and dark.

Lines differ in style and marker as well as in colour (Okabe & Ito's palette). Text and axes take the
colour of the page (``currentColor``); the same input gives the same bytes.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashnet.codes import Codes, unpack
from hashnet.evaluation.evaluate import Evaluation

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C8C8C", "#B8A800")
STYLES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
# A colour that nothing else has, put in where the page's own colour is meant.
INK = "#010203"
LN2 = float(np.log(2.0))


def precision_recall_figure(evaluations: Mapping[str, Evaluation]) -> str:
    """Return precision over recall, one line for each named evaluation, a point for each radius."""

    def draw(axes: Any) -> None:
        for i, (name, one) in enumerate(evaluations.items()):
            axes.plot(
                one.curve_recall, one.curve_precision, label=name, markersize=3, **_line(i, marker=True)
            )
        axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
        _legend(axes, len(evaluations))

    return _figure(draw, "Precision over recall within growing Hamming radius")


def precision_at_figure(evaluations: Mapping[str, Evaluation], *, tie_aware: bool = True) -> str:
    """Return precision@N over N, on a logarithmic scale."""

    def draw(axes: Any) -> None:
        for i, (name, one) in enumerate(evaluations.items()):
            points = one.precision_at_tie_aware if tie_aware else one.precision_at
            axes.plot(list(points), list(points.values()), label=name, markersize=4, **_line(i, marker=True))
        axes.set(xlabel="N, the nearest items", ylabel="precision@N", xscale="log", ylim=(0, 1.02))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        _legend(axes, len(evaluations))

    return _figure(draw, "Precision among the N nearest items")


def loss_figure(stages: Sequence[Mapping[str, Any]]) -> str:
    """Return the loss on relaxed and on sgn codes over the stages, with ln 2, where nothing is learned.

    ``stages`` are the stage metrics of a training: ``beta``, ``loss_relaxed`` and ``loss_sgn`` of each.
    """

    def draw(axes: Any) -> None:
        x = np.arange(len(stages))
        for i, (key, label) in enumerate((("loss_relaxed", "relaxed codes"), ("loss_sgn", "sgn codes"))):
            axes.plot(x, [stage[key] for stage in stages], label=label, markersize=4, **_line(i, marker=True))
        axes.axhline(LN2, color=INK, linewidth=0.8, linestyle=(0, (1, 3)))
        axes.annotate(
            "ln 2",
            (1, LN2),
            xycoords=("axes fraction", "data"),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            color=INK,
        )
        _stage_axis(axes, stages)
        top = max([LN2, *(stage[key] for stage in stages for key in ("loss_relaxed", "loss_sgn"))])
        axes.set(ylabel="loss", ylim=(0, 1.08 * top))
        _legend(axes, 2)

    return _figure(draw, "Loss on relaxed and on sgn codes over the stages")


def gap_figure(stages: Sequence[Mapping[str, Any]]) -> str:
    """Return the mean of |tanh(beta z) - sgn z| over the stages; ``stages`` have ``beta`` and ``gap``."""

    def draw(axes: Any) -> None:
        x = np.arange(len(stages))
        axes.plot(x, [stage["gap"] for stage in stages], markersize=4, **_line(0, marker=True))
        _stage_axis(axes, stages)
        axes.set(ylabel="mean |tanh(βz) − sgn z|")
        axes.set_ylim(bottom=0)

    return _figure(draw, "Quantisation gap over the stages")


def distance_figure(evaluation: Evaluation) -> str:
    """Return how distances of similar and of dissimilar pairs are distributed, each summing to 1."""

    def draw(axes: Any) -> None:
        x = np.arange(evaluation.n_bits + 1)
        for i, (label, counts) in enumerate(
            (("similar pairs", evaluation.similar), ("dissimilar pairs", evaluation.dissimilar))
        ):
            shares = np.array(counts, dtype=np.float64) / max(1, sum(counts))
            axes.fill_between(x, shares, step="mid", alpha=0.25, color=COLOURS[i], linewidth=0)
            axes.step(x, shares, where="mid", label=label, **_line(i))
        axes.set(xlabel="Hamming distance", ylabel="share of pairs", xlim=(0, evaluation.n_bits))
        axes.set_ylim(bottom=0)
        _legend(axes, 2)

    return _figure(draw, "Distances of similar and dissimilar pairs")


def latency_figure(milliseconds: Mapping[str, NDArray[np.float64] | Sequence[float]]) -> str:
    """Return which share of queries was answered within a time, one line for each kind of question."""
    from matplotlib.ticker import LogLocator

    def draw(axes: Any) -> None:
        for i, (name, times) in enumerate(milliseconds.items()):
            ordered = np.sort(np.asarray(times, dtype=np.float64))
            shares = np.arange(1, len(ordered) + 1) / len(ordered)
            axes.step(ordered, shares, where="post", label=name, **_line(i))
        axes.set(xlabel="milliseconds a query", ylabel="share of queries", xscale="log", ylim=(0, 1.02))
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.xaxis.set_minor_formatter(lambda value, _: "")
        _legend(axes, len(milliseconds))

    return _figure(draw, "Latency of queries")


def tsne_figure(
    codes: Codes,
    labels: NDArray[Any],
    *,
    classes: Sequence[str] = (),
    n_points: int = 1000,
    seed: int = 0,
) -> str:
    """Return a t-SNE map of up to ``n_points`` codes by Hamming distance, coloured by first label.

    ``labels`` are multi-hot. More than 16 classes are told apart only for the 16 most frequent; the rest is
    grey. About 3 seconds for 1000 codes.
    """
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    if len(codes) < 5:
        raise ValueError(f"t-SNE needs at least 5 codes, got {len(codes)}")
    if len(labels) != len(codes):
        raise ValueError(f"labels has {len(labels)} rows for {len(codes)} codes; give each code one row")
    rows = np.random.default_rng(seed).permutation(len(codes))[:n_points]
    bits = unpack(np.ascontiguousarray(codes[rows])).astype(np.float32)
    ones = bits.sum(axis=1)
    distances = np.maximum(ones[:, None] + ones[None, :] - 2 * bits @ bits.T, 0)
    np.fill_diagonal(distances, 0)
    # On so few points threads of OpenMP and BLAS mostly wait for each other: five times on a busy machine.
    with threadpool_limits(1):
        places = TSNE(
            metric="precomputed", init="random", perplexity=min(30, (len(rows) - 1) / 3), random_state=seed
        ).fit_transform(distances)
    first = np.where(labels[rows].any(axis=1), labels[rows].argmax(axis=1), -1)
    counts = np.bincount(first[first >= 0], minlength=labels.shape[1])
    shown = np.sort(np.argsort(-counts, kind="stable")[: min(16, np.count_nonzero(counts))])

    def draw(axes: Any) -> None:
        others = ~np.isin(first, shown)
        if others.any():
            axes.scatter(*places[others].T, s=6, color="#9A9A9A", linewidths=0, label="others")
        for i, label in enumerate(shown):
            name = str(classes[label]) if label < len(classes) else str(label)
            marker = MARKERS[(i + i // len(COLOURS)) % len(MARKERS)]
            points = places[first == label]
            axes.scatter(
                *points.T, s=14, color=COLOURS[i % len(COLOURS)], marker=marker, linewidths=0, label=name
            )
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        axes.legend(
            loc="center left",
            bbox_to_anchor=(1.01, 0.5),
            frameon=False,
            fontsize=9,
            handletextpad=0.2,
            markerscale=1.4,
        )

    return _figure(draw, "t-SNE map of the codes", height=4.2, grid=False)


def _line(i: int, *, marker: bool = False) -> dict[str, Any]:
    line: dict[str, Any] = {
        "color": COLOURS[i % len(COLOURS)],
        "linestyle": STYLES[i % len(STYLES)],
        "linewidth": 1.8,
    }
    return {**line, "marker": MARKERS[i % len(MARKERS)]} if marker else line


def _stage_axis(axes: Any, stages: Sequence[Mapping[str, Any]]) -> None:
    labels = [f"{stage['beta']:.3g}" if stage["beta"] < 1000 else f"{stage['beta']:.0e}" for stage in stages]
    labels = [re.sub(r"e\+0*", "e", label) for label in labels]
    # Stage -1 is what training began with.
    if stages and stages[0].get("stage") == -1:
        labels[0] = "start"
    axes.set_xticks(np.arange(len(stages)), labels)
    axes.set_xlabel("β at the end of each stage")


def _legend(axes: Any, n: int) -> None:
    if n > 1:
        axes.legend(frameon=False, fontsize=9)


def _figure(draw: Callable[[Any], None], title: str, *, height: float = 3.4, grid: bool = True) -> str:
    """Return the SVG of one pair of axes, without touching the caller's matplotlib settings."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    settings = {
        "svg.fonttype": "none",
        "svg.hashsalt": title,
        "font.family": "sans-serif",
        "font.size": 10,
        "axes.unicode_minus": True,
        **{f"axes.spines.{side}": False for side in ("top", "right")},
        **dict.fromkeys(
            ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK
        ),
    }
    with mpl.rc_context(settings):
        figure = Figure(figsize=(5.6, height), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        if grid:
            axes.grid(color=INK, alpha=0.12, linewidth=0.6)
            axes.set_axisbelow(True)
        draw(axes)
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :].strip().replace(INK, "currentColor")
    # A size in points would fix what the page should scale.
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    return svg.replace("<svg", f'<svg role="img" aria-label="{title}"', 1)
