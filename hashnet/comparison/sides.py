"""Which images methods are trained on, searched in and asked: by the data's own split or a named protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashnet.datasets import ImageSet, ProtocolData, split


@dataclass(frozen=True)
class Sides:
    """Rows of an image set, int64: those that are trained on, the database and the queries.

    ``said`` tells in words where they come from; ``recipe`` is the description of a named protocol.
    """

    train: NDArray[np.int64]
    database: NDArray[np.int64]
    query: NDArray[np.int64]
    said: str
    recipe: Mapping[str, Any] | None = None

    def rows(self) -> NDArray[np.int64]:
        """Return the rows of all sides, ascending, each once."""
        return np.unique(np.concatenate([self.train, self.database, self.query]))


def own_sides(images: ImageSet, *, seed: int) -> Sides:
    """Return the split of the data, or one of five a query by ``seed``; the database is trained on.

    Raises ValueError where a side is empty.
    """
    parts = split(images, seed=seed)
    if not len(parts.query) or not len(parts.database):
        raise ValueError(
            f"{images.source} splits into {len(parts.database)} database images and {len(parts.query)} "
            "queries; both sides need at least one"
        )
    said = "the source's own" if images.splits is not None else f"one of five a query, seed {seed}"
    return Sides(parts.database, parts.database, parts.query, said)


def protocol_sides(opened: ProtocolData) -> Sides:
    """Return the sides of a named protocol, each in the order of its list.

    An image paired with itself would count as similar, so training rows that a list repeats are taken once.
    Raises ValueError where a side is empty.
    """
    for name in ("database", "query", "train"):
        if not len(opened.rows(name)):
            raise ValueError(
                f"the protocol {opened.protocol.name} finds no {name} images in {opened.images.source}; "
                "methods cannot be compared without"
            )
    first = np.sort(np.unique(opened.train, return_index=True)[1])
    return Sides(
        opened.train[first],
        opened.database,
        opened.query,
        f"protocol {opened.protocol.name}",
        opened.describe(),
    )
