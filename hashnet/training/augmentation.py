"""What training images undergo: drawn for a whole batch at once, carried out on CPU or GPU alike."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Draws(NamedTuple):
    """What is drawn for each image of a batch: where its crop begins, and whether it is mirrored."""

    shifts: NDArray[np.int64]
    mirrored: NDArray[np.bool_]

    @classmethod
    def of(cls, rng: np.random.Generator, n: int, *, size: int, mirror: bool) -> Draws:
        """Draw for ``n`` images of a side; shifts are from 0 to twice the reach."""
        shifts = rng.integers(0, 2 * _reach(size) + 1, (n, 2))
        return cls(shifts, rng.random(n) < 0.5 if mirror else np.zeros(n, dtype=bool))

    def part(self, part: slice) -> Draws:
        """Return the draws of some of the images."""
        return Draws(self.shifts[part], self.mirrored[part])


def augmented(pixels: NDArray[np.uint8], draws: Draws) -> NDArray[np.uint8]:
    """Return images ``(n, size, size, 3)`` shifted by up to an eighth of their side, some of them mirrored.

    Where a shift leaves the image, its edge is repeated.
    """
    size = pixels.shape[1]
    reach = _reach(size)
    result = np.empty_like(pixels)
    for image, place, (top, left), mirror in zip(pixels, result, *draws, strict=True):
        _shift(image, place[:, ::-1] if mirror else place, int(top) - reach, int(left) - reach)
    return result


def _shift(image: NDArray[np.uint8], place: NDArray[np.uint8], down: int, right: int) -> None:
    """Write ``place[y, x] = image[y + down, x + right]``, both clipped to the image."""
    size = len(image)
    top, bottom = max(0, -down), size - max(0, down)
    left, end = max(0, -right), size - max(0, right)
    place[top:bottom, left:end] = image[top + down : bottom + down, left + right : end + right]
    place[top:bottom, :left] = place[top:bottom, left : left + 1]
    place[top:bottom, end:] = place[top:bottom, end - 1 : end]
    place[:top] = place[top]
    place[bottom:] = place[bottom - 1]


def augmented_on_device(pixels: Tensor, draws: Draws) -> Tensor:
    """Return what ``augmented`` returns, for uint8 ``(n, size, size, 3)`` on any device."""
    size = pixels.shape[1]
    side = np.arange(size)
    rows, columns = (
        np.clip(side + (draws.shifts[:, axis, None] - _reach(size)), 0, size - 1) for axis in (0, 1)
    )
    columns = np.where(draws.mirrored[:, None], columns[:, ::-1], columns)
    at = [torch.from_numpy(np.ascontiguousarray(of)).to(pixels.device) for of in (rows, columns)]
    images = torch.arange(len(pixels), device=pixels.device)
    return pixels[images[:, None, None], at[0][:, :, None], at[1][:, None, :]]


def normalized_on_device(pixels: Tensor, table: Tensor) -> Tensor:
    """Return uint8 ``(n, size, size, 3)`` as float32 ``(n, 3, size, size)``.

    ``table`` is float32 ``(3, 256)``: what each value becomes in each channel.
    """
    return torch.stack([table[channel][pixels[..., channel].long()] for channel in range(3)], dim=1)


def _reach(size: int) -> int:
    return max(1, size // 8)
