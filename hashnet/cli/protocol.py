"""Evaluate a model on an image set: split, encode both sides, measure, with the protocol kept beside."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hashnet.evaluation import Evaluation, evaluate
from hashnet.index import Index
from hashnet.progress import NO_PROGRESS, Progress

if TYPE_CHECKING:
    from hashnet.datasets import ImageSet, ProtocolData
    from hashnet.encoding import EncodedRows, Encoder


# Queries shown in a report, and neighbours of each.
SHOWN_QUERIES = 12
SHOWN_NEIGHBOURS = 9


@dataclass(frozen=True)
class Measured:
    """The figures of a model, and the codes that they were measured on."""

    encoder: Encoder
    evaluation: Evaluation
    database: EncodedRows
    query: EncodedRows


def evaluate_model(
    encoder: Encoder,
    images: ImageSet,
    *,
    protocol: ProtocolData | None = None,
    at: int | None = None,
    radius: int = 2,
    seed: int | None = None,
    progress: Progress = NO_PROGRESS,
) -> Measured:
    """Return the figures of a model on the queries and the database of ``images``.

    Split, R and seed are those of ``protocol``, opened on these images. Without one the split is the source's
    own, else one by ``seed``, by default the seed that the model was trained with, so that no query was seen
    in training, and ``at`` is 1000. Raises ValueError for images without labels.
    """
    from hashnet.datasets import Split, split

    if images.labels is None:
        raise ValueError(
            f"{images.source} has no labels, and without them nothing is similar to anything; "
            "evaluate on a folder with a sub-folder a class, or on a list with labels"
        )
    if protocol is None:
        seed = encoder.model.seed if seed is None else seed
        parts = split(images, seed=seed)
    else:
        seed = protocol.protocol.seed if seed is None else seed
        at = protocol.at if at is None else at
        # In the order of rows: the order of a list says nothing, and the database is shuffled anyway.
        parts = Split(np.sort(protocol.database), np.sort(protocol.query))
    if not len(parts.query) or not len(parts.database):
        raise ValueError(
            f"{images.source} splits into {len(parts.database)} database images and {len(parts.query)} "
            "queries; both sides need at least one"
        )
    encoded = []
    for name, rows in (("encode database", parts.database), ("encode queries", parts.query)):
        progress.start(name, len(rows))
        encoded.append(encoder.encode_image_set(images, rows, progress=progress))
        progress.finish()
    return measure_codes(
        encoder, images, *encoded, protocol=protocol, at=at, radius=radius, seed=seed, progress=progress
    )


def measure_codes(
    encoder: Encoder,
    images: ImageSet,
    database: EncodedRows,
    query: EncodedRows,
    *,
    protocol: ProtocolData | None = None,
    at: int | None = None,
    radius: int = 2,
    seed: int,
    progress: Progress = NO_PROGRESS,
) -> Measured:
    """Return the figures of ``query`` codes on ``database`` codes, both of labelled ``images``."""
    if images.labels is None:
        raise ValueError(f"{images.source} has no labels to measure by")
    from hashnet.models import training_protocol

    unreadable = len(database.rejects) + len(query.rejects)
    by = training_protocol(encoder.model.metrics)
    evaluation = evaluate(
        query.codes,
        images.labels[query.ids],
        database.codes,
        images.labels[database.ids],
        at=1000 if at is None else at,
        radius=radius,
        seed=seed,
        data=images.source,
        recipe=None if protocol is None else protocol.describe(),
        classes=images.classes,
        notes={
            "split": protocol.protocol.split
            if protocol is not None
            else "the source's own"
            if images.splits is not None
            else f"one of five a query, seed {seed}",
            "backbone": encoder.model.config.backbone,
            "model": encoder.fingerprint,
            "unreadable": f"{unreadable:,}",
            **({} if by is None else {"trained by": by}),
        },
        progress=progress,
    )
    return Measured(encoder, evaluation, database, query)


def write_report(path: Path, measured: Measured, images: ImageSet) -> None:
    """Write the figures, curves and some queries with their neighbours as a self-contained page."""
    from hashnet.cli import pages
    from hashnet.evaluation import Page, sections

    evaluation, query, database = measured.evaluation, measured.query, measured.database
    page = Page(f"Retrieval on {images.name}", subtitle=f"hashnet evaluate, {images.source}")
    page.facts(evaluation.rows()[:4])
    sections.add_figures(page, evaluation)
    sections.add_curves(
        page,
        evaluation,
        query.codes,
        images.labels[query.ids] if images.labels is not None else None,
        classes=images.classes,
        seed=evaluation.seed or 0,
        method=pages.method_of(measured.encoder.model.metrics),
    )
    sections.add_classes(page, evaluation)
    pages.add_training(page, measured.encoder.model.metrics)
    index = Index.in_memory(n_bits=measured.encoder.n_bits)
    # A published list may name an image twice.
    ids, first = np.unique(database.ids, return_index=True)
    index.add(database.codes[first], ids=ids)
    shown = sections.spread(query.ids, images.labels, SHOWN_QUERIES)
    codes = query.codes[np.searchsorted(query.ids, shown)]
    sections.add_neighbours(page, images, shown, index.search(codes, SHOWN_NEIGHBOURS, pad=True))
    page.write(path)
