"""Which images a command works on: those of the data's split, or those of a named protocol."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import typer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hashnet.datasets import ImageSet, ProtocolData


def open_data(protocol: str, data: str, *, image_root: Path | None = None) -> ProtocolData:
    """Return ``data`` by the protocol of that name; its faults are told on stderr."""
    from hashnet.datasets import open_protocol

    opened = open_protocol(protocol, data=data, image_root=image_root)
    for fault in opened.faults:
        typer.echo(f"protocol {protocol}: {fault}", err=True)
    return opened


class TrainingRows(NamedTuple):
    """Images, the rows to train on, and the description of the protocol that chose them, if one did."""

    images: ImageSet
    rows: NDArray[np.int64]
    recipe: dict[str, Any] | None


def training_rows(data: str, *, protocol: str | None, image_root: Path | None, seed: int) -> TrainingRows:
    """Return images and the rows to train on: the protocol's, else the database of the split by ``seed``."""
    from hashnet.datasets import open_images, split

    if protocol is None:
        images = open_images(data, image_root=image_root)
        return TrainingRows(images, split(images, seed=seed).database, None)
    opened = open_data(protocol, data, image_root=image_root)
    # An image paired with itself would count as similar, so rows that a list repeats are taken once.
    first = np.sort(np.unique(opened.train, return_index=True)[1])
    return TrainingRows(opened.images, opened.train[first], opened.describe())
