"""The report of a comparison: a page, and the same figures as JSON and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any

from hashnet.comparison import sections
from hashnet.comparison.comparing import COLUMN_NAMES, NEIGHBOURS, Comparison
from hashnet.evaluation import Page, mean_interval, retrieval_grid
from hashnet.evaluation.figures import recall_at_figure
from hashnet.evaluation.sections import tsne_caption
from hashnet.training.methods import METHODS

MAPS = 3
"""Maps of codes side by side."""

COLUMNS = tuple(COLUMN_NAMES)

_DEEP = {method.title for method in METHODS.values() if not method.shallow}


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
    for title, n_bits, _ in done.by_merit():
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
        costs = (one.bit_figures.get("distinct_codes", ""), one.fit_s, one.encode_s)
        writer.writerow((one.title, one.n_bits, one.seed, *figures, *costs))
    return text.getvalue()


def report(done: Comparison) -> Page:
    """Return the page."""
    images, features, (key, headline) = done.images, done.features, done.headline
    best_title, best_bits, best = next(done.by_merit())
    page = Page(
        f"How good would hashing be on {images.name}?",
        subtitle=f"hashnet compare, {images.source}",
        footer=f"Runs with different seeds: {len(done.settings.seeds)}. Written by hashnet compare.",
    )
    facts = [("best", f"{best_title}, {best_bits} bits"), (headline, f"{best:.3f}")]
    if done.cosine_map is not None:
        facts.append(("without hashing", f"{done.cosine_map:.3f}"))
    facts.append(("images", f"{len(features.values):,}"))
    facts.append(("bytes a code", f"{best_bits // 8} instead of {4 * features.values.shape[1]:,}"))
    page.facts(facts)
    page.section("What was done")
    page.text(_said(done))
    if done.protocol["weights"] is None:
        page.text(
            "The backbone has no trained weights: its features are those of a random network. The figures "
            "compare methods, but say little about what a trained backbone would reach on these images."
        )
    page.section(headline)
    sections.add_table(page, done, key, headline)
    page.figure(sections.over_bits(done, key, headline), sections.intervals_said(done))
    if done.labelled:
        _add_labelled(page, done)
    else:
        _add_unlabelled(page, done)
    page.section("Costs")
    sections.add_costs(page, done)
    if done.left_out:
        page.section("Left out")
        page.table(done.left_out, header=("what", "why"))
    page.section("Protocol")
    sections.add_protocol(page, done.protocol)
    page.section("How to go on")
    page.preformatted(_commands(done, best_title, best_bits))
    return page


def _said(done: Comparison) -> str:
    p = done.protocol
    n_images = len(done.features.values)
    trained_on = (
        f"the {p['n_database']:,} images of the database"
        if "protocol" not in p
        else f"the {p['n_train']:,} training images of the protocol {p['protocol']['protocol']}"
    )
    begin = (
        f"{n_images:,} images became {p['n_features']:,} features each by a frozen {p['backbone']}. Every "
        f"method was trained on {trained_on} and measured on {p['n_query']:,} queries that it had not seen. "
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


def _add_labelled(page: Page, done: Comparison) -> None:
    radius = done.protocol["radius"]
    page.figure(
        sections.over_bits(done, "precision_within", f"P@H≤{radius}"),
        f"Precision within Hamming radius {radius}. {sections.intervals_said(done)}",
    )
    page.section(f"Within Hamming radius {radius}")
    page.text("A ball lookup is the fastest search there is, but long codes leave most balls empty.")
    sections.add_table(page, done, "precision_within", f"P@H≤{radius}")
    sections.add_table(page, done, "empty_balls", "share of empty balls")
    page.section("Curves")
    for n_bits in done.first_seed():
        over_recall, at = sections.curves(done, n_bits)
        page.figure(
            over_recall,
            f"{n_bits} bits: precision over recall, a point for each radius. Seed {done.settings.seeds[0]}.",
        )
        page.figure(at, f"{n_bits} bits: precision among the N nearest, mean over tie orders.")
    _add_maps(page, done)
    _add_training(page, done)
    _add_neighbours(page, done)


def _add_unlabelled(page: Page, done: Comparison) -> None:
    for n in (10, 100, 1000):
        if done.values(f"recall@{n}") and f"recall@{n}" != done.headline[0]:
            sections.add_table(page, done, f"recall@{n}", f"recall@{n} of the {NEIGHBOURS} nearest")
    page.section("Curves")
    for n_bits, chosen in done.first_seed().items():
        curves = {
            title: {int(n): value for n, value in (one.recall or {}).items()} for title, one in chosen.items()
        }
        page.figure(
            recall_at_figure(curves),
            f"{n_bits} bits: share of the {NEIGHBOURS} nearest by features among the N nearest codes.",
        )


def _longest(done: Comparison) -> tuple[int, list[str]]:
    """Return the greatest length of the first seed, and the titles that have it, in the order of merit."""
    n_bits, chosen = list(done.first_seed().items())[-1]
    return n_bits, [title for title in sections.ordered(done) if title in chosen]


def _add_maps(page: Page, done: Comparison) -> None:
    n_bits, titles = _longest(done)
    shown = titles[: MAPS - 1] + titles[MAPS - 1 :][-1:]  # the best, and for contrast the last
    svg = sections.maps(done, shown, n_bits, seed=done.settings.seeds[0])
    if svg is not None:
        labels = done.features.side_labels(done.features.query)
        page.section("Maps of the codes")
        page.figure(svg, f"At {n_bits} bits. {tsne_caption(len(labels), labels)}")


def _add_training(page: Page, done: Comparison) -> None:
    n_bits, titles = _longest(done)
    deep = [title for title in titles if title in _DEEP]
    # HashNet's own figures come first where it takes part.
    deep.sort(key=lambda title: title != METHODS["hashnet"].title)
    figures = sections.training(done, deep, n_bits)
    if figures:
        page.section("Training")
        page.figure(
            figures["loss"], f"{deep[0]}, {n_bits} bits: loss on relaxed and on sgn codes over the stages."
        )
        page.figure(figures["gap"], "Mean distance of a relaxed bit from its sign, over the stages.")


def _add_neighbours(page: Page, done: Comparison) -> None:
    title, n_bits, _ = next(done.by_merit())
    if title in done.first_seed().get(n_bits, {}):
        page.section(f"Queries and their nearest neighbours: {title}, {n_bits} bits")
        page.grid(retrieval_grid(sections.neighbours(done, title, n_bits, n_queries=8)))


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
    protocol = f" --protocol {p['protocol']['protocol']}" if "protocol" in p else ""
    return (
        f"hashnet train --data {p['source']}{protocol} --method {name} --backbone {p['backbone']}{weights} "
        f"--freeze-backbone --bits {n_bits} --output model\n"
        f"hashnet hash {p['source']} --model model --index photos.hnx\n"
        "hashnet search photos.hnx --model model --image cat.jpg"
    )
