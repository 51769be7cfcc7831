"""One shard as a Ray actor: it opens its part of an index and answers; it decides nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import ray
from numpy.typing import NDArray

from hashnet.codes import Codes, Ids
from hashnet.index import Index, open_index
from hashnet.results import Balls, Neighbors


@ray.remote(max_restarts=0)
class ShardActor:
    """Holds one shard. It is not restarted by Ray: a new process would come back without its part."""

    def __init__(self, *, threads: int) -> None:
        self._threads = threads
        self._index: Index | None = None

    def open(self, path: str, segments: list[int]) -> int:
        """Map the given segments of the index at ``path``; return the number of codes."""
        self._index = open_index(Path(path), segments=segments)
        return len(self._index)

    def load(self, codes: Codes, ids: Ids, n_bits: int) -> int:
        """Keep the given codes in memory; return their number."""
        self._index = Index.in_memory(n_bits=n_bits)
        self._index.add(codes, ids=ids)
        return len(self._index)

    def search(self, queries: Codes, k: int) -> Neighbors:
        """Return the ``k`` nearest of this shard, padded where it holds fewer."""
        return self._part().search(queries, k, threads=self._threads, pad=True)

    def search_radius(self, queries: Codes, radius: int) -> Balls:
        """Return the balls of this shard."""
        return self._part().search_radius(queries, radius, threads=self._threads)

    def count_radius(self, queries: Codes, radius: int) -> NDArray[np.int64]:
        """Return the sizes of the balls of this shard."""
        return self._part().count_radius(queries, radius, threads=self._threads)

    def keys_of(self, ids: Ids) -> Sequence[str | None]:
        """Return the source keys of those ids that this shard holds, None for the others."""
        return self._part().keys_of(ids)

    def _part(self) -> Index:
        if self._index is None:
            raise RuntimeError("the shard has no part yet; call open or load first")
        return self._index
