"""Figures of an evaluation as SVG, to stand in a page: curves, distances of pairs, latencies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashnet.evaluation.drawing import COLOURS, LEGEND_BESIDE, add_legend, look, looks, to_svg
from hashnet.evaluation.evaluate import Evaluation

Measured = Evaluation | Mapping[str, Any]
"""An evaluation, or what its ``to_json`` gave, also after a way through a JSON file."""


def precision_recall_figure(evaluations: Mapping[str, Measured]) -> str:
    """Return precision over recall, one line for each named evaluation, a point for each radius."""

    def draw(axes: Any) -> None:
        for name, i in looks(evaluations).items():
            recall = _field(evaluations[name], "curve_recall")
            precision = _field(evaluations[name], "curve_precision")
            axes.plot(
                recall, precision, label=name, markersize=3, markevery=_some(recall), **look(i, marker=True)
            )
        axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
        add_legend(axes, len(evaluations))

    width, height = _room(evaluations)
    return to_svg(draw, "Precision over recall within growing Hamming radius", width=width, height=height)


def precision_at_figure(evaluations: Mapping[str, Measured], *, tie_aware: bool = True) -> str:
    """Return precision@N over N, on a logarithmic scale."""

    def draw(axes: Any) -> None:
        for name, i in looks(evaluations).items():
            points = _field(evaluations[name], "precision_at_tie_aware" if tie_aware else "precision_at")
            ranks = [int(n) for n in points]  # JSON has them as strings
            axes.plot(ranks, list(points.values()), label=name, markersize=4, **look(i, marker=True))
        axes.set(xlabel="N, the nearest items", ylabel="precision@N", xscale="log", ylim=(0, 1.02))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        add_legend(axes, len(evaluations))

    width, height = _room(evaluations)
    return to_svg(draw, "Precision among the N nearest items", width=width, height=height)


def recall_at_figure(curves: Mapping[str, Mapping[int, float]]) -> str:
    """Return recall@N over N, on a logarithmic scale, one line for each named curve from N to recall."""

    def draw(axes: Any) -> None:
        for name, i in looks(curves).items():
            points = curves[name]
            axes.plot(list(points), list(points.values()), label=name, markersize=4, **look(i, marker=True))
        axes.set(xlabel="N, the nearest codes", ylabel="recall@N", xscale="log", ylim=(0, 1.02))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        add_legend(axes, len(curves))

    width, height = _room(curves)
    return to_svg(draw, "Recall among the N nearest codes", width=width, height=height)


def distance_figure(evaluation: Measured) -> str:
    """Return how distances of similar and of dissimilar pairs are distributed, each summing to 1."""
    n_bits = int(_field(evaluation, "n_bits"))

    def draw(axes: Any) -> None:
        x = np.arange(n_bits + 1)
        for i, (label, counts) in enumerate(
            (
                ("similar pairs", _field(evaluation, "similar")),
                ("dissimilar pairs", _field(evaluation, "dissimilar")),
            )
        ):
            shares = np.array(counts, dtype=np.float64) / max(1, sum(counts))
            axes.fill_between(x, shares, step="mid", alpha=0.25, color=COLOURS[i], linewidth=0)
            axes.step(x, shares, where="mid", label=label, **look(i))
        axes.set(xlabel="Hamming distance", ylabel="share of pairs", xlim=(0, n_bits))
        axes.set_ylim(bottom=0)
        add_legend(axes, 2)

    return to_svg(draw, "Distances of similar and dissimilar pairs")


def latency_figure(milliseconds: Mapping[str, NDArray[np.float64] | Sequence[float]]) -> str:
    """Return which share of queries was answered within a time, one line for each kind of question."""
    from matplotlib.ticker import LogLocator

    def draw(axes: Any) -> None:
        for i, (name, times) in enumerate(milliseconds.items()):
            ordered = np.sort(np.asarray(times, dtype=np.float64))
            shares = np.arange(1, len(ordered) + 1) / len(ordered)
            axes.step(ordered, shares, where="post", label=name, **look(i))
        axes.set(xlabel="milliseconds a query", ylabel="share of queries", xscale="log", ylim=(0, 1.02))
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.xaxis.set_minor_formatter(lambda value, _: "")
        add_legend(axes, len(milliseconds))

    return to_svg(draw, "Latency of queries")


def _field(evaluation: Measured, name: str) -> Any:
    return getattr(evaluation, name) if isinstance(evaluation, Evaluation) else evaluation[name]


def _some(points: Sequence[float]) -> list[int]:
    """Return which points get a marker: those at least 2% of the axis apart, so that dashes stay visible."""
    kept: list[int] = []
    for i, x in enumerate(points):
        if not kept or abs(x - points[kept[-1]]) >= 0.02:
            kept.append(i)
    return kept


def _room(named: Mapping[str, Any]) -> tuple[float, float]:
    """Return width and height of a figure, with room for a legend beside it where names are many."""
    if len(named) <= LEGEND_BESIDE:
        return 5.6, 3.4
    return 7.0, max(3.4, 0.24 * len(named) + 0.6)
