"""Kernel features at anchors: literal Gaussians, a width that follows the scale of the features."""

from __future__ import annotations

import numpy as np
import pytest
from feature_samples import clusters
from scipy.spatial.distance import cdist

from hashnet.baselines.anchors import draw_anchors


def drawn(x, n_anchors=30, relative_width=1.0, seed=0):
    return draw_anchors(x, n_anchors, relative_width=relative_width, rng=np.random.default_rng(seed))


def test_anchors_are_different_training_rows():
    x, _ = clusters()
    points = drawn(x).points
    rows = [int(np.flatnonzero((x == point).all(axis=1))[0]) for point in points]
    assert len(set(rows)) == 30


def test_fewer_rows_than_anchors_are_all_taken():
    x, _ = clusters(20)
    np.testing.assert_array_equal(drawn(x).points, x)


@pytest.mark.parametrize("relative_width", [0.5, 1.0, 2.0])
def test_the_width_is_in_units_of_the_root_mean_squared_distance(relative_width):
    x, _ = clusters()
    x += 1e4  # a far origin must not cost digits
    anchors = drawn(x, relative_width=relative_width)
    mean_square = cdist(x, anchors.points, "sqeuclidean").mean()
    assert anchors.width == pytest.approx(relative_width * np.sqrt(mean_square), rel=1e-9)


def test_features_are_gaussians_of_the_distance(monkeypatch):
    x, _ = clusters()
    anchors = drawn(x)
    expected = np.exp(-cdist(x, anchors.points, "sqeuclidean") / (2 * anchors.width**2))
    np.testing.assert_allclose(anchors.features(x), expected, rtol=1e-9)
    monkeypatch.setattr("hashnet.baselines.anchors._BLOCK_ROWS", 7)
    np.testing.assert_allclose(anchors.features(x), expected, rtol=1e-9)
    np.testing.assert_allclose(anchors.mean(x), expected.mean(axis=0), rtol=1e-9)


def test_the_scale_of_the_features_does_not_matter():
    x, _ = clusters()
    np.testing.assert_allclose(drawn(x).features(x), drawn(1000 * x).features(1000 * x), rtol=1e-8)


def test_equal_rows_are_refused():
    with pytest.raises(ValueError, match="at least two different rows"):
        drawn(np.full((10, 3), 0.1))
