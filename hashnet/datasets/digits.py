"""The 1,797 handwritten digits that scikit-learn carries: real images without a download."""

from __future__ import annotations

import numpy as np

from hashnet.datasets.arrays import ArrayImages


def load_digits() -> ArrayImages:
    """Return the digits as 8 x 8 images of 10 classes; the source has no split."""
    from sklearn import datasets

    pixels, label = datasets.load_digits(return_X_y=True)
    images = np.rint(pixels.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    return ArrayImages(images, label, classes=tuple("0123456789"), name="digits", key_width=4)
