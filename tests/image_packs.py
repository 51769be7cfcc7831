"""A small image pack in the layout of the real ones."""

import io

import numpy as np
from PIL import Image

N_CLASSES = 5


def small_pack(path):
    """Write 5 classes of 24 + 4 images of 8 x 8 pixels to ``path``, and return it."""
    rng = np.random.default_rng(0)
    label = np.repeat(np.arange(N_CLASSES, dtype=np.uint8), 28)
    split = np.tile(np.r_[np.zeros(24), np.ones(4)].astype(np.uint8), N_CLASSES)
    files = []
    for number in label:
        pixels = rng.integers(0, 60, (8, 8, 3)) + 40 * np.array([number, 4 - number, number % 2])
        file = io.BytesIO()
        Image.fromarray(pixels.astype(np.uint8)).save(file, format="PNG")
        files.append(file.getvalue())
    offsets = np.cumsum([0, *map(len, files)])
    blob = np.frombuffer(b"".join(files), dtype=np.uint8)
    np.savez(path, blob=blob, offsets=offsets, label=label, split=split)
    return path
