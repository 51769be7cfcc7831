"""Spectral hashing: analytic eigenfunctions on a box, against ones computed from a discretised Laplacian."""

from __future__ import annotations

import numpy as np
import pytest
from feature_samples import clusters
from hypothesis import given, settings
from hypothesis import strategies as st

from hashnet.baselines import SH
from hashnet.baselines.sh import smoothest_modes


def box(sides, n=2000, seed=0):
    """Uniform features on a box, its corners included, along axes that PCA has to find."""
    rng = np.random.default_rng(seed)
    sides = np.asarray(sides)
    corners = np.array(np.meshgrid(*[[0.0, s] for s in sides])).reshape(len(sides), -1).T
    return np.vstack([rng.random((n, len(sides))) * sides, corners])


def test_modes_on_a_known_box_are_those_counted_by_hand():
    # Sides 8, 4, 1: k / side is .125 .25 .375 .5 .625 .75 .875 1 ..., .25 .5 .75 1 ..., 1 2 ...
    axes, modes = smoothest_modes(np.array([8.0, 4.0, 1.0]), 8)
    assert list(zip(axes.tolist(), modes.tolist(), strict=True)) == [
        (0, 1), (1, 1), (0, 2), (0, 3), (1, 2), (0, 4), (0, 5), (1, 3)
    ]  # fmt: skip


@given(
    sides=st.lists(st.floats(0.1, 100.0), min_size=1, max_size=6),
    n_modes=st.integers(1, 40),
)
@settings(max_examples=60, deadline=None)
def test_no_mode_left_out_has_a_smaller_eigenvalue(sides, n_modes):
    axes, modes = smoothest_modes(np.array(sides), n_modes)
    chosen = {(int(a), int(k)) for a, k in zip(axes, modes, strict=True)}
    assert len(chosen) == n_modes
    assert modes.min() >= 1
    eigenvalues = [1 - np.exp(-((0.01 * k * np.pi / sides[a]) ** 2) / 2) for a, k in chosen]
    for axis, side in enumerate(sides):
        for k in range(1, n_modes + 2):
            if (axis, k) not in chosen:
                assert 1 - np.exp(-((0.01 * k * np.pi / side) ** 2) / 2) >= max(eigenvalues) - 1e-15


def test_modes_are_the_eigenvectors_of_the_laplacian_on_a_segment():
    # Neumann Laplacian of a path of m cells: its eigenvectors are what the sines stand for.
    m = 200
    laplacian = 2 * np.eye(m) - np.eye(m, k=1) - np.eye(m, k=-1)
    laplacian[0, 0] = laplacian[-1, -1] = 1
    values, vectors = np.linalg.eigh(laplacian)
    centres = (np.arange(m) + 0.5) / m * 3.0
    fitted = SH(8).fit(np.concatenate([[0.0, 3.0], centres])[:, None])
    waves = fitted.transform(centres[:, None])
    assert fitted.modes_.tolist() == list(range(1, 9))
    np.testing.assert_allclose(fitted.frequencies_**2, values[1:9] * (m / 3.0) ** 2, rtol=0.01)
    for bit in range(8):
        wave = waves[:, bit] / np.linalg.norm(waves[:, bit])
        assert abs(wave @ vectors[:, bit + 1]) == pytest.approx(1.0, abs=1e-6)


def test_codes_are_those_of_a_literal_reference():
    x = box([5.0, 3.0, 1.0]) @ np.linalg.qr(np.random.default_rng(1).standard_normal((3, 3)))[0]
    fitted = SH(16).fit(x)
    _, _, axes = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    expected = []
    candidates = []
    for i, axis in enumerate(axes):
        along = x @ axis
        a, b = along.min(), along.max()
        for k in range(1, 17):
            candidates.append((k / (b - a), i, np.sin(np.pi / 2 + k * np.pi / (b - a) * (along - a)) > 0))
    expected = np.array([bits for _, _, bits in sorted(candidates, key=lambda c: c[:2])[:16]]).T
    bits = np.unpackbits(fitted.encode(x), axis=1).astype(bool)
    # An axis may come out reversed: then mode k is its mirror image, equal for even k, inverted for odd k.
    for got, wanted in zip(bits.T, expected.T, strict=True):
        assert (got == wanted).all() or (got == ~wanted).all()


def test_frequencies_rise_and_bits_of_a_uniform_box_are_balanced_and_uncorrelated():
    fitted = SH(16).fit(box([5.0, 3.1, 1.7], n=20_000))
    assert (np.diff(fitted.frequencies_) >= 0).all()
    # Fresh features of the same box; 20,000 bits have a standard deviation of .0035 in their mean.
    waves = fitted.transform(box([5.0, 3.1, 1.7], n=20_000, seed=9))
    np.testing.assert_allclose((waves > 0).mean(axis=0), 0.5, atol=0.03)
    inner = waves.T @ waves / len(waves)
    np.testing.assert_allclose(inner, 0.5 * np.eye(16), atol=0.05)


def test_there_may_be_more_bits_than_features():
    x, _ = clusters(n_features=3)
    assert SH(128).fit(x).encode(x).shape == (300, 16)


def test_axes_without_spread_are_left_out():
    x, _ = clusters(n_features=4)
    x = np.hstack([x, x[:, :1] + x[:, 1:2], np.ones((300, 1))])
    fitted = SH(32).fit(x)
    assert fitted.components_.shape == (6, 4)
    assert np.isfinite(fitted.transform(x)).all()


def test_the_seed_changes_nothing():
    x, _ = clusters()
    np.testing.assert_array_equal(SH(32, seed=1).fit(x).encode(x), SH(32, seed=2).fit(x).encode(x))
