"""Uploaded image files to codes: bounded before they are decoded, encoded several requests at a time."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Any, Protocol

import numpy as np
from PIL import Image

from hashnet.codes import Codes
from hashnet.datasets.decode import FORMATS, decode_image
from hashnet.errors import UnreadableImageError

from .batching import Batcher


class ImageEncoder(Protocol):
    """What the service needs of a model; ``hashnet.encoding.Encoder`` has it."""

    @property
    def n_bits(self) -> int:
        """Bits of a code."""

    @property
    def fingerprint(self) -> str:
        """The code space."""

    @property
    def batch_size(self) -> int:
        """Images that are computed together."""

    def encode(self, images: Any) -> Codes:
        """Return the codes of RGB images."""


def check_pixels(data: bytes, key: str, *, limit: int) -> None:
    """Raise UnreadableImageError for a file whose header tells of more than ``limit`` pixels, or of nothing.

    Only the header is read: an image of a few kilobytes can unfold into gigabytes.
    """
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
    # Decoders meet hostile files with a dozen kinds of errors.
    except Exception:
        raise UnreadableImageError(key, "not an image in a known format") from None
    if width * height > limit:
        raise UnreadableImageError(
            key, f"{width} x {height} pixels are more than the limit of {limit}; scale it down"
        )


class ImageQueue:
    """Encodes images one batch at a time, on a thread of its own; images of several requests share a batch.

    An image is decoded when its batch begins: at most a batch of decoded images is in memory.
    """

    def __init__(self, encoder: ImageEncoder, executor: Executor, *, max_pixels: int) -> None:
        self._encoder = encoder
        self._executor = executor
        self._max_pixels = max_pixels
        self._batcher: Batcher[None, tuple[bytes, str], Codes] = Batcher(
            self._call, workers=1, limit=encoder.batch_size
        )

    async def encode(self, images: Sequence[bytes]) -> Codes:
        """Return the codes of image files; UnreadableImageError names the first that is none."""
        names = [f"image[{i}]" for i in range(len(images))]
        asked = [self._batcher.ask(None, one) for one in zip(images, names, strict=True)]
        codes = await asyncio.gather(*asked, return_exceptions=True)
        for one in codes:
            if isinstance(one, BaseException):
                raise one
        return np.stack([one for one in codes if not isinstance(one, BaseException)])

    async def _call(self, key: None, items: list[tuple[bytes, str]]) -> Sequence[Codes | Exception]:
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._encode, items)

    def _encode(self, items: list[tuple[bytes, str]]) -> list[Codes | Exception]:
        decoded: list[Image.Image | UnreadableImageError] = []
        for data, name in items:
            try:
                check_pixels(data, name, limit=self._max_pixels)
                decoded.append(decode_image(data, key=name))
            except UnreadableImageError as error:
                decoded.append(error)
        codes = iter(self._encoder.encode([one for one in decoded if isinstance(one, Image.Image)]))
        return [one if isinstance(one, UnreadableImageError) else next(codes) for one in decoded]
