"""What the demonstration shows: its summary, its figures as JSON, and its page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hashnet.cli import pages
from hashnet.cli.demonstration import RADIUS, Demonstration, K
from hashnet.evaluation import Page, latency_figure, sections
from hashnet.results import Neighbors

SHOWN_QUERIES = 10
# As many as stand in one row of the page.
SHOWN_NEIGHBOURS = 9


def summary(demo: Demonstration) -> dict[str, str]:
    """Return the headline figures as (name, value)."""
    evaluation = demo.measured.evaluation
    lines = {
        f"MAP@{evaluation.at}": f"{evaluation.map:.4f}",
        f"MAP@{evaluation.at}, tie-aware": f"{evaluation.map_tie_aware:.4f}",
        f"P@H<={evaluation.radius}": f"{evaluation.precision_within:.4f}",
        "mismatches": f"{demo.n_mismatches} in {demo.n_compared:,} comparisons",
    }
    for (system, question), timing in demo.timings.items():
        lines[f"{system}, {question}"] = (
            f"median {timing.median_ms:.3g} ms, p99 {timing.p99_ms:.3g} ms, "
            f"{timing.queries_per_s:,.0f} queries/s in a batch"
        )
    return lines


def figures(demo: Demonstration) -> dict[str, Any]:
    """Return everything that was measured, for JSON."""
    return {
        "evaluation": demo.measured.evaluation.to_json(),
        "mismatches": demo.n_mismatches,
        "compared": demo.n_compared,
        "crosscheck": {name: check.to_json() for name, check in demo.checks.items()},
        "timings": [
            {
                "index": system,
                "question": question,
                "median_ms": timing.median_ms,
                "p99_ms": timing.p99_ms,
                "queries_per_s": timing.queries_per_s,
            }
            for (system, question), timing in demo.timings.items()
        ],
        "steps": [{"step": what, "details": said, "seconds": s} for what, said, s in demo.steps],
    }


def write_page(path: Path, demo: Demonstration, *, seed: int) -> None:
    """Write the page of the demonstration, self-contained."""
    measured, images = demo.measured, demo.images
    evaluation = measured.evaluation
    plain = next(iter(demo.timings.values()))
    page = Page(
        "hashnet: from images to exact search",
        subtitle=f"{len(images):,} handwritten digits, {evaluation.n_bits}-bit codes, seed {seed}",
        footer="Written by hashnet demo. Times are of this run on this machine.",
    )
    page.facts(
        [
            (f"MAP@{evaluation.at:,}", f"{evaluation.map:.3f}"),
            (f"P@H≤{evaluation.radius}", f"{evaluation.precision_within:.3f}"),
            ("mismatches", str(demo.n_mismatches)),
            (f"median latency, k={K}", f"{plain.median_ms:.3g} ms"),
            ("throughput", f"{plain.queries_per_s:,.0f}/s"),
        ]
    )
    page.section("What was done")
    page.text(
        "A small network learned to give similar images similar binary codes. The codes of the database were "
        "computed by Ray workers and put into an index; images that the network had never seen were searched "
        "in it, as one index and through shards on Ray, and every answer was compared with those of other "
        "systems."
    )
    page.table(
        [(what, said, f"{seconds:.1f}") for what, said, seconds in demo.steps],
        header=("step", "what", "seconds"),
    )
    sections.add_figures(page, evaluation)
    page.section("Latency and throughput")
    page.table(
        [
            (
                f"{system}, {question}",
                f"{timing.median_ms:.3g}",
                f"{timing.p99_ms:.3g}",
                f"{timing.queries_per_s:,.0f}",
            )
            for (system, question), timing in demo.timings.items()
        ],
        header=("asked", "median ms", "p99 ms", "queries/s, all at once"),
        caption="At this size a shard's answer is mostly the way to another process and back.",
    )
    add_crosscheck(page, demo)
    sections.add_curves(page, evaluation, *all_codes(demo), classes=images.classes, seed=seed)
    page.figure(
        latency_figure({f"{s}, {q}": timing.milliseconds for (s, q), timing in demo.timings.items()}),
        "Share of queries answered within a time, each query asked alone.",
    )
    pages.add_training(page, measured.encoder.model.metrics)
    shown = sections.spread(measured.query.ids, images.labels, SHOWN_QUERIES)
    rows = np.searchsorted(measured.query.ids, shown)
    sections.add_neighbours(
        page,
        images,
        shown,
        Neighbors(demo.nearest.distances[rows, :SHOWN_NEIGHBOURS], demo.nearest.ids[rows, :SHOWN_NEIGHBOURS]),
    )
    page.section("The same by hand")
    page.preformatted(COMMANDS.format(bits=evaluation.n_bits, seed=seed))
    page.write(path)


def add_crosscheck(page: Page, demo: Demonstration) -> None:
    """Add the table of comparisons."""
    page.section("Cross-check")
    page.text(
        f"The {K} nearest and all codes within radius {RADIUS} of each query, compared in ids, distances and "
        "order with systems that know nothing of this index."
    )
    page.table(
        [
            (name, one.question, one.system, one.n_compared, one.n_mismatches, one.n_skipped)
            for name, check in demo.checks.items()
            for one in check.comparisons
        ],
        header=("hashnet", "question", "against", "compared", "mismatches", "not asked"),
    )
    different = [str(mismatch) for check in demo.checks.values() for mismatch in check.mismatches]
    if different:
        page.preformatted("\n".join(different))


def all_codes(demo: Demonstration) -> tuple[Any, Any]:
    """Return codes of database and queries together, and their labels."""
    database, query = demo.measured.database, demo.measured.query
    labels: Any = demo.images.labels
    return (
        np.concatenate([database.codes, query.codes]),
        labels[np.concatenate([database.ids, query.ids])],
    )


COMMANDS = """\
hashnet train --data digits --backbone small_cnn --bits {bits} --seed {seed} --output model
hashnet encode --model model --data digits --part database --output codes --workers 2
hashnet build codes --output digits.hnx --shards 2
hashnet crosscheck digits.hnx --radius 2 --k 10
hashnet search digits.hnx --image some_digit.png --model model --k 10
hashnet evaluate --model model --data digits --report page.html"""
