"""Synthetic codes and queries from a seed, into memory or straight into a file: uniform and clustered.

Codes are drawn in chunks of fixed size, each from a random stream of its own, so that they depend on the
seed, the number of codes and of bits only: not on how many threads draw them, nor on where they go.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hashnet.codes import Codes

CLUSTER_SIZE = 1000
FLIP_PROBABILITY = 3 / 32
# Rows of a stream. A chunk of 64-bit codes and what it is made from stay inside the caches.
CHUNK_ROWS = 1 << 16
# What the streams of one seed are for; the second part of their key is the number of the chunk.
_CENTRES, _CODES, _QUERIES = range(3)

Words = NDArray[np.uint64]


@dataclass(frozen=True)
class Workload:
    """A database and queries drawn alike; no query is a database code by construction."""

    name: str
    n_bits: int
    seed: int
    codes: Codes
    queries: Codes


@dataclass(frozen=True)
class Source:
    """Where the codes of a workload come from: ``draw`` makes the ``rows`` codes of one stream."""

    n_bits: int
    seed: int
    draw: Callable[[np.random.Generator, int, int], Codes]

    def chunk(self, number: int) -> Codes:
        """Return codes ``number * CHUNK_ROWS`` and on, ``CHUNK_ROWS`` of them."""
        return self.draw(_stream(self.seed, _CODES, number), CHUNK_ROWS, self.n_bits)

    def queries(self, n: int) -> Codes:
        """Return ``n`` queries, drawn as codes are, from streams of their own."""
        chunks = [
            self.draw(_stream(self.seed, _QUERIES, number), CHUNK_ROWS, self.n_bits)
            for number in range(-(-n // CHUNK_ROWS))
        ]
        return np.concatenate(chunks)[:n] if chunks else np.empty((0, self.n_bits // 8), dtype=np.uint8)

    def codes(self, n: int, *, threads: int = 2) -> Codes:
        """Return the first ``n`` codes, uint8 ``(n, n_bits / 8)``."""
        codes = np.empty((n, self.n_bits // 8), dtype=np.uint8)

        def fill(number: int) -> None:
            part = codes[number * CHUNK_ROWS : (number + 1) * CHUNK_ROWS]
            part[:] = self.chunk(number)[: len(part)]

        _for_each_chunk(fill, n, threads)
        return codes

    def write(self, path: Path, n: int, *, threads: int = 2) -> None:
        """Write the first ``n`` codes as an .npy file, which appears under its name when it is whole."""
        n_bytes = self.n_bits // 8
        unfinished = path.with_name(path.name + ".unfinished")
        header = {"descr": "|u1", "fortran_order": False, "shape": (n, n_bytes)}
        with unfinished.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            file.flush()
            begin = file.tell()
            # A full disk is an error here and not after minutes.
            os.posix_fallocate(file.fileno(), 0, max(1, begin + n * n_bytes))

            def fill(number: int) -> None:
                rows = min(CHUNK_ROWS, n - number * CHUNK_ROWS)
                at = begin + number * CHUNK_ROWS * n_bytes
                left = self.chunk(number)[:rows].data.cast("B")
                while left:
                    written = os.pwrite(file.fileno(), left, at)
                    at, left = at + written, left[written:]

            _for_each_chunk(fill, n, threads)
            os.fsync(file.fileno())
        unfinished.rename(path)


def uniform_source(n: int, n_bits: int, *, seed: int) -> Source:
    """Every bit a fair coin."""
    return Source(n_bits, seed, _uniform)


def clustered_source(n: int, n_bits: int, *, seed: int) -> Source:
    """n / 1000 random centres, each code a random centre with every bit flipped with p = 3/32."""
    centres = _uniform(_stream(seed, _CENTRES, 0), max(1, n // CLUSTER_SIZE), n_bits)
    return Source(n_bits, seed, partial(_near, centres))


SOURCES = {"uniform": uniform_source, "clustered": clustered_source}


def make(name: str, n: int, n_bits: int, n_queries: int, *, seed: int, threads: int = 2) -> Workload:
    """Return the named workload in memory."""
    source = SOURCES[name](n, n_bits, seed=seed)
    return Workload(name, n_bits, seed, source.codes(n, threads=threads), source.queries(n_queries))


def _stream(seed: int, purpose: int, number: int) -> np.random.Generator:
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence(seed, spawn_key=(purpose, number))))


def _for_each_chunk(work: Callable[[int], None], n: int, threads: int) -> None:
    # numpy draws and combines words without the interpreter lock, so threads are enough.
    with ThreadPoolExecutor(max_workers=threads) as pool:
        for _ in pool.map(work, range(-(-n // CHUNK_ROWS))):
            pass


def _words(rng: np.random.Generator, n: int) -> Words:
    return rng.integers(0, 2**64 - 1, n, dtype=np.uint64, endpoint=True)


def _uniform(rng: np.random.Generator, n: int, n_bits: int) -> Codes:
    n_bytes = n * n_bits // 8
    return _words(rng, -(-n_bytes // 8)).view(np.uint8)[:n_bytes].reshape(n, n_bits // 8)


def _near(centres: Codes, rng: np.random.Generator, n: int, n_bits: int) -> Codes:
    # The upper half of a random word, as a fraction of 2^32, times the number of centres.
    chosen = _words(rng, n)
    chosen >>= np.uint64(32)
    chosen *= np.uint64(len(centres))
    chosen >>= np.uint64(32)
    codes = centres[chosen.astype(np.int64)]
    codes ^= _flips(rng, codes.size).reshape(codes.shape)
    return codes


def _flips(rng: np.random.Generator, n_bytes: int) -> NDArray[np.uint8]:
    """Bits that are set with p = 1/2 * 1/2 * 1/2 * 3/4 = 3/32, independently."""
    n = -(-n_bytes // 8)
    flips = _words(rng, n)
    flips |= _words(rng, n)
    for _ in range(3):
        flips &= _words(rng, n)
    return flips.view(np.uint8)[:n_bytes]
