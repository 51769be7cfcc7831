"""Decode one untrusted image file to upright 8-bit RGB."""

from __future__ import annotations

import errno
import io
import os
import re
import stat
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from hashnet.errors import UnreadableImageError

# Formats whose decoders are in wide use; the exotic rest of Pillow's list is attack surface without users.
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
SUFFIXES = frozenset(
    (
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".mpo",
        ".png",
        ".bmp",
        ".gif",
        ".webp",
        ".tif",
        ".tiff",
        ".ppm",
        ".pgm",
    )
)
# Pillow warns of decompression bombs from this many pixels on; here it is the limit.
MAX_PIXELS = 1024 * 1024 * 1024 // 4 // 3

_OF_THE_MACHINE = frozenset(
    (
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOMEM,
        errno.EIO,
        errno.ESTALE,
        errno.ETIMEDOUT,
        errno.EAGAIN,
        errno.EINTR,
        errno.ENOTCONN,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
    )
)
_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def load_image(path: str | Path, *, key: str | None = None) -> Image.Image:
    """Return the image file ``path`` as upright RGB; ``key`` names it in the error, else its path does.

    Raises UnreadableImageError if it is missing, not a regular file, no image, truncated or too large.
    """
    key = str(path) if key is None else key
    try:
        # A FIFO or a device would block or never end.
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 - Path.stat is several times slower in bulk
            raise UnreadableImageError(key, "not a regular file")
        with open(path, "rb") as file:  # noqa: PTH123
            return _decode(file, key)
    except FileNotFoundError:
        raise UnreadableImageError(key, "file is missing") from None
    except (OSError, ValueError) as error:
        if is_of_the_machine(error):
            raise
        reason = getattr(error, "strerror", None) or str(error)
        raise UnreadableImageError(key, reason) from error


def decode_image(data: bytes, *, key: str) -> Image.Image:
    """Return the bytes of an image file as upright RGB, or raise UnreadableImageError(key, reason)."""
    return _decode(io.BytesIO(data), key)


def _decode(file: io.BufferedReader | io.BytesIO, key: str) -> Image.Image:
    try:
        with Image.open(file, formats=FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise UnreadableImageError(
                    key, f"{width} x {height} pixels are more than the limit of {MAX_PIXELS}; scale it down"
                )
            image.load()
            return _upright(to_rgb(image), image)
    except UnreadableImageError:
        raise
    except UnidentifiedImageError:
        raise UnreadableImageError(key, "not an image in a known format") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise UnreadableImageError(
            key, f"more pixels than the limit of {MAX_PIXELS}; scale it down"
        ) from None
    except MemoryError:
        # The same image is read where there is more of it.
        raise
    # Decoders meet damaged files with a dozen kinds of errors (struct, zlib, Index, Syntax, ...): whatever it
    # was, this one image is unreadable and the job goes on.
    except Exception as error:
        if is_of_the_machine(error):
            raise
        raise UnreadableImageError(key, _reason(error)) from error


def is_of_the_machine(error: Exception) -> bool:
    """Return whether ``error`` tells of this machine at this moment, and nothing about the image.

    Taken for a bad image, it would be missing in one run and there in another.
    """
    return isinstance(error, OSError) and error.errno in _OF_THE_MACHINE


def to_rgb(image: Image.Image) -> Image.Image:
    """Return ``image`` as 8-bit RGB: transparency over white, 16-bit grey scaled by 1/256.

    Raises ValueError for float pixels, whose range is unknown.
    """
    if image.mode == "RGB" and "transparency" not in image.info:
        return image.copy()
    if image.mode == "F":
        raise ValueError("float pixels have no fixed range; save it with 8 or 16 bits")
    if image.mode == "I" or image.mode.startswith("I;16"):
        # Pillow gives 16-bit PNG, PGM and TIFF in these modes, and its own conversion clips them at 255.
        grey = np.clip(np.asarray(image).astype(np.int64), 0, 65535) >> 8
        return Image.fromarray(grey.astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGB", rgba.size, (255, 255, 255))
        white.paste(rgba, mask=rgba.getchannel("A"))
        return white
    return image.convert("RGB")


def _upright(rgb: Image.Image, original: Image.Image) -> Image.Image:
    try:
        orientation = original.getexif().get(_ORIENTATION_TAG)
    # Damaged EXIF says nothing about the orientation, and the pixels are whole.
    except Exception:
        return rgb
    turn = _UPRIGHT.get(orientation) if isinstance(orientation, int) else None
    return rgb if turn is None else rgb.transpose(turn)


def _reason(error: Exception) -> str:
    # Addresses would make two runs over the same images write different reject lists.
    text = re.sub(r" at 0x[0-9a-fA-F]+", "", str(error)) or type(error).__name__
    return text[:200]
