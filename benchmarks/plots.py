"""Figures of the stored results: latency against radius, against k and against n, and how good plans are.

    python -m benchmarks.plots                 all figures that the results in results/ allow

Medians of one query on one thread, as stored by bench_search and bench_planner, on logarithmic axes. hashnet
inside the engine; other systems as called from Python.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

from benchmarks.provenance import RESULTS, size_of

# One look for each system in every figure, best known first.
_SYSTEMS: dict[str, dict[str, Any]] = {
    "hashnet": {"color": "tab:red", "marker": "o", "linewidth": 2.2},
    "linear scan": {"color": "tab:gray", "marker": "s"},
    "FAISS Flat": {"color": "tab:blue", "marker": "v"},
    "FAISS MultiHash": {"color": "tab:green", "marker": "^"},
    "FAISS IVF": {"color": "tab:cyan", "marker": "d"},
    "FAISS Hash": {"color": "tab:olive", "marker": "<"},
    "usearch exact": {"color": "tab:purple", "marker": "x"},
}
_OVER_N = ("radius 4", "radius 8", "k 10", "k 100")


def main() -> None:
    """Draw what there is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=RESULTS)
    folder = parser.parse_args().results
    by_bits: dict[int, list[dict[str, Any]]] = {}
    for path in sorted(folder.glob("search_*.json")):
        result = json.loads(path.read_text(encoding="utf-8"))
        # Results of before there were goals look otherwise.
        if "goals" in result:
            by_bits.setdefault(result["protocol"]["n_bits"], []).append(result)
            draw_questions(result, folder / f"{path.stem}.svg")
    for n_bits, results in by_bits.items():
        if len(results) > 1:
            draw_sizes(results, folder / f"search_sizes_{n_bits}.svg")
    for path in sorted(folder.glob("planner*.json")):
        draw_planner(json.loads(path.read_text(encoding="utf-8")), path.with_suffix(".svg"))


def systems_of(row: dict[str, Any]) -> dict[str, float]:
    """Return the milliseconds of each system in a row of figures; of a family of indexes, the best."""
    times = {"hashnet": row["engine ms"]}
    if "linear scan ms" in row:
        times["linear scan"] = row["linear scan ms"]
    for name, ms in row.get("others ms", {}).items():
        family = next(system for system in _SYSTEMS if name.startswith(system))
        times[family] = min(ms, times.get(family, math.inf))
    return times


def draw_questions(result: dict[str, Any], path: Path) -> None:
    """Draw latency against radius and against k, one pair of panels for each workload."""
    figures = result["figures"]
    plot = new_plot()
    figure, axes = plot.subplots(len(figures), 2, figsize=(10, 3.8 * len(figures)), squeeze=False)
    n, n_bits = result["protocol"]["n"], result["protocol"]["n_bits"]
    for panels, (workload, rows) in zip(axes, figures.items(), strict=True):
        for panel, kind in zip(panels, ("radius", "k"), strict=True):
            points = [
                (int(question.split()[1]), systems_of(row))
                for question, row in rows.items()
                if question.split()[0] == kind
            ]
            _lines(panel, points)
            panel.set_title(f"{workload}, {n:,} codes of {n_bits} bits")
            panel.set_xlabel(kind)
            if kind == "k":
                panel.set_xscale("log")
    save_figure(figure, axes, path)


def draw_sizes(results: list[dict[str, Any]], path: Path) -> None:
    """Draw latency against the number of codes, one panel for each workload and question."""
    results = sorted(results, key=lambda result: result["protocol"]["n"])
    workloads = sorted({name for result in results for name in result["figures"]})
    plot = new_plot()
    figure, axes = plot.subplots(
        len(workloads), len(_OVER_N), figsize=(4 * len(_OVER_N), 3.6 * len(workloads)), squeeze=False
    )
    for panels, workload in zip(axes, workloads, strict=True):
        for panel, question in zip(panels, _OVER_N, strict=True):
            points = [
                (result["protocol"]["n"], systems_of(result["figures"][workload][question]))
                for result in results
                if question in result["figures"].get(workload, {})
            ]
            _lines(panel, points)
            panel.set_xscale("log")
            panel.set_title(f"{workload}, {question}")
            panel.set_xlabel("codes")
    save_figure(figure, axes, path)


def draw_planner(result: dict[str, Any], path: Path) -> None:
    """Draw time as planned over the better of probing and scanning, against radius and against k."""
    plot = new_plot()
    figure, axes = plot.subplots(1, 2, figsize=(12, 4.5), squeeze=False)
    for panel, kind in zip(axes[0], ("radius", "k"), strict=True):
        for one in result["series"]:
            points = [
                (int(row["question"].split()[1]), row["ratio"])
                for row in one["rows"]
                if row["question"].split()[0] == kind
            ]
            if points:
                label = f"{one['workload']}, {size_of(one['n'])}"
                panel.plot(*zip(*points, strict=True), marker=".", label=label)
        panel.axhline(1, color="black", linewidth=0.8)
        panel.axhline(result["protocol"]["limit"], color="black", linewidth=0.8, linestyle="--")
        panel.set_xlabel(kind)
        panel.set_ylabel("planned / better of probing and scanning")
    axes[0][1].set_xscale("log")
    save_figure(figure, axes, path)


def _lines(panel: Any, points: list[tuple[int, dict[str, float]]]) -> None:
    for system, look in _SYSTEMS.items():
        line = [(x, times[system]) for x, times in points if system in times]
        if line:
            panel.plot(*zip(*line, strict=True), label=system, markersize=4, **look)
    panel.set_yscale("log")
    panel.set_ylabel("ms a query")
    panel.grid(visible=True, which="major", alpha=0.3)


def new_plot() -> Any:
    """Return pyplot, set so that the same results give the same bytes."""
    import matplotlib

    matplotlib.use("agg")
    matplotlib.rcParams["svg.hashsalt"] = "hashnet"
    from matplotlib import pyplot

    return pyplot


def save_figure(figure: Any, axes: Any, path: Path) -> None:
    """Write a figure with one legend for all its panels."""
    handles: dict[str, Any] = {}
    for panel in axes.flat:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    figure.legend(
        handles.values(), handles.keys(), loc="outside lower center", ncols=min(6, len(handles) or 1)
    )
    figure.set_layout_engine("constrained")
    figure.savefig(path, metadata={"Date": None})
    new_plot().close(figure)
    print(f"drawn: {path}")


if __name__ == "__main__":
    main()
