"""Seeded codes of several characters, for tests that compare with the oracle."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

KINDS = ("uniform", "clustered", "repeated", "skewed")


def make_codes(kind: str, n: int, n_bits: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Uniform bits; clusters of 50; few distinct codes; bits of very unequal balance."""
    n_bytes = n_bits // 8
    if kind == "uniform":
        return rng.integers(0, 256, (n, n_bytes), dtype=np.uint8)
    if kind == "skewed":
        return np.packbits(rng.random((n, n_bits)) < np.linspace(0.01, 0.5, n_bits), axis=1)
    per_centre = 50 if kind == "clustered" else 100
    centres = rng.integers(0, 256, (max(1, n // per_centre), n_bytes), dtype=np.uint8)
    codes = centres[rng.integers(0, len(centres), n)]
    return flip(codes, 0.08, rng) if kind == "clustered" else codes


def flip(codes: NDArray[np.uint8], probability: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Flip every bit with the given probability."""
    n_bits = codes.shape[1] * 8
    return codes ^ np.packbits(rng.random((len(codes), n_bits)) < probability, axis=1)


def make_queries(codes: NDArray[np.uint8], nq: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Half of them codes of the database, a quarter near such a code, a quarter anywhere."""
    queries = codes[rng.integers(0, len(codes), nq)].copy()
    queries[::4] = flip(queries[::4], 0.05, rng)
    queries[1::4] = rng.integers(0, 256, queries[1::4].shape, dtype=np.uint8)
    return queries
