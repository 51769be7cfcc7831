"""Preprocessing: one decoded image to the float array that a network sees, part of the code space."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

_MAX_SIZE = 4096


@dataclass(frozen=True)
class Preprocessing:
    """Resize the shorter side to ``resize`` (bilinear, antialiased), centre-crop ``size``, normalise.

    ``mean`` and ``std`` are those of RGB in [0, 1].
    """

    size: int
    resize: int
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD

    def __post_init__(self) -> None:
        if not 1 <= self.size <= self.resize <= _MAX_SIZE:
            raise ValueError(
                f"preprocessing needs 1 <= size <= resize <= {_MAX_SIZE}, "
                f"got size={self.size}, resize={self.resize}"
            )
        if len(self.mean) != 3 or len(self.std) != 3 or not np.isfinite([*self.mean, *self.std]).all():
            raise ValueError(f"mean and std must be 3 finite numbers, got {self.mean} and {self.std}")
        if min(self.std) <= 0:
            raise ValueError(f"std must be positive, got {self.std}")

    def pixels(self, image: Image.Image) -> NDArray[np.uint8]:
        """Return the resized and cropped image, ``(size, size, 3)``."""
        if image.mode != "RGB":
            image = image.convert("RGB")
        width, height = image.size
        if min(width, height) != self.resize:
            scale = self.resize / min(width, height)
            # A sliver 10,000 times as long as wide would otherwise be blown up without bound.
            longest = 16 * self.resize
            target = (
                min(max(self.resize, round(width * scale)), longest),
                min(max(self.resize, round(height * scale)), longest),
            )
            image = image.resize(target, Image.Resampling.BILINEAR)
            width, height = image.size
        left, top = (width - self.size) // 2, (height - self.size) // 2
        if (width, height) != (self.size, self.size):
            image = image.crop((left, top, left + self.size, top + self.size))
        return np.array(image, dtype=np.uint8)

    def normalize(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return pixels ``(..., size, size, 3)`` as float32 ``(..., 3, size, size)``."""
        normal = np.empty((*pixels.shape[:-3], 3, *pixels.shape[-3:-1]), dtype=np.float32)
        images = pixels.reshape(-1, *pixels.shape[-3:])
        for image, place in zip(images, normal.reshape(-1, *normal.shape[-3:]), strict=True):
            self.normalize_into(image, place)
        return normal

    def table(self) -> NDArray[np.float32]:
        """Return what each value of a pixel becomes in each channel, ``(3, 256)``."""
        return _normal_values(self.mean, self.std)

    def normalize_into(self, pixels: NDArray[np.uint8], place: NDArray[np.float32]) -> None:
        """Write one image ``(size, size, 3)`` to ``place``, float32 ``(3, size, size)``, C-contiguous."""
        table = _normal_values(self.mean, self.std)
        channels = pixels.reshape(-1, 3).T
        for channel, plane in enumerate(place.reshape(3, -1)):
            # Every uint8 is in the table; without this mode, take would buffer its output to check.
            np.take(table[channel], channels[channel], out=plane, mode="wrap")

    def __call__(self, image: Image.Image) -> NDArray[np.float32]:
        """Return the network's input for one image, float32 ``(3, size, size)``."""
        return self.normalize(self.pixels(image))

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {**asdict(self), "mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Preprocessing:
        """Return what ``to_json`` wrote; ValueError for anything else."""
        wanted = {field.name for field in fields(cls)}
        if not isinstance(values, dict) or set(values) != wanted:
            raise ValueError(f"preprocessing must have exactly the keys {sorted(wanted)}, got {values}")
        try:
            return cls(
                size=int(values["size"]),
                resize=int(values["resize"]),
                mean=tuple(float(x) for x in values["mean"]),  # type: ignore[arg-type]
                std=tuple(float(x) for x in values["std"]),  # type: ignore[arg-type]
            )
        except TypeError as error:
            raise ValueError(f"preprocessing {values} is not what hashnet writes: {error}") from None


@lru_cache(maxsize=16)
def _normal_values(mean: tuple[float, ...], std: tuple[float, ...]) -> NDArray[np.float32]:
    """Return what each of the 256 values becomes in each channel: looking it up is ten times as fast."""
    values = np.arange(256, dtype=np.float32)[:, None] / np.float32(255)
    return np.ascontiguousarray(((values - np.asarray(mean, np.float32)) / np.asarray(std, np.float32)).T)
