"""The page of `reproduce`: tables with intervals, the published ones beside, and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hashnet.evaluation import Page, bits_figure, mean_interval, precision_at_figure, precision_recall_figure
from hashnet.training.methods import METHODS

Runs = Mapping[str, Mapping[int, Sequence[Mapping[str, Any]]]]
# The curves are of one length; all methods in one figure.
CURVE_BITS = 48


def write_page(path: Path, result: Mapping[str, Any], runs: Runs) -> None:
    """Write a self-contained page, and each figure of merit over bits as SVG beside it."""
    protocol = result["protocol"]
    runs = dict(sorted(runs.items(), key=lambda one: -_merit(one[1])))
    page = Page(
        f"Methods on {protocol['protocol']}",
        subtitle="benchmarks/reproduce.py: every method on the same features, over seeds",
    )
    page.facts(
        [
            ("database", f"{protocol['n_database']:,}"),
            ("queries", f"{protocol['n_query']:,}"),
            ("training", f"{protocol['n_train']:,}"),
            ("R", f"{protocol['R']:,}"),
            ("seeds", ", ".join(map(str, result["seeds"]))),
        ]
    )
    at = protocol["R"]
    merits = (
        ("map_tie_aware", f"MAP@{at}, tie-aware"),
        ("map", f"MAP@{at}, published definition"),
        ("precision_within", "P@H<=2"),
        ("empty_balls", "share of empty balls, H<=2"),
    )
    page.section("Tables")
    for name, title in merits:
        rows, header = table(runs, name)
        page.table(
            rows,
            header=header,
            caption=f"{title}: mean over seeds, and half of its 95% interval where there are several",
        )
    page.section("Figures")
    for name, title in merits[:1] + merits[2:3]:
        values = {
            METHODS[method].title: {
                bits: [run["evaluation"][name] for run in of] for bits, of in by_bits.items()
            }
            for method, by_bits in runs.items()
        }
        svg = bits_figure(values, figure=title)
        page.figure(svg, f"{title} over the bits of a code.")
        path.with_name(f"{path.stem}_{name}.svg").write_text(svg, encoding="utf-8")
    curves = {
        METHODS[method].title: by_bits[CURVE_BITS][0]["evaluation"]
        for method, by_bits in runs.items()
        if CURVE_BITS in by_bits
    }
    if curves:
        page.figure(precision_recall_figure(curves), f"Precision over recall, {CURVE_BITS} bits, first seed.")
        page.figure(precision_at_figure(curves), f"Precision@N, {CURVE_BITS} bits, first seed.")
    page.section("Published")
    page.text(
        "The paper's tables, with fine-tuned AlexNet on other images: the order of methods may be compared, "
        "the figures may not."
    )
    for name, published in result["published"].items():
        page.table(
            [
                (METHODS[method].title, *(f"{value:.4f}" for value in values))
                for method, values in published["methods"].items()
            ],
            header=("method", *(f"{bits} bits" for bits in published["bits"])),
            caption=name,
        )
    page.section("Protocol and settings")
    page.table([(key, str(value)) for key, value in protocol.items()], header=("protocol", ""))
    page.table(
        [
            (METHODS[method].title, str(chosen["settings"] or "defaults"), chosen["chosen_by"])
            for method, chosen in result["settings"].items()
            if method in runs
        ],
        header=("method", "settings", "chosen by"),
    )
    page.write(path)


def _merit(by_bits: Mapping[int, Sequence[Mapping[str, Any]]]) -> float:
    """Return what methods are ordered by: the mean MAP, tie-aware, at the greatest length."""
    return mean_interval([run["evaluation"]["map_tie_aware"] for run in by_bits[max(by_bits)]])[0]


def table(runs: Runs, name: str) -> tuple[list[tuple[str, ...]], tuple[str, ...]]:
    """Return a row of means and half intervals for each method, and the header."""
    lengths = sorted({bits for by_bits in runs.values() for bits in by_bits})
    rows = []
    for method, by_bits in runs.items():
        cells = []
        for bits in lengths:
            values = [run["evaluation"][name] for run in by_bits.get(bits, ())]
            if not values:
                cells.append("")
                continue
            mean, low, high = mean_interval(values)
            cells.append(f"{mean:.4f} ± {(high - low) / 2:.4f}" if len(values) > 1 else f"{mean:.4f}")
        rows.append((METHODS[method].title, *cells))
    return rows, ("method", *(f"{bits} bits" for bits in lengths))
