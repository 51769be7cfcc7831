"""Seeded features in clusters, with class numbers: what the tests of the classic methods learn from."""

import numpy as np


def clusters(n=300, n_features=24, n_classes=6, *, spread=0.6, seed=0):
    """Return features (n, n_features) about one centre a class, off the origin, and class numbers (n,)."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((n_classes, n_features))
    labels = rng.integers(0, n_classes, n)
    return centres[labels] + spread * rng.standard_normal((n, n_features)) + 1.0, labels


def multi_hot_of(labels, n_classes):
    """Return one-hot rows uint8 (n, n_classes)."""
    return np.eye(n_classes, dtype=np.uint8)[labels]


def tagged(n=200, n_features=24, n_tags=7, *, seed=0):
    """Return features that are sums of tag centres plus noise, and multi-hot rows, some without any tag."""
    rng = np.random.default_rng(seed)
    tags = (rng.random((n, n_tags)) < 0.25).astype(np.uint8)
    centres = rng.standard_normal((n_tags, n_features))
    return tags @ centres + 0.3 * rng.standard_normal((n, n_features)), tags
