"""Confidence intervals of means over queries, by the bootstrap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Weights of resamples held at once: 32 MiB of float32.
_WEIGHTS = 1 << 23


@dataclass(frozen=True)
class Interval:
    """A mean over queries with the ends of its confidence interval, low <= mean <= high as a rule."""

    mean: float
    low: float
    high: float


def bootstrap_means(
    values: Mapping[str, NDArray[np.float64]], *, resamples: int = 1000, level: float = 0.95, seed: int = 0
) -> dict[str, Interval]:
    """Return the percentile intervals of the means of ``values``, each ``(nq,)`` with a value a query.

    Queries are drawn with replacement (Efron, "Bootstrap methods: another look at the jackknife", 1979), the
    same ones for every figure: so the difference of two methods on the same queries is given by their values'
    difference, resampled like any other figure. The interval says how far the figure would move with other
    queries; it knows nothing of other databases, training runs or seeds.

    Raises ValueError for values of different lengths, none at all, and settings that make no sense.
    """
    lengths = {name: len(of_query) for name, of_query in values.items()}
    if len(set(lengths.values())) != 1 or not min(lengths.values()):
        raise ValueError(f"values must be of one length of at least 1, a value a query, got {lengths}")
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1, got {resamples}")
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, got {level}")
    n = next(iter(lengths.values()))
    table = np.stack([np.asarray(of_query, dtype=np.float64) for of_query in values.values()], axis=1)
    point = table.mean(axis=0)
    # Resampled are the deviations: where all queries agree, the interval is the point, without rounding.
    deviation = table - point
    rng = np.random.default_rng(seed)
    means = np.empty((resamples, table.shape[1]))
    step = max(1, _WEIGHTS // n)
    for first in range(0, resamples, step):
        size = min(step, resamples - first)
        drawn = rng.integers(0, n, size=(size, n))
        drawn += np.arange(size)[:, None] * n
        weight = np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n)
        means[first : first + size] = weight.astype(np.float64) @ deviation / n
    tail = 50 * (1 - level)
    low, high = np.percentile(means, [tail, 100 - tail], axis=0)
    return {
        name: Interval(float(point[i]), float(point[i] + low[i]), float(point[i] + high[i]))
        for i, name in enumerate(values)
    }
