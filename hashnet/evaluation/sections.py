"""Sections of a report about retrieval: figures, curves, and queries with their neighbours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hashnet.codes import Codes, Ids
from hashnet.evaluation.evaluate import Evaluation
from hashnet.evaluation.figures import distance_figure, precision_at_figure, precision_recall_figure
from hashnet.evaluation.figures_training import gap_figure, loss_figure
from hashnet.evaluation.report import Page
from hashnet.evaluation.retrieval_grid import GridItem, GridRow, retrieval_grid
from hashnet.evaluation.tsne import SHOWN_CLASSES, tsne_figure
from hashnet.results import PAD_ID, Neighbors

if TYPE_CHECKING:
    from hashnet.datasets import ImageSet

# The best and the worst classes of a table.
CLASSES_SHOWN = 15
TSNE_POINTS = 1000
# Below this number of codes a map of them says nothing, and t-SNE refuses.
TSNE_LEAST = 30
LONGEST_NAME = 20


def add_figures(page: Page, evaluation: Evaluation) -> None:
    """Add the headline figures and the protocol they were measured by."""
    page.section("Figures")
    page.table(evaluation.rows(), header=("figure", "value"), caption="Means over all queries.")
    page.table(
        evaluation.interval_rows(),
        header=("95% interval", "mean", "low", "high"),
        caption="By bootstrap over queries; it knows nothing of other seeds of training.",
    )
    page.table(evaluation.protocol(), header=("protocol", ""))


def add_classes(page: Page, evaluation: Evaluation) -> None:
    """Add the figures of each class, best first; of many classes only the ends of that list."""
    rows = evaluation.class_rows()
    if len(rows) < 2:
        return
    page.section("Classes")
    caption = "Means over the queries of each class, best MAP first."
    if len(rows) > 2 * CLASSES_SHOWN:
        left_out = len(rows) - 2 * CLASSES_SHOWN
        gap = (f"… {left_out:,} more", *("" for _ in rows[0][1:]))
        rows = [*rows[:CLASSES_SHOWN], gap, *rows[-CLASSES_SHOWN:]]
    header = ("class", "queries", *(name.replace("_", " ") for name in evaluation.intervals))
    page.table(rows, header=header, caption=caption)


def add_curves(
    page: Page,
    evaluation: Evaluation,
    codes: Codes,
    labels: Any,
    *,
    classes: Sequence[str],
    seed: int,
    method: str = "HashNet",
) -> None:
    """Add precision-recall, precision@N, distances of pairs, and a t-SNE map of ``codes``."""
    page.section("Curves")
    named = {method: evaluation}
    page.figure(
        precision_recall_figure(named),
        "Precision over recall, pooled over queries: a point for each radius from 0 on.",
    )
    page.figure(precision_at_figure(named), "Precision among the N nearest, mean over tie orders.")
    page.figure(
        distance_figure(evaluation), "Hamming distances between queries and database, by shared label."
    )
    if len(codes) >= TSNE_LEAST:
        page.figure(
            tsne_figure(
                codes,
                labels,
                classes=[short(name) for name in classes],
                n_points=TSNE_POINTS,
                seed=seed,
                others=False,
            ),
            tsne_caption(len(codes), labels),
        )


def tsne_caption(n: int, labels: Any) -> str:
    """Return what stands below a map of ``n`` codes with these labels."""
    n_classes = int(np.count_nonzero(labels.any(axis=0)))
    of = f" of the {SHOWN_CLASSES} most frequent classes" if n_classes > SHOWN_CLASSES else ""
    points = f"up to {min(n, TSNE_POINTS):,} codes{of}"
    several = int(labels.sum(axis=1, dtype=np.int64).max(initial=0)) > 1
    which = "the first of its classes" if several else "the class"
    return f"t-SNE of {points} by Hamming distance; colour and shape are {which}."


def add_stages(
    page: Page, stages: Sequence[Mapping[str, Any]], *, title: str, silent: float | None = None
) -> None:
    """Add a section with the loss on relaxed and on sgn codes, and the gap between, over the stages.

    ``stages`` are those of a training with the method ``title``, as metrics.json has them; nothing is added
    for none. ``silent`` as in :func:`hashnet.evaluation.loss_figure`.
    """
    if not stages:
        return
    continued = len({stage["beta"] for stage in stages}) > 1
    page.section("Continuation" if continued else "Training")
    if continued:
        page.text(
            "Training begins with relaxed codes tanh(βz) and raises β stage by stage until they are the "
            "signs themselves: both losses meet and the gap goes to 0, so that no separate binarisation is "
            "left."
        )
    else:
        page.text(
            f"{title} is trained on relaxed codes without continuation: what is left of the gap at the end "
            "is what taking signs changes."
        )
    page.figure(
        loss_figure(stages, silent=silent), "Loss on relaxed and on sgn codes at the end of each stage."
    )
    page.figure(gap_figure(stages), "Mean distance of a relaxed bit from its sign.")


def add_neighbours(page: Page, images: ImageSet, queries: Ids, nearest: Neighbors) -> None:
    """Add a section with a grid of the images ``queries`` and their ``nearest`` images."""
    page.section("Queries and their nearest neighbours")
    add_neighbour_grid(page, images, queries, nearest)


def add_neighbour_grid(page: Page, images: ImageSet, queries: Ids, nearest: Neighbors) -> None:
    """Add a grid of the images ``queries`` with their ``nearest`` images; a tick is a shared label."""
    page.grid(retrieval_grid(neighbour_rows(images, queries, nearest)))


def neighbour_rows(
    images: ImageSet, queries: Ids, nearest: Neighbors, *, by_class: bool = False
) -> list[GridRow]:
    """Return the rows of a grid of the images ``queries`` with their ``nearest`` images.

    Captions have keys, or with ``by_class`` the names of classes.
    """
    name = _class_names if by_class and images.labels is not None else _key
    rows = []
    for query, distances, ids in zip(queries.tolist(), nearest.distances, nearest.ids, strict=True):
        found = [(int(d), int(i)) for d, i in zip(distances, ids, strict=True) if i != PAD_ID]
        items = [
            GridItem(images.load(i), f"distance {d}: {name(images, i)}", similar(images, query, i))
            for d, i in found
        ]
        rows.append(GridRow(GridItem(images.load(query), name(images, query)), items))
    return rows


def _key(images: ImageSet, row: int) -> str:
    return images.key(row)


def _class_names(images: ImageSet, row: int) -> str:
    labels: Any = images.labels
    return ", ".join(short(str(images.classes[i])) for i in np.flatnonzero(labels[row])) or "no label"


def short(name: str) -> str:
    """Return a class name that fits beside a map: without synonyms, at most 20 characters."""
    name = name.split(",", maxsplit=1)[0].strip()
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def similar(images: ImageSet, a: int, b: int) -> bool | None:
    """Return whether two images share a label, None where there are none."""
    if images.labels is None:
        return None
    return bool((images.labels[a] & images.labels[b]).any())


def spread(rows: Ids, labels: Any, n: int) -> Ids:
    """Return up to ``n`` of ``rows``: the first of each class, then the second of each, and so on."""
    first = np.asarray(labels)[rows].argmax(axis=1)
    turn = np.zeros(len(rows), dtype=np.int64)
    for label in np.unique(first):
        turn[first == label] = np.arange(int((first == label).sum()))
    return rows[np.lexsort((first, turn))[:n]]
