"""Image packs: many encoded image files in one .npz."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hashnet.datasets.arrays import check_splits
from hashnet.datasets.decode import decode_image
from hashnet.datasets.images import digest
from hashnet.datasets.labels import check_multi_hot, one_hot
from hashnet.datasets.npz import read_npz
from hashnet.errors import DamagedError

_CLASS_NAMES = ("classname", "classes", "wnid")


class ImagePack:
    """An image set in an .npz: image ``i`` is the file ``blob[offsets[i]:offsets[i + 1]]``.

    Optional are ``label`` (class numbers) or ``labels`` (multi-hot, plain or bit-packed with ``n_class``),
    ``split`` (0 = train and database, 1 = query) and ``classname`` or ``classes``. The blob is mapped, not
    read, if it is stored uncompressed. Raises DamagedError if the arrays contradict each other.
    """

    def __init__(self, path: Path) -> None:
        arrays = read_npz(path)
        missing = [name for name in ("blob", "offsets") if name not in arrays]
        if missing:
            raise ValueError(
                f"{path} has no {' and no '.join(missing)}, it holds {sorted(arrays)}; an image pack has "
                "blob (uint8) and offsets, and image i is the file blob[offsets[i]:offsets[i + 1]]"
            )
        facts = path.stat()
        self._version = f"{facts.st_size} {facts.st_mtime_ns}"
        self.name = path.stem
        self.source = str(path)
        self._file = path.name
        self._blob = arrays["blob"]
        self._offsets = _check_offsets(path, self._blob, arrays["offsets"])
        try:
            self.labels, self.classes = _labels(arrays, len(self))
            self.splits = check_splits(arrays["split"], len(self)) if "split" in arrays else None
        except ValueError as error:
            raise DamagedError(path, str(error)) from error

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def key(self, i: int) -> str:
        """Return ``file.npz#number``."""
        if not 0 <= i < len(self):
            raise IndexError(f"image {i} is outside [0, {len(self)})")
        return f"{self._file}#{i}"

    def load(self, i: int) -> Image.Image:
        """Return image ``i`` as upright RGB, or raise UnreadableImageError."""
        return decode_image(self._blob[self._offsets[i] : self._offsets[i + 1]].tobytes(), key=self.key(i))

    def identity(self) -> str:
        """Return a digest of the file name and the offsets of all images."""
        return digest("pack", [self._file.encode(), self._offsets.astype("<i8").tobytes()])

    def version(self) -> str:
        """Return a digest of the identity and of size and modification time of the file."""
        return digest("pack version", [self.identity().encode(), self._version.encode()])


def _check_offsets(path: Path, blob: NDArray[Any], offsets: NDArray[Any]) -> NDArray[np.int64]:
    if blob.dtype != np.uint8 or blob.ndim != 1:
        raise DamagedError(path, f"blob must be a vector of uint8, got {blob.dtype} {blob.shape}")
    if offsets.dtype.kind not in "iu" or offsets.ndim != 1 or len(offsets) < 2:
        raise DamagedError(
            path, f"offsets must be a vector of n + 1 integers, got {offsets.dtype} {offsets.shape}"
        )
    if offsets.dtype == np.uint64 and int(offsets.max()) > len(blob):
        raise DamagedError(path, f"offset {offsets.max()} points beyond the blob of {len(blob)} bytes")
    starts = np.array(offsets, dtype=np.int64)
    backwards = np.flatnonzero(np.diff(starts) < 0)
    if backwards.size:
        raise DamagedError(path, f"offsets of image {int(backwards[0])} run backwards")
    if starts[0] < 0 or starts[-1] > len(blob):
        raise DamagedError(path, f"offsets span {starts[0]} to {starts[-1]}, the blob has {len(blob)} bytes")
    return starts


def _labels(arrays: dict[str, NDArray[Any]], n: int) -> tuple[NDArray[np.uint8] | None, tuple[str, ...]]:
    names = next((arrays[name] for name in _CLASS_NAMES if name in arrays), None)
    if names is not None and (names.ndim != 1 or names.dtype.kind not in "US"):
        raise ValueError(f"class names must be a vector of strings, got {names.dtype} {names.shape}")
    # Bytes need not be UTF-8.
    classes = (
        ()
        if names is None
        else tuple(x.decode("utf-8", "replace") if isinstance(x, bytes) else str(x) for x in names.tolist())
    )
    labels = None
    if "label" in arrays and arrays["label"].ndim == 1:
        label = arrays["label"]
        if label.shape != (n,):
            raise ValueError(f"label has shape {label.shape} for {n} images")
        if not classes and label.dtype.kind in "iu" and n and int(label.max()) >= 1_000_000:
            raise ValueError(f"class number {label.max()} is too large")
        labels = one_hot(label, len(classes) or int(label.max()) + 1)
    elif (packed := arrays.get("labels", arrays.get("label"))) is not None:
        labels = _unpack_labels(packed, n, int(arrays["n_class"]) if "n_class" in arrays else len(classes))
    if labels is None:
        return None, ()
    if classes and len(classes) != labels.shape[1]:
        raise ValueError(f"{len(classes)} class names for {labels.shape[1]} label columns")
    return labels, classes or tuple(str(i) for i in range(labels.shape[1]))


def _unpack_labels(labels: NDArray[Any], n: int, n_classes: int) -> NDArray[np.uint8]:
    if (
        n_classes
        and labels.ndim == 2
        and labels.dtype == np.uint8
        and labels.shape[1] == (n_classes + 7) // 8
    ):
        labels = np.unpackbits(labels, axis=1)[:, :n_classes]
    return check_multi_hot(labels, n)
