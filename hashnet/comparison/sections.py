"""What pages show of a comparison: tables over methods and lengths, curves, maps, training, neighbours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from hashnet.comparison.comparing import Comparison
from hashnet.comparison.runs import Result
from hashnet.evaluation import (
    GridRow,
    Page,
    bits_figure,
    gap_figure,
    loss_figure,
    mean_interval,
    precision_at_figure,
    precision_recall_figure,
    tsne_figure,
)
from hashnet.evaluation.figures_training import LN2
from hashnet.evaluation.sections import TSNE_LEAST, TSNE_POINTS, neighbour_rows, short, spread
from hashnet.index import Index

NO_HASHING = "cosine, no hashing"


def add_table(page: Page, done: Comparison, key: str, name: str) -> None:
    """Add a table of a figure: a row for each method, the best first, a column for each length."""
    values = done.values(key)
    all_bits = sorted({n_bits for of_bits in values.values() for n_bits in of_bits})
    rows = []
    for title in ordered(done):
        of_bits = values.get(title, {})
        cells = [with_interval(of_bits[n]) if n in of_bits else "–" for n in all_bits]
        rows.append((title, *cells))
    caption = f"{name}, mean ± half the 95% interval over seeds" if several_seeds(done) else name
    page.table(rows, header=("method", *(f"{n} bits" for n in all_bits)), caption=caption)


def ordered(done: Comparison) -> list[str]:
    """Return the titles of the methods, by the headline figure at the greatest length of each."""
    at_last: dict[str, tuple[int, float]] = {}
    for title, n_bits, value in done.by_merit():
        if title not in at_last or n_bits > at_last[title][0]:
            at_last[title] = (n_bits, value)
    return sorted(at_last, key=lambda title: -at_last[title][1])


def several_seeds(done: Comparison) -> bool:
    """Return whether there are several runs of a method at a length."""
    return len(done.settings.seeds) > 1


def intervals_said(done: Comparison) -> str:
    """Return what the intervals of figures are."""
    if several_seeds(done):
        return "Means over seeds with 95% intervals (Student's t)."
    if done.labelled:
        return "A single run each, with 95% intervals over queries (bootstrap)."
    return "A single run each."


def with_interval(runs: Sequence[float]) -> str:
    """Return the mean of runs, with half of its interval where there are several."""
    mean, _, high = mean_interval(runs)
    return f"{mean:.4f}" if len(runs) == 1 else f"{mean:.4f} ± {high - mean:.4f}"


def query_intervals(done: Comparison, key: str) -> dict[str, dict[int, tuple[float, float]]]:
    """Return the bootstrap intervals of single runs by method title and bits; none where there are several.

    Of several runs the spread over seeds is shown, which the bootstrap over queries does not know.
    """
    found: dict[str, dict[int, tuple[float, float]]] = {}
    if several_seeds(done):
        return found
    for one in done.results:
        interval = ((one.evaluation or {}).get("intervals") or {}).get(key)
        if interval:
            found.setdefault(one.title, {})[one.n_bits] = (interval["low"], interval["high"])
    return found


def over_bits(done: Comparison, key: str, name: str) -> str:
    """Return the SVG of a figure over the bits of a code; MAP with that of no hashing beside."""
    references = {NO_HASHING: done.cosine_map} if done.cosine_map and key.startswith("map") else {}
    return bits_figure(
        done.values(key), figure=name, references=references, intervals=query_intervals(done, key)
    )


def curves(done: Comparison, n_bits: int) -> tuple[str, str]:
    """Return the SVGs of precision over recall and of precision@N at a length, of the first seed."""
    chosen = done.first_seed()[n_bits]
    evaluations = {title: chosen[title].evaluation or {} for title in ordered(done) if title in chosen}
    return precision_recall_figure(evaluations), precision_at_figure(evaluations)


def maps(
    done: Comparison, titles: Sequence[str], n_bits: int, *, n_points: int = TSNE_POINTS, seed: int = 0
) -> str | None:
    """Return the SVG of t-SNE maps of the queries' codes by these methods side by side, of the first seed.

    None where there are no labels, or too few queries for a map.
    """
    features = done.features
    if features.labels is None or len(features.query) < TSNE_LEAST:
        return None
    chosen = done.first_seed()[n_bits]
    return tsne_figure(
        {title: done.runs.whole(chosen[title].job)[2] for title in titles},
        features.side_labels(features.query),
        classes=[short(name) for name in done.images.classes],
        n_points=n_points,
        seed=seed,
        others=False,
    )


def training(done: Comparison, titles: Sequence[str], n_bits: int) -> dict[str, str]:
    """Return the SVGs of ``loss`` (of the first method) and ``gap`` (of all) over the stages, first seed.

    Methods that train no network are left out; empty where none is left.
    """
    chosen = done.first_seed().get(n_bits, {})
    stages = {}
    for title in titles:
        whole = done.runs.whole(chosen[title].job)[0] if title in chosen else None
        if whole is not None and whole.stages:
            stages[title] = whole.stages
    if not stages:
        return {}
    first = next(iter(stages))
    silent = LN2 if first.startswith("HashNet") else None
    return {"loss": loss_figure(stages[first], silent=silent), "gap": gap_figure(stages)}


def neighbours(
    done: Comparison, title: str, n_bits: int, *, n_queries: int, k: int = 9, by_class: bool = False
) -> list[GridRow]:
    """Return the rows of a grid: queries of many classes and their nearest images by a method's codes.

    ``by_class`` captions images by their classes in place of their keys.
    """
    features = done.features
    _, database, query = done.runs.whole(done.first_seed()[n_bits][title].job)
    with Index.in_memory(n_bits=n_bits) as index:
        index.add(database)
        labels = features.side_labels(features.query)
        places = spread(np.arange(len(query)), labels, n_queries)
        nearest = index.search(query[places], min(k, len(database)))
    rows = features.rows[features.database[nearest.ids]]
    return neighbour_rows(
        done.images, features.rows[features.query[places]], nearest._replace(ids=rows), by_class=by_class
    )


def add_costs(page: Page, done: Comparison, *, n_bits: int | None = None) -> None:
    """Add a table of what fitting took, and what the codes of the database are like, at one length or all."""
    groups: dict[tuple[str, int], list[Result]] = {}
    for one in done.results:
        if n_bits in (None, one.n_bits):
            groups.setdefault((one.title, one.n_bits), []).append(one)
    page.table(
        [
            (
                f"{title}, {length} bits",
                f"{np.mean([one.fit_s for one in ones]):.2f}",
                _mean(ones, "distinct_codes", ",.0f"),
                _mean(ones, "mean_abs_correlation", ".3f"),
            )
            for (title, length), ones in groups.items()
        ],
        header=("method", "seconds to fit", "distinct codes", "mean |correlation| of bits"),
        caption=f"On features, without the backbone; codes are those of {len(done.features.database):,} "
        "images.",
    )


def add_protocol(page: Page, facts: Mapping[str, object]) -> None:
    """Add the table of what figures depend on; the description of a named protocol has one of its own."""
    recipe = facts.get("protocol")
    rows = [(name, _said(value)) for name, value in facts.items() if not isinstance(value, Mapping)]
    if isinstance(recipe, Mapping):
        said = [(str(name), _said(value)) for name, value in recipe.items()]
        page.table(said, header=("protocol", ""))
    page.table(rows, header=("setting", ""))


def _said(value: object) -> str:
    if isinstance(value, list):
        return "; ".join(map(str, value)) or "none"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _mean(results: Sequence[Result], name: str, form: str) -> str:
    found = [one.bit_figures[name] for one in results if name in one.bit_figures]
    return format(np.mean(found), form) if found else "–"
