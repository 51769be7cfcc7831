"""The page of `reproduce`: tables with intervals, the published ones beside, and figures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hashnet.comparison import Comparison, sections
from hashnet.evaluation import Page, retrieval_grid, retrieval_grid_svg
from hashnet.evaluation.report import standing_alone
from hashnet.evaluation.sections import tsne_caption
from hashnet.training.methods import METHODS

# Curves, maps, training and neighbours are of one length and the first seed.
SHOWN_BITS = 48
# HashNet and the method that it grew from; their maps, stages and neighbours are shown.
SHOWN = ("hashnet", "dhn")
# With tanh(z) as it is, without continuation: the third gap.
SHOWN_TRAINED = (*SHOWN, "hashnet-sgn")
QUERIES, NEIGHBOURS = 4, 6
THUMBNAIL = 72
MAP_POINTS = 600


def write_page(
    page_path: Path, figures: Path, name: str, result: Mapping[str, Any], done: Comparison
) -> None:
    """Write a self-contained page, and its figures as ``name_*.svg`` into the folder ``figures``."""
    protocol = result["protocol"]
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
            *_best(done),
        ]
    )
    drawn: dict[str, str] = {}
    _add_tables(page, done, drawn, at=protocol["R"])
    if SHOWN_BITS in done.first_seed():
        _add_curves(page, done, drawn)
        _add_maps(page, done, drawn)
        _add_training(page, done, drawn)
        _add_neighbours(page, done, drawn)
        page.section("Costs")
        sections.add_costs(page, done, n_bits=SHOWN_BITS)
    _add_published(page, result["published"])
    page.section("Protocol and settings")
    sections.add_protocol(page, done.protocol)
    page.table(
        [
            (METHODS[method].title, _settings(chosen["settings"]), chosen["chosen_by"])
            for method, chosen in result["settings"].items()
            if method in result["figures"]
        ],
        header=("method", "settings", "chosen by"),
        caption="Methods without a row have the defaults of their own file.",
    )
    if done.left_out:
        page.section("Left out")
        page.table(done.left_out, header=("what", "why"))
    figures.mkdir(parents=True, exist_ok=True)
    for kind, svg in drawn.items():
        (figures / f"{name}_{kind}.svg").write_text(standing_alone(svg), encoding="utf-8")
    page.write(page_path)


def _best(done: Comparison) -> list[tuple[str, str]]:
    """Return the facts of the best method, and of no hashing."""
    title, bits, value = next(done.by_merit())
    best = [(f"best, {bits} bits", title), (done.headline[1], f"{value:.3f}")]
    return best if done.cosine_map is None else [*best, ("MAP without hashing", f"{done.cosine_map:.3f}")]


def shown_training(done: Comparison) -> dict[str, list[dict[str, Any]]]:
    """Return the stages of the trainings that the page shows, by method."""
    found = {}
    for method in SHOWN_TRAINED:
        one = done.first_seed().get(SHOWN_BITS, {}).get(METHODS[method].title)
        if one is not None:
            found[method] = done.runs.whole(one.job)[0].stages or []
    return found


def _add_tables(page: Page, done: Comparison, drawn: dict[str, str], *, at: int) -> None:
    merits = (
        ("map_tie_aware", f"MAP@{at}, tie-aware"),
        ("map", f"MAP@{at}, published definition"),
        ("precision_within", "P@H≤2"),
        ("empty_balls", "share of empty balls, H≤2"),
    )
    page.section("Tables")
    for key, title in merits:
        sections.add_table(page, done, key, title)
    page.section("Over the bits of a code")
    for key, title in merits[:1] + merits[2:3]:
        drawn[key] = sections.over_bits(done, key, title)
        page.figure(drawn[key], f"{title} over the bits of a code. {sections.intervals_said(done)}")


def _add_curves(page: Page, done: Comparison, drawn: dict[str, str]) -> None:
    page.section("Curves")
    drawn["precision_recall"], drawn["precision_at"] = sections.curves(done, SHOWN_BITS)
    page.figure(drawn["precision_recall"], f"Precision over recall, {SHOWN_BITS} bits, first seed.")
    page.figure(drawn["precision_at"], f"Precision@N, mean over tie orders, {SHOWN_BITS} bits, first seed.")


def _present(done: Comparison, methods: tuple[str, ...]) -> list[str]:
    """Return the titles of those methods that were measured."""
    measured = done.first_seed()[SHOWN_BITS]
    return [METHODS[method].title for method in methods if METHODS[method].title in measured]


def _add_maps(page: Page, done: Comparison, drawn: dict[str, str]) -> None:
    titles = _present(done, SHOWN)
    svg = sections.maps(done, titles, SHOWN_BITS, n_points=MAP_POINTS) if titles else None
    if svg is None:
        return
    drawn["tsne"] = svg
    labels = done.features.side_labels(done.features.query)
    page.section("Maps of the codes")
    page.figure(
        svg, f"The queries at {SHOWN_BITS} bits. {tsne_caption(min(len(labels), MAP_POINTS), labels)}"
    )


def _add_training(page: Page, done: Comparison, drawn: dict[str, str]) -> None:
    titles = _present(done, SHOWN_TRAINED)
    found = sections.training(done, titles, SHOWN_BITS)
    if not found:
        return
    drawn.update(found)
    page.section("Continuation")
    page.text(
        "HashNet begins with relaxed codes tanh(βz) and raises β stage by stage until they are the signs "
        "themselves. The others keep β = 1: what is left of their gap is what taking signs changes."
    )
    page.figure(
        found["loss"], f"{titles[0]}, {SHOWN_BITS} bits: loss on relaxed and on sgn codes over the stages."
    )
    page.figure(found["gap"], "Mean distance of a relaxed bit from its sign, over the stages.")


def _add_neighbours(page: Page, done: Comparison, drawn: dict[str, str]) -> None:
    for method in SHOWN:
        for title in _present(done, (method,)):
            rows = sections.neighbours(
                done, title, SHOWN_BITS, n_queries=QUERIES, k=NEIGHBOURS, by_class=True
            )
            page.section(f"Queries and their nearest neighbours: {title}, {SHOWN_BITS} bits")
            page.grid(retrieval_grid(rows, max_side=THUMBNAIL))
            drawn[f"neighbours_{method}"] = retrieval_grid_svg(rows, max_side=THUMBNAIL)


def _settings(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items()) or "defaults"


def _add_published(page: Page, published: Mapping[str, Mapping[str, Any]]) -> None:
    page.section("Published")
    page.text(
        "The paper's tables, with fine-tuned AlexNet on other images: the order of methods may be compared, "
        "the figures may not."
    )
    for name, table in published.items():
        page.table(
            [
                (METHODS[method].title, *(f"{value:.4f}" for value in values))
                for method, values in table["methods"].items()
            ],
            header=("method", *(f"{bits} bits" for bits in table["bits"])),
            caption=name,
        )
