"""The page that a search writes: each query beside the pictures of its neighbours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hashnet.cli.pictures import Pictures
from hashnet.evaluation import GridItem, GridRow, Page, retrieval_grid

if TYPE_CHECKING:
    from PIL.Image import Image

    from hashnet.cli.questions import Found
    from hashnet.datasets.entries import ImageSource

# A page of thousands of pictures opens in no browser; the printed answer has them all.
MAX_QUERIES = 50
MAX_NEIGHBOURS = 50


def write_grid(
    page: Path,
    answers: Sequence[Sequence[Found]],
    *,
    queries: Sequence[tuple[str, Image | None]],
    sets: Sequence[ImageSource],
    title: str,
    asked: Mapping[str, Any],
) -> None:
    """Write queries (caption and image) and their neighbours, whose pictures are in ``sets``, to ``page``."""
    pictures = Pictures(sets)
    rows, absent = [], 0
    for (name, image), found in zip(queries[:MAX_QUERIES], answers[:MAX_QUERIES], strict=True):
        neighbours = []
        for one in found[:MAX_NEIGHBOURS]:
            picture = pictures.find(one.id, one.key)
            absent += picture is None
            caption = f"distance {one.distance}: {one.key or one.id}"
            neighbours.append(GridItem(picture or blank(), caption))
        rows.append(GridRow(GridItem(image or blank(), name), neighbours))
    out = Page(title, subtitle="Exact Hamming distances, ties by smaller id.")
    out.facts([(name, str(value)) for name, value in asked.items() if value is not None])
    if len(answers) > MAX_QUERIES or any(len(found) > MAX_NEIGHBOURS for found in answers):
        out.text(f"Shown are at most {MAX_QUERIES} queries with {MAX_NEIGHBOURS} neighbours each.")
    if absent:
        out.text(
            f"{absent} pictures were not found; name the image folder, list or pack they are in with --data."
        )
    if rows:
        out.grid(retrieval_grid(rows))
    out.write(page)


def open_sources(sources: Sequence[str | None], *, image_root: Path | None = None) -> list[ImageSource]:
    """Open the images that still exist; those that are missing cost pictures, not the answer."""
    from hashnet.datasets import open_source
    from hashnet.datasets.parquet_columns import ColumnError

    opened = []
    for source in sources:
        if source is None or not (source == "digits" or Path(source).exists()):
            continue
        try:
            opened.append(open_source(source, image_root=image_root, in_memory=True))
        except ColumnError:
            # Whoever encoded it named the columns; here nobody does.
            continue
    return opened


def query_pictures(files: Sequence[Path] | None, n: int) -> list[tuple[str, Image | None]]:
    """Return caption and image of each query; codes from a file have none."""
    from hashnet.datasets import load_image

    if not files:
        return [(f"query {number}", None) for number in range(n)]
    return [(file.name, load_image(file)) for file in files]


def blank() -> Image:
    """Return the picture that stands for one that is not there."""
    from PIL import Image

    return Image.new("RGB", (64, 64), (200, 204, 208))
