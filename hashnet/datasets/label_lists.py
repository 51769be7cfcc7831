"""Label lists: the labels of a release without its images, for losses and weights at their true scale."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from hashnet.datasets.images import digest
from hashnet.datasets.labels import check_multi_hot
from hashnet.datasets.npz import read_npz
from hashnet.errors import DamagedError

_LISTS = {"database": ("database",), "query": ("query", "test"), "train": ("train",)}


@dataclass(frozen=True)
class LabelLists:
    """Multi-hot labels uint8 ``(n, n_classes)`` of the three lists of a release; a missing list has n = 0."""

    source: str
    database: NDArray[np.uint8]
    query: NDArray[np.uint8]
    train: NDArray[np.uint8]


class LabelRows:
    """An image set of labels alone: it has rows, keys and labels, and no images to load."""

    splits = None

    def __init__(self, labels: NDArray[np.uint8], *, name: str, source: str) -> None:
        self.labels: NDArray[np.uint8] = labels
        self.classes = tuple(str(i) for i in range(labels.shape[1]))
        self.name = name
        self.source = source

    def __len__(self) -> int:
        return len(self.labels)

    def key(self, i: int) -> str:
        """Return ``name/number``."""
        if not 0 <= i < len(self):
            raise IndexError(f"row {i} is outside [0, {len(self)})")
        return f"{self.name}/{i:06d}"

    def load(self, i: int) -> NoReturn:
        """Raise ValueError: there is nothing to load."""
        raise ValueError(
            f"{self.source} holds labels and no images; give the published lists and an image_root instead"
        )

    def identity(self) -> str:
        """Return a digest of the labels."""
        return digest("label rows", [repr(self.labels.shape).encode(), np.packbits(self.labels).tobytes()])

    def version(self) -> str:
        """Return the identity: the labels are all there is."""
        return self.identity()


def holds_label_lists(path: Path) -> bool:
    """Return whether ``path`` is an .npz of label lists, and no image pack."""
    if path.suffix.lower() != ".npz" or not path.is_file():
        return False
    names = read_npz(path).keys()
    return "blob" not in names and "train" in names


def open_label_lists(path: str | Path) -> LabelLists:
    """Return the label lists in an .npz: ``train``, ``query`` or ``test``, and perhaps ``database``.

    Rows are multi-hot, plain or bit-packed (``numpy.packbits``) with ``n_class``. Raises ValueError where a
    list is missing, DamagedError where the lists contradict each other.
    """
    path = Path(path)
    arrays = read_npz(path)
    found = {role: next((arrays[n] for n in names if n in arrays), None) for role, names in _LISTS.items()}
    missing = [role for role in ("query", "train") if found[role] is None]
    if missing:
        raise ValueError(
            f"{path} has no {' and no '.join(missing)} list, it holds {sorted(arrays)}; label lists are "
            "train, query (or test) and perhaps database, multi-hot, with n_class if they are bit-packed"
        )
    n_classes = int(arrays["n_class"]) if "n_class" in arrays else None
    lists = {role: _unpack(path, role, rows, n_classes) for role, rows in found.items() if rows is not None}
    widths = {role: rows.shape[1] for role, rows in lists.items()}
    if len(set(widths.values())) > 1:
        raise DamagedError(path, f"its lists differ in their number of classes: {widths}")
    none = np.zeros((0, next(iter(widths.values()))), dtype=np.uint8)
    return LabelLists(str(path), lists.get("database", none), lists["query"], lists["train"])


def _unpack(path: Path, role: str, rows: NDArray[Any], n_classes: int | None) -> NDArray[np.uint8]:
    if rows.ndim != 2 or rows.dtype.kind not in "bu":
        raise DamagedError(path, f"the {role} list must be rows of uint8, got {rows.dtype} {rows.shape}")
    packed = n_classes is not None and rows.dtype == np.uint8 and rows.shape[1] == -(-n_classes // 8)
    if packed and n_classes is not None and n_classes > 1:
        bits = np.unpackbits(rows, axis=1)
        if bits[:, n_classes:].any():
            raise DamagedError(path, f"the {role} list has labels beyond its {n_classes} classes")
        return np.ascontiguousarray(bits[:, :n_classes])
    try:
        labels = check_multi_hot(rows, len(rows))
    except ValueError as error:
        raise DamagedError(path, f"the {role} list: {error}") from error
    if n_classes is not None and labels.shape[1] != n_classes:
        raise DamagedError(path, f"the {role} list has {labels.shape[1]} columns for {n_classes} classes")
    return labels
