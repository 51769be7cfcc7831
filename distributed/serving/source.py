"""What a service opens: an index over so many shards, and a model; checked before anything is started."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hashnet.errors import FingerprintError
from hashnet.index import open_index

from .settings import ServiceSettings

DEFAULT_SHARDS = 2


@dataclass(frozen=True)
class Source:
    """Paths that mean the same on every node, and how they are served.

    With ``shards`` 0 the index is opened in the process that answers, else by that many processes on Ray with
    ``replicas`` each. ``index`` may be a link: where it points is looked up whenever it is opened, so that
    pointing it elsewhere and reloading changes to another version.
    """

    index: Path
    model: Path | None = None
    shards: int = DEFAULT_SHARDS
    replicas: int = 1
    preload: bool = False

    def open(self, settings: ServiceSettings) -> Any:
        """Return the index, or the sharded index, that the source names now."""
        # All shards must open the same directory, even if the link changes meanwhile.
        path = self.index.resolve(strict=True)
        if self.shards == 0:
            return open_index(path, preload=self.preload)
        from ..sharded_index import ShardedIndex

        return ShardedIndex.open(
            path,
            shards=self.shards,
            replicas=self.replicas,
            threads=settings.threads,
            preload=self.preload,
            timeout_s=settings.timeout_s,
        )

    def load_encoder(self) -> Any:
        """Return the encoder of the model, None without one."""
        if self.model is None:
            return None
        from hashnet.allocator import keep_freed_memory
        from hashnet.encoding import Encoder

        keep_freed_memory()
        encoder = Encoder.load(self.model)
        # The first image takes a hundred times as long as the next.
        encoder.encode(np.zeros((1, 32, 32), dtype=np.uint8))
        return encoder


def check_source(source: Source) -> None:
    """Raise what opening would raise, here and not in a process on Ray.

    FileNotFoundError and DamagedError of index and model, FingerprintError where the model makes codes for
    another code space, ValueError for another n_bits or fewer segments than shards.
    """
    with open_index(source.index, verify=False) as index:
        n_bits, fingerprint, n_segments = index.n_bits, index.fingerprint, index.stats().n_segments
    if n_segments < source.shards:
        raise ValueError(
            f"{source.index} has {n_segments} segments, too few for {source.shards} shards; ask for fewer "
            f"with --shards, or build it with `hashnet build CODES --shards {source.shards}`"
        )
    if source.model is not None:
        from hashnet.models import load_model

        model = load_model(source.model)
        check_model(model.n_bits, model.fingerprint, n_bits=n_bits, fingerprint=fingerprint)


def check_model(model_bits: int, model_fingerprint: str, *, n_bits: int, fingerprint: str | None) -> None:
    """Raise ValueError or FingerprintError unless the model makes codes for the index."""
    if model_bits != n_bits:
        raise ValueError(
            f"the model makes codes of {model_bits} bits, the index holds codes of {n_bits}; "
            "serve the index with the model that it was encoded with"
        )
    if fingerprint is not None and model_fingerprint != fingerprint:
        raise FingerprintError(model_fingerprint, fingerprint, what="queries of the model")


def default_shards(index: Path) -> int:
    """Return how many shards serve ``index`` unless told otherwise: two, or one for a single segment."""
    with open_index(index, verify=False) as opened:
        return max(1, min(DEFAULT_SHARDS, opened.stats().n_segments))
