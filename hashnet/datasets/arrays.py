"""Images that already lie in memory as one array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hashnet.datasets.images import digest
from hashnet.datasets.labels import check_multi_hot, one_hot


class ArrayImages:
    """An image set over uint8 pixels ``(n, height, width)`` or ``(n, height, width, 3)``.

    ``labels`` are class numbers ``(n,)`` or multi-hot rows ``(n, n_classes)``. Raises ValueError for NaN or
    infinite pixels and TypeError for any other dtype than uint8: pixels are never converted silently.
    """

    def __init__(
        self,
        images: NDArray[np.uint8],
        labels: NDArray[Any] | None = None,
        *,
        classes: Sequence[str] = (),
        splits: NDArray[np.uint8] | None = None,
        name: str = "array",
        key_width: int = 6,
    ) -> None:
        self._images = check_pixels(images)
        self._key_width = key_width
        self.name = name
        self.source = name
        n = len(self._images)
        self.labels: NDArray[np.uint8] | None = None
        if labels is not None:
            labels = np.asarray(labels)
            if labels.ndim == 1:
                n_classes = len(classes) or (int(labels.max()) + 1 if len(labels) else 0)
                labels = one_hot(labels, n_classes)
            self.labels = check_multi_hot(labels, n)
        n_classes = 0 if self.labels is None else self.labels.shape[1]
        self.classes = tuple(classes) or tuple(str(i) for i in range(n_classes))
        if len(self.classes) != n_classes:
            raise ValueError(
                f"{len(self.classes)} class names for {n_classes} label columns; give one for each"
            )
        self.splits = None if splits is None else check_splits(splits, n)

    def __len__(self) -> int:
        return len(self._images)

    def key(self, i: int) -> str:
        """Return ``name/number``."""
        if not 0 <= i < len(self):
            raise IndexError(f"image {i} is outside [0, {len(self)})")
        return f"{self.name}/{i:0{self._key_width}d}"

    def load(self, i: int) -> Image.Image:
        """Return image ``i`` as RGB."""
        return Image.fromarray(self._images[i]).convert("RGB")

    def identity(self) -> str:
        """Return a digest of the pixels themselves."""
        return digest(
            "array", [self.name.encode(), repr(self._images.shape).encode(), self._images.tobytes()]
        )

    def version(self) -> str:
        """Return the identity: the pixels are all there is."""
        return self.identity()


def check_pixels(images: Any, *, what: str = "images") -> NDArray[np.uint8]:
    """Return ``images`` if uint8 ``(n, h, w)`` or ``(n, h, w, 3)``, else raise TypeError or ValueError."""
    if not isinstance(images, np.ndarray):
        raise TypeError(f"{what} must be a numpy array of uint8, got {type(images).__name__}")
    if images.dtype.kind == "f" and not np.isfinite(images).all():
        at = int(np.argwhere(~np.isfinite(images))[0][0])
        raise ValueError(f"{what} must be finite, got NaN or infinity in image {at}; repair or drop it")
    if images.dtype != np.uint8:
        raise TypeError(
            f"{what} must have dtype uint8 (0 to 255), got {images.dtype}; "
            "scale them and convert with (x * 255).round().astype(np.uint8)"
        )
    if images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[3] != 3) or 0 in images.shape[1:]:
        raise ValueError(
            f"{what} must have shape (n, height, width) or (n, height, width, 3), got {images.shape}"
            + ("; pass one image as image[None]" if images.ndim == 2 else "")
        )
    return images


def check_splits(splits: Any, n: int) -> NDArray[np.uint8]:
    """Return ``splits`` as uint8 ``(n,)`` of 0 (train and database) and 1 (query), or raise ValueError."""
    array = np.asarray(splits)
    if array.shape != (n,) or array.dtype.kind not in "biu":
        raise ValueError(f"splits must have shape ({n},) of 0 and 1, got {array.dtype} {array.shape}")
    if n and (int(array.min()) < 0 or int(array.max()) > 1):
        raise ValueError(
            f"splits must be 0 (train and database) or 1 (query), got {array.min()} to {array.max()}"
        )
    return np.ascontiguousarray(array, dtype=np.uint8)
