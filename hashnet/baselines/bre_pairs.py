"""The pairs whose distances binary reconstructive embedding keeps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Pairs:
    """Pairs ``first < second`` int64 ``(n_pairs,)``, each once, and the ``target`` distances float64."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    target: NDArray[np.float64]


def choose_pairs(target: NDArray[np.float64], n_pairs: int | None, *, rng: np.random.Generator) -> Pairs:
    """Choose pairs from the distances ``target`` (n, n): all of them for None, else ``n_pairs`` a row.

    Half of these are the row's nearest others (ties at random, so similar rows are drawn at random where
    distances are 0 and 1), half are drawn at random from all that are farther. A pair that both of its rows
    choose counts once.
    """
    n = len(target)
    if n_pairs is None or n_pairs >= n - 1:
        first, second = np.triu_indices(n, 1)
        return Pairs(first, second, target[first, second])
    near = n_pairs // 2
    chosen = np.zeros((n, n), dtype=bool)
    for row in range(n):
        others = rng.permutation(n)
        others = others[others != row]
        others = others[np.argsort(target[row, others], kind="stable")]
        farther = rng.choice(n - 1 - near, size=n_pairs - near, replace=False) + near
        chosen[row, others[:near]] = True
        chosen[row, others[farther]] = True
    first, second = np.nonzero(np.triu(chosen | chosen.T, 1))
    return Pairs(first, second, target[first, second])
