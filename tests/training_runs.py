"""Images that a small network learns in seconds, and progress that interrupts a training."""

from __future__ import annotations

import numpy as np
import torch

from hashnet.codes import pack
from hashnet.datasets import ArrayImages
from hashnet.models import load_model

N = 96


def blobs(n=N, *, n_classes=4, seed=0):
    """Noisy images whose class is the corner that is lit."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % n_classes
    pixels = rng.integers(0, 120, (n, 8, 8, 3))
    for image, label in zip(pixels, labels, strict=True):
        row, column = 4 * (label // 2 % 2), 4 * (label % 2)
        image[row : row + 4, column : column + 4] += 110
    return ArrayImages(pixels.astype(np.uint8), labels)


def codes_of(model_dir, images):
    """Packed codes of all images by the model of a directory."""
    model = load_model(model_dir)
    batch = model.preprocess([images.load(row) for row in range(len(images))])
    return pack(model.relaxed(torch.from_numpy(batch)).numpy())


class Interrupt:
    """Progress that presses Ctrl-C at one step of the training phase."""

    def __init__(self, at):
        self.at, self.what, self.done = at, None, 0

    def start(self, what, total):
        self.what, self.done = what, 0

    def advance(self, done=1, **figures):
        self.done += done
        if self.what == "train" and self.done == self.at:
            raise KeyboardInterrupt

    def finish(self):
        self.what = None
