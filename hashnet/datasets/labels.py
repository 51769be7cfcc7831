"""Multi-hot label rows: build them from class numbers or names, and check them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def one_hot(label: NDArray[Any], n_classes: int) -> NDArray[np.uint8]:
    """Return rows with a single 1 at ``label``; raise ValueError for a label outside ``[0, n_classes)``."""
    label = np.asarray(label)
    if label.ndim != 1 or label.dtype.kind not in "iu":
        raise ValueError(f"label must be a vector of class numbers, got {label.dtype} {label.shape}")
    outside = np.flatnonzero((label < 0) | (label >= n_classes))
    if outside.size:
        row = int(outside[0])
        raise ValueError(f"label {int(label[row])} of row {row} is outside the {n_classes} classes")
    rows = np.zeros((len(label), n_classes), dtype=np.uint8)
    rows[np.arange(len(label)), label.astype(np.int64)] = 1
    return rows


def check_multi_hot(labels: Any, n: int) -> NDArray[np.uint8]:
    """Return ``labels`` as uint8 ``(n, n_classes)`` of 0 and 1, or raise ValueError."""
    array = np.asarray(labels)
    if array.ndim != 2 or len(array) != n or array.dtype.kind not in "biu":
        raise ValueError(
            f"labels must be multi-hot of shape ({n}, n_classes), got {array.dtype} {array.shape}"
        )
    if array.size and (int(array.min()) < 0 or int(array.max()) > 1):
        raise ValueError(f"labels must be 0 or 1, got values from {array.min()} to {array.max()}")
    return np.ascontiguousarray(array, dtype=np.uint8)


def class_names(names: set[str]) -> tuple[str, ...]:
    """Return ``names`` sorted: as numbers if all of them are, else by code point."""
    if all(name.isdecimal() for name in names):
        return tuple(sorted(names, key=lambda name: (int(name), name)))
    return tuple(sorted(names))


def multi_hot(names: Sequence[Sequence[str]], classes: Sequence[str]) -> NDArray[np.uint8]:
    """Return the multi-hot rows of class ``names`` given for each image."""
    column = {name: i for i, name in enumerate(classes)}
    rows = np.zeros((len(names), len(classes)), dtype=np.uint8)
    for i, of_image in enumerate(names):
        for name in of_image:
            rows[i, column[name]] = 1
    return rows
