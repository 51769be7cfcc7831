"""Image sets whose images are files: the part that folders and list files share."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hashnet.datasets.decode import load_image
from hashnet.datasets.images import digest, files_digest


class FileImages:
    """An image set over image files; keys are the paths as the source names them, relative to ``root``."""

    def __init__(
        self,
        root: Path,
        paths: Sequence[str],
        *,
        name: str,
        source: str,
        labels: NDArray[np.uint8] | None = None,
        classes: tuple[str, ...] = (),
        splits: NDArray[np.uint8] | None = None,
    ) -> None:
        self._root = root
        self._paths = paths
        self.name = name
        self.source = source
        self.labels = labels
        self.classes = classes
        self.splits = splits

    def __len__(self) -> int:
        return len(self._paths)

    def key(self, i: int) -> str:
        """Return the path of image ``i`` as the source names it."""
        # File names are bytes; keys are stored as UTF-8.
        return os.fsencode(self._paths[i]).decode("utf-8", "backslashreplace")

    def path(self, i: int) -> Path:
        """Return where the file of image ``i`` lies."""
        return self._root / self._paths[i]

    def load(self, i: int) -> Image.Image:
        """Return image ``i`` as upright RGB, or raise UnreadableImageError."""
        return load_image(self.path(i), key=self.key(i))

    def identity(self) -> str:
        """Return a digest of all paths and file sizes; a missing file counts with size -1."""
        sizes = np.fromiter((self._size(i) for i in range(len(self))), dtype="<i8", count=len(self))
        return digest("files", [*(os.fsencode(path) for path in self._paths), sizes.tobytes()])

    def version(self) -> str:
        """Return a digest of all paths, file sizes and modification times."""
        found = (self._stat(i) for i in range(len(self)))
        facts = ((-1, -1) if one is None else (one.st_size, one.st_mtime_ns) for one in found)
        return files_digest(map(os.fsencode, self._paths), facts, len(self))

    def _size(self, i: int) -> int:
        found = self._stat(i)
        return -1 if found is None else found.st_size

    def _stat(self, i: int) -> os.stat_result | None:
        try:
            return self.path(i).stat()
        except (OSError, ValueError):
            return None
