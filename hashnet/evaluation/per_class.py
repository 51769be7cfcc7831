"""The figures of the queries of each class: which classes a method serves, and which it does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ClassFigures:
    """Means over the queries that carry a class, by the names of the figures."""

    name: str
    n_queries: int
    figures: dict[str, float]


def class_table(
    values: Mapping[str, NDArray[np.float64]], query_labels: NDArray[Any], classes: Sequence[str] = ()
) -> tuple[ClassFigures, ...]:
    """Return the mean of each of ``values`` (``(nq,)``) over the queries of each class, in label order.

    A query with several labels counts in each of its classes, one without in none; classes without a query
    are left out. ``classes`` names the columns, by default their numbers. Cost: one product of matrices.
    """
    labels = np.asarray(query_labels) != 0
    names = tuple(classes) or tuple(str(i) for i in range(labels.shape[1]))
    if len(names) != labels.shape[1]:
        raise ValueError(f"{len(names)} class names for {labels.shape[1]} label columns; give one for each")
    n_queries = labels.sum(axis=0, dtype=np.int64)
    table = np.stack(list(values.values()), axis=1)
    if len(table) != len(labels):
        raise ValueError(f"{len(table)} values for {len(labels)} queries; give each query one")
    means = (labels.T.astype(np.float64) @ table) / np.maximum(n_queries, 1)[:, None]
    return tuple(
        ClassFigures(names[i], int(n_queries[i]), dict(zip(values, means[i].tolist(), strict=True)))
        for i in np.flatnonzero(n_queries)
    )
