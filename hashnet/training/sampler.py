"""Batches of training rows as a pure function of seed and iteration, so that a run resumes anywhere."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class BatchSampler:
    """Rows 0..n-1 in batches, each row once an epoch in a new order; the incomplete last batch is dropped.

    Batch ``i`` depends on the arguments and ``i`` alone. The order of the current epoch is kept.
    """

    def __init__(self, n: int, *, batch_size: int, seed: int) -> None:
        if n < 2:
            raise ValueError(f"training needs at least two items, got {n}")
        self._n = n
        self._batch_size = min(batch_size, n)
        self._per_epoch = n // self._batch_size
        self._seed = seed
        self._epoch = -1
        self._order: NDArray[np.int64] = np.empty(0, dtype=np.int64)

    @property
    def batch_size(self) -> int:
        """The rows of every batch: as many as asked for, but at most all."""
        return self._batch_size

    def batch(self, iteration: int) -> NDArray[np.int64]:
        """Return the rows of one batch, all different."""
        epoch, place = divmod(iteration, self._per_epoch)
        if epoch != self._epoch:
            self._order = np.random.default_rng((self._seed, epoch)).permutation(self._n)
            self._epoch = epoch
        return self._order[place * self._batch_size : (place + 1) * self._batch_size]
