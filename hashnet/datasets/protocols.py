"""The named protocols of the literature and of this project, and how data are opened by them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hashnet.datasets.images import ImageSet, digest
from hashnet.datasets.label_lists import LabelRows, holds_label_lists, open_label_lists
from hashnet.datasets.mosaic import MosaicImages
from hashnet.datasets.opening import open_images
from hashnet.datasets.protocol import Protocol, ProtocolData, find_faults
from hashnet.datasets.protocol_table import PROTOCOLS
from hashnet.datasets.released_lists import open_released_lists
from hashnet.datasets.splitting import split

__all__ = ["PROTOCOLS", "open_protocol"]


def open_protocol(
    protocol: str | Protocol, *, data: str | Path | ImageSet, image_root: str | Path | None = None
) -> ProtocolData:
    """Return ``data`` as a protocol, given by name or as a recipe of one's own, splits it.

    ``data`` is what :func:`hashnet.datasets.open_images` opens (an image pack, a folder, a list with a split)
    or an image set. Protocols of published lists want the folder of the lists, with the images below
    ``image_root``, or an .npz of label lists (:func:`hashnet.datasets.open_label_lists`), which gives labels
    without images. What differs from the recipe is in ``faults``. Raises ValueError for an unknown name and
    for data that the rule cannot split.
    """
    recipe = find_protocol(protocol) if isinstance(protocol, str) else protocol
    if recipe.rule == "lists":
        return _open_lists(recipe, data, image_root)
    images = open_images(data, image_root=image_root) if isinstance(data, str | Path) else data
    if images.labels is None:
        raise ValueError(
            f"the protocol {recipe.name} needs labels, and {images.source} has none; "
            "give a pack or a list with labels, or a folder with a sub-folder a class"
        )
    if recipe.rule == "mosaic":
        n_train = max(recipe.n_database, recipe.n_train)
        images = MosaicImages(images, n_train=n_train, n_query=recipe.n_query, seed=recipe.seed)
        database = np.arange(recipe.n_database)
        query = np.arange(n_train, n_train + recipe.n_query)
        tiles = digest("tiles", [images.tiles.astype("<i8").tobytes()])
        return _checked(recipe, images, database, query, np.arange(recipe.n_train), names=(tiles,))
    if recipe.rule == "own":
        if images.splits is None:
            raise ValueError(
                f"the protocol {recipe.name} takes the split of the data, and {images.source} has none; "
                "give a pack with split, a list with a split column, or folders train and test"
            )
        parts = split(images)
        return _checked(recipe, images, parts.database, parts.query, parts.database)
    return _checked(recipe, images, *_per_class(recipe, images))


def find_protocol(name: str) -> Protocol:
    """Return the protocol of that name, or raise ValueError with the names there are."""
    if name not in PROTOCOLS:
        raise ValueError(f"there is no protocol {name!r}; known are {', '.join(sorted(PROTOCOLS))}")
    return PROTOCOLS[name]


def _open_lists(recipe: Protocol, data: str | Path | ImageSet, image_root: str | Path | None) -> ProtocolData:
    if not isinstance(data, str | Path):
        raise ValueError(
            f"the protocol {recipe.name} reads published lists; give the path of their folder, "
            f"got an image set ({data.source})"
        )
    path = Path(data)
    if holds_label_lists(path):
        return _open_labels(recipe, path)
    if image_root is not None and not Path(image_root).is_dir():
        raise FileNotFoundError(f"image_root {image_root} is not a folder; give the one the images lie below")
    if not path.is_dir():
        raise ValueError(
            f"the protocol {recipe.name} reads published lists, and {path} is no folder of them; "
            "give the folder with database.txt, test.txt and train.txt, or an .npz of label lists"
        )
    lists = open_released_lists(path, image_root=None if image_root is None else Path(image_root))
    return _checked(
        recipe, lists.images, lists.database, lists.query, lists.train, faults=lists.faults, names=lists.names
    )


def _open_labels(recipe: Protocol, path: Path) -> ProtocolData:
    lists = open_label_lists(path)
    ends = np.cumsum([len(lists.database), len(lists.query), len(lists.train)])
    images = LabelRows(
        np.concatenate([lists.database, lists.query, lists.train]), name=recipe.name, source=str(path)
    )
    database, query, train = np.split(np.arange(ends[-1]), ends[:-1])
    # Which rows are the same image cannot be told from labels.
    faults = ["labels without images or names: whether lists overlap cannot be seen", *recipe.known_faults]
    if not len(database):
        faults.append("there is no database list")
    return _checked(recipe, images, database, query, train, faults=tuple(faults), overlaps=False)


def _per_class(
    recipe: Protocol, images: ImageSet
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Draw queries and training images of each class; the database is everything but the queries."""
    labels = images.labels
    if labels is None or not (labels.sum(axis=1, dtype=np.int64) == 1).all():
        raise ValueError(f"the protocol {recipe.name} draws by class and needs one label an image")
    rng = np.random.default_rng(recipe.seed)
    needed = recipe.query_per_class + recipe.train_per_class
    query, train = [], []
    for column, name in enumerate(images.classes):
        rows = rng.permutation(np.flatnonzero(labels[:, column]))
        if len(rows) < needed:
            raise ValueError(
                f"the protocol {recipe.name} draws {needed} images a class, and class {name!r} of "
                f"{images.source} has {len(rows)}"
            )
        query.append(rows[: recipe.query_per_class])
        train.append(rows[recipe.query_per_class : needed])
    asked = np.sort(np.concatenate(query)).astype(np.int64)
    database = np.setdiff1d(np.arange(len(images)), asked)
    return database, asked, np.sort(np.concatenate(train)).astype(np.int64)


def _checked(
    recipe: Protocol,
    images: ImageSet,
    database: NDArray[np.int64],
    query: NDArray[np.int64],
    train: NDArray[np.int64],
    *,
    faults: tuple[str, ...] = (),
    names: tuple[str, ...] = (),
    overlaps: bool = True,
) -> ProtocolData:
    opened = ProtocolData(
        recipe,
        images,
        database=database.astype(np.int64),
        query=query.astype(np.int64),
        train=train.astype(np.int64),
        names=names,
    )
    return replace(opened, faults=faults + find_faults(opened, overlaps=overlaps))
