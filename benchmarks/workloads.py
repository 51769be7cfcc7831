"""Synthetic codes and queries, from a seed: uniform, and clustered as learned codes are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hashnet.codes import Codes

CLUSTER_SIZE = 1000
FLIP_PROBABILITY = 0.1
# Bits drawn at once: bounds the working memory of a generation.
_ROWS_AT_ONCE = 1 << 18


@dataclass(frozen=True)
class Workload:
    """A database and queries drawn alike; no query is a database code by construction."""

    name: str
    n_bits: int
    seed: int
    codes: Codes
    queries: Codes


def uniform(n: int, n_bits: int, n_queries: int, *, seed: int) -> Workload:
    """Return codes and queries with every bit a fair coin."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 256, (n, n_bits // 8), dtype=np.uint8)
    queries = rng.integers(0, 256, (n_queries, n_bits // 8), dtype=np.uint8)
    return Workload("uniform", n_bits, seed, codes, queries)


def clustered(n: int, n_bits: int, n_queries: int, *, seed: int) -> Workload:
    """Return n / 1000 random centres, each code a random centre with every bit flipped with p = 0.1."""
    rng = np.random.default_rng(seed)
    centres = rng.integers(0, 256, (max(1, n // CLUSTER_SIZE), n_bits // 8), dtype=np.uint8)
    codes = np.empty((n, n_bits // 8), dtype=np.uint8)
    for first in range(0, n, _ROWS_AT_ONCE):
        part = codes[first : first + _ROWS_AT_ONCE]
        part[:] = _near(rng, centres, len(part))
    return Workload("clustered", n_bits, seed, codes, _near(rng, centres, n_queries))


def _near(rng: np.random.Generator, centres: Codes, n: int) -> Codes:
    flips = rng.random((n, centres.shape[1] * 8), dtype=np.float32) < FLIP_PROBABILITY
    return centres[rng.integers(0, len(centres), n)] ^ np.packbits(flips, axis=1)


WORKLOADS = {"uniform": uniform, "clustered": clustered}
