"""The report of a comparison: a page, the same figures as SVG, JSON and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hashnet.cli import pages
from hashnet.cli.comparison import COLUMN_NAMES, NEIGHBOURS, Comparison, Result, by_merit
from hashnet.cli.output import as_json
from hashnet.evaluation import (
    Page,
    bits_figure,
    mean_interval,
    precision_at_figure,
    precision_recall_figure,
    tsne_figure,
)
from hashnet.evaluation.figures import recall_at_figure
from hashnet.files import write_atomically
from hashnet.index import Index
from hashnet.training.methods import METHODS

MAPS = 3
"""Maps of codes side by side."""

NO_HASHING = "cosine, no hashing"

COLUMNS = tuple(COLUMN_NAMES)


def write_all(done: Comparison) -> dict[str, Path]:
    """Write report.html, report.json, report.csv and figures/; return their paths."""
    output = done.output
    page = report(done)
    write_atomically(output / "report.json", (as_json(to_json(done)) + "\n").encode())
    write_atomically(output / "report.csv", to_csv(done).encode())
    page.write_figures(output / "figures")
    page.write(output / "report.html")
    names = {"report": "report.html", "json": "report.json", "csv": "report.csv", "figures": "figures"}
    return {kind: output / name for kind, name in names.items()}


def to_json(done: Comparison) -> dict[str, Any]:
    """Return everything that was measured."""
    return {
        "protocol": done.protocol,
        "seeds": list(done.settings.seeds),
        "headline": done.headline[1],
        "cosine_map": done.cosine_map,
        "summary": summary(done),
        "results": done.results,
        "left_out": [{"what": what, "why": why} for what, why in done.left_out],
    }


def summary(done: Comparison) -> list[dict[str, Any]]:
    """Return mean and 95% interval over seeds of each figure, for each method and length, best first."""
    rows = []
    for title, n_bits, _ in by_merit(done):
        row: dict[str, Any] = {"method": title, "n_bits": n_bits}
        for key in COLUMNS:
            runs = done.values(key).get(title, {}).get(n_bits)
            if runs:
                row[key] = mean_interval(runs)
        rows.append(row)
    return rows


def to_csv(done: Comparison) -> str:
    """Return one row a result."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("method", "n_bits", "seed", *COLUMNS, "distinct_codes", "fit_s", "encode_s"))
    for one in done.results:
        figures = ["" if (value := one.figure(key)) is None else value for key in COLUMNS]
        costs = (one.bits["distinct_codes"], one.fit_s, one.encode_s)
        writer.writerow((METHODS[one.method].title, one.n_bits, one.seed, *figures, *costs))
    return text.getvalue()


def report(done: Comparison) -> Page:
    """Return the page."""
    images, table, (key, headline) = done.images, done.table, done.headline
    best_title, best_bits, best = next(by_merit(done))
    page = Page(
        f"How good would hashing be on {images.name}?",
        subtitle=f"hashnet compare, {images.source}",
        footer=f"Runs with different seeds: {len(done.settings.seeds)}. Written by hashnet compare.",
    )
    facts = [("best", f"{best_title}, {best_bits} bits"), (headline, f"{best:.3f}")]
    if done.cosine_map is not None:
        facts.append(("without hashing", f"{done.cosine_map:.3f}"))
    facts.append(("images", f"{len(table.features):,}"))
    facts.append(("bytes a code", f"{best_bits // 8} instead of {4 * table.features.shape[1]:,}"))
    page.facts(facts)
    page.section("What was done")
    page.text(_said(done))
    if done.protocol["weights"] is None:
        page.text(
            "The backbone has no trained weights: its features are those of a random network. The figures "
            "compare methods, but say little about what a trained backbone would reach on these images."
        )
    page.section(headline)
    _add_table(page, done, key, headline)
    references = {} if done.cosine_map is None else {NO_HASHING: done.cosine_map}
    intervals = _intervals_said(done)
    page.figure(
        bits_figure(
            done.values(key), figure=headline, references=references, intervals=query_intervals(done, key)
        ),
        intervals,
    )
    if done.labelled:
        _add_labelled(page, done, intervals)
    else:
        _add_unlabelled(page, done)
    _add_costs(page, done)
    if done.left_out:
        page.section("Left out")
        page.table(done.left_out, header=("what", "why"))
    page.section("Protocol")
    page.table([(name, str(value)) for name, value in done.protocol.items()], header=("setting", ""))
    page.section("How to go on")
    page.preformatted(_commands(done, best_title, best_bits))
    return page


def _said(done: Comparison) -> str:
    p = done.protocol
    begin = (
        f"{p['n_database'] + p['n_query']:,} images became {p['n_features']:,} features each by a frozen "
        f"{p['backbone']}. Every method was trained on the {p['n_database']:,} images of the database and "
        f"measured on {p['n_query']:,} queries that it had not seen. "
    )
    if done.labelled:
        return begin + (
            "Two images are similar if they share a label. MAP is the published definition, on a shuffled "
            f"database; P@H≤{p['radius']} counts empty balls as 0. Methods have their default settings, "
            "which were not tuned on these images."
        )
    return begin + (
        "There are no labels, so nobody knows which images are similar: methods are measured by how many of "
        f"the {NEIGHBOURS} images whose real-valued features are nearest by cosine come back among the N "
        "nearest codes. That says what hashing keeps of these features, not whether the features are good. "
        "Only methods that learn without labels can take part."
    )


def _add_table(page: Page, done: Comparison, key: str, name: str) -> None:
    values = done.values(key)
    all_bits = sorted({n_bits for of_bits in values.values() for n_bits in of_bits})
    rows = []
    for title in dict.fromkeys(title for title, _, _ in by_merit(done)):
        cells = []
        for n_bits in all_bits:
            runs = values.get(title, {}).get(n_bits)
            cells.append(_with_interval(runs) if runs else "–")
        rows.append((title, *cells))
    caption = f"{name}, mean ± half the 95% interval over seeds" if len(done.settings.seeds) > 1 else name
    page.table(rows, header=("method", *(f"{n} bits" for n in all_bits)), caption=caption)


def query_intervals(done: Comparison, key: str) -> dict[str, dict[int, tuple[float, float]]]:
    """Return the bootstrap intervals of single runs by method title and bits; none where there are several.

    Of several runs the spread over seeds is shown, which the bootstrap over queries does not know.
    """
    found: dict[str, dict[int, tuple[float, float]]] = {}
    if len(done.settings.seeds) > 1:
        return found
    for one in done.results:
        interval = ((one.evaluation or {}).get("intervals") or {}).get(key)
        if interval:
            found.setdefault(METHODS[one.method].title, {})[one.n_bits] = (interval["low"], interval["high"])
    return found


def _intervals_said(done: Comparison) -> str:
    if len(done.settings.seeds) > 1:
        return "Means over seeds with 95% intervals (Student's t)."
    if done.labelled:
        return "A single run each, with 95% intervals over queries (bootstrap)."
    return "A single run each."


def _with_interval(runs: Sequence[float]) -> str:
    mean, _, high = mean_interval(runs)
    return f"{mean:.4f}" if len(runs) == 1 else f"{mean:.4f} ± {high - mean:.4f}"


def _add_labelled(page: Page, done: Comparison, intervals: str) -> None:
    radius = done.protocol["radius"]
    page.figure(
        bits_figure(
            done.values("precision_within"),
            figure=f"P@H≤{radius}",
            intervals=query_intervals(done, "precision_within"),
        ),
        f"Precision within Hamming radius {radius}. {intervals}",
    )
    page.section(f"Within Hamming radius {radius}")
    page.text("A ball lookup is the fastest search there is, but long codes leave most balls empty.")
    _add_table(page, done, "precision_within", f"P@H≤{radius}")
    _add_table(page, done, "empty_balls", "share of empty balls")
    page.section("Curves")
    for n_bits, chosen in _first_seed(done).items():
        evaluations = {title: one.evaluation or {} for title, one in chosen.items()}
        page.figure(
            precision_recall_figure(evaluations),
            f"{n_bits} bits: precision over recall, a point for each radius. Seed {done.settings.seeds[0]}.",
        )
        page.figure(
            precision_at_figure(evaluations),
            f"{n_bits} bits: precision among the N nearest, mean over tie orders.",
        )
    _add_maps(page, done)
    _add_neighbours(page, done)


def _add_unlabelled(page: Page, done: Comparison) -> None:
    for n in (10, 100, 1000):
        if done.values(f"recall@{n}") and f"recall@{n}" != done.headline[0]:
            _add_table(page, done, f"recall@{n}", f"recall@{n} of the {NEIGHBOURS} nearest")
    page.section("Curves")
    for n_bits, chosen in _first_seed(done).items():
        curves = {
            title: {int(n): value for n, value in (one.recall or {}).items()} for title, one in chosen.items()
        }
        page.figure(
            recall_at_figure(curves),
            f"{n_bits} bits: share of the {NEIGHBOURS} nearest by features among the N nearest codes.",
        )


def _first_seed(done: Comparison) -> dict[int, dict[str, Result]]:
    """Return the results of the first seed by bits and method title."""
    found: dict[int, dict[str, Result]] = {}
    for one in done.results:
        if one.seed == done.settings.seeds[0]:
            found.setdefault(one.n_bits, {})[METHODS[one.method].title] = one
    return dict(sorted(found.items()))


def _add_maps(page: Page, done: Comparison) -> None:
    labels = done.table.query_labels
    if labels is None or len(labels) < pages.TSNE_LEAST:
        return
    n_bits, chosen = list(_first_seed(done).items())[-1]
    titles = list(dict.fromkeys(title for title, _, _ in by_merit(done) if title in chosen))
    shown = titles[: MAPS - 1] + titles[MAPS - 1 :][-1:]  # the best, and for contrast the last
    codes = {title: done.codes(chosen[title])[done.table.n_database :] for title in shown}
    page.section("Maps of the codes")
    page.figure(
        tsne_figure(
            codes,
            labels,
            classes=[pages.short(name) for name in done.images.classes],
            n_points=pages.TSNE_POINTS,
            seed=done.settings.seed,
            others=False,
        ),
        f"At {n_bits} bits. {pages.tsne_caption(len(labels), labels)}",
    )


def _add_neighbours(page: Page, done: Comparison, *, n_queries: int = 8, k: int = 9) -> None:
    table = done.table
    best_title, best_bits, _ = next(by_merit(done))
    best = _first_seed(done).get(best_bits, {}).get(best_title)
    if best is None:
        return
    codes = done.codes(best)
    with Index.in_memory(n_bits=best_bits) as index:
        index.add(codes[: table.n_database])
        queries = np.arange(table.n_database, len(table.rows))
        shown = pages.spread(queries, table.labels, n_queries)
        nearest = index.search(codes[shown], min(k, table.n_database))
    rows = nearest._replace(ids=table.rows[nearest.ids])
    page.section(f"Queries and their nearest neighbours: {best_title}, {best_bits} bits")
    pages.add_neighbour_grid(page, done.images, table.rows[shown], rows)


def _add_costs(page: Page, done: Comparison) -> None:
    page.section("Costs")
    rows: dict[tuple[str, int], list[Result]] = {}
    for one in done.results:
        rows.setdefault((METHODS[one.method].title, one.n_bits), []).append(one)
    page.table(
        [
            (
                f"{title}, {n_bits} bits",
                f"{np.mean([one.fit_s for one in ones]):.2f}",
                f"{np.mean([one.bits['distinct_codes'] for one in ones]):,.0f}",
                f"{np.mean([one.bits['mean_abs_correlation'] for one in ones]):.3f}",
            )
            for (title, n_bits), ones in rows.items()
        ],
        header=("method", "seconds to fit", "distinct codes", "mean |correlation| of bits"),
        caption=f"On features, without the backbone; codes are those of {done.table.n_database:,} images.",
    )


def _commands(done: Comparison, title: str, n_bits: int) -> str:
    p: Mapping[str, Any] = done.protocol
    name = next(name for name, method in METHODS.items() if method.title == title)
    weights = f" --weights {p['weights']}" if p["weights"] else ""
    if METHODS[name].shallow:
        return (
            "# in Python, on features of your images:\n"
            f"fitted = hashnet.training.methods.fit_features({name!r}, features, labels, n_bits={n_bits})\n"
            "codes = fitted.encode(features)"
        )
    return (
        f"hashnet train --data {p['source']} --method {name} --backbone {p['backbone']}{weights} "
        f"--freeze-backbone --bits {n_bits} --output model\n"
        f"hashnet hash {p['source']} --model model --index photos.hnx\n"
        "hashnet search photos.hnx --model model --image cat.jpg"
    )
