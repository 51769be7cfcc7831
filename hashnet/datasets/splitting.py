"""Part an image set into database and queries."""

from __future__ import annotations

import numpy as np

from hashnet.datasets.images import QUERY_SPLIT, ImageSet, Split


def split(images: ImageSet, *, query_fraction: float = 0.2, seed: int = 0) -> Split:
    """Return the split that the source prescribes, else a seeded one, stratified by first label.

    Each class gives ``round(query_fraction * size)`` queries, but never its last image; images without a
    label count as one class. Raises ValueError for a fraction outside (0, 1) or fewer than two images.
    """
    if images.splits is not None:
        is_query = images.splits == QUERY_SPLIT
        return Split(np.flatnonzero(~is_query).astype(np.int64), np.flatnonzero(is_query).astype(np.int64))
    if not 0 < query_fraction < 1:
        raise ValueError(f"query_fraction must lie between 0 and 1, got {query_fraction}")
    if len(images) < 2:
        raise ValueError(f"a split needs at least 2 images, {images.source} has {len(images)}")
    rng = np.random.default_rng(seed)
    first = np.zeros(len(images), dtype=np.int64)
    if images.labels is not None and images.labels.shape[1]:
        # Images without a label become the class after the last.
        first = np.where(images.labels.any(axis=1), images.labels.argmax(axis=1), images.labels.shape[1])
    is_query = np.zeros(len(images), dtype=bool)
    for label in np.unique(first):
        rows = rng.permutation(np.flatnonzero(first == label))
        is_query[rows[: min(round(query_fraction * len(rows)), len(rows) - 1)]] = True
    return Split(np.flatnonzero(~is_query).astype(np.int64), np.flatnonzero(is_query).astype(np.int64))
