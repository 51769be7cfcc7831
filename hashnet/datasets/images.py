"""What every image set offers, wherever its images come from."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

TRAIN_SPLIT = 0
QUERY_SPLIT = 1
# Size and modification time of a file.
_FACTS = struct.Struct("<qq")


@runtime_checkable
class ImageSet(Protocol):
    """A numbered sequence of images, each with a stable key, perhaps with labels and a split.

    ``labels`` is uint8 multi-hot ``(n, n_classes)`` or None; ``splits`` is uint8 ``(n,)`` with 0 = train and
    database, 1 = query and test, or None.
    """

    @property
    def name(self) -> str:
        """Short name for titles and reports."""

    @property
    def source(self) -> str:
        """What the user gave to open it."""

    @property
    def labels(self) -> NDArray[np.uint8] | None:
        """Multi-hot labels, one row an image."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the label columns."""

    @property
    def splits(self) -> NDArray[np.uint8] | None:
        """The split that the source itself prescribes."""

    def __len__(self) -> int: ...

    def key(self, i: int) -> str:
        """Return the source key of image ``i``, the same on every run and machine."""

    def load(self, i: int) -> Image.Image:
        """Return image ``i`` decoded to RGB; raise UnreadableImageError with the reason if it cannot be."""

    def identity(self) -> str:
        """Return ``sha256:<hex>`` over keys and sizes: the same images, also after they were copied."""

    def version(self) -> str:
        """Return ``sha256:<hex>`` that also tells a file from another of its size put in its place."""


class Split(NamedTuple):
    """Row numbers of an image set, int64 ascending, without overlap."""

    database: NDArray[np.int64]
    query: NDArray[np.int64]


def digest(kind: str, parts: Iterable[bytes]) -> str:
    """Return ``sha256:<hex>`` over ``parts``, each with its length so that no two sequences look alike."""
    hasher = hashlib.sha256(kind.encode())
    for part in parts:
        hasher.update(len(part).to_bytes(8, "little"))
        hasher.update(part)
    return f"sha256:{hasher.hexdigest()}"


def files_digest(paths: Iterable[bytes], facts: Iterable[tuple[int, int]], n: int) -> str:
    """Return ``digest`` of the paths of ``n`` files and, as the last part, of all their sizes and times."""
    hasher = hashlib.sha256(b"file versions")
    for path in paths:
        hasher.update(len(path).to_bytes(8, "little"))
        hasher.update(path)
    hasher.update((_FACTS.size * n).to_bytes(8, "little"))
    for size, mtime_ns in facts:
        hasher.update(_FACTS.pack(size, mtime_ns))
    return f"sha256:{hasher.hexdigest()}"
