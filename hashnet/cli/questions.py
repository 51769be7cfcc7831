"""What a search is asked on the command line, and its answer as rows with keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.lib.format import MAGIC_PREFIX

from hashnet.codes import Codes, Ids
from hashnet.errors import DamagedError, FingerprintError
from hashnet.results import PAD_ID, Balls, Neighbors


class Searchable(Protocol):
    """What is asked of an index."""

    def search(self, queries: Codes, k: int, *, threads: int | None = None) -> Neighbors:
        """Return the k nearest."""

    def search_radius(self, queries: Codes, radius: int, *, threads: int | None = None) -> Balls:
        """Return the balls."""

    def keys_of(self, ids: Ids) -> list[str | None]:
        """Return the keys of ids."""


@dataclass(frozen=True)
class Found:
    """One neighbour of a query."""

    id: int
    distance: int
    key: str | None


def answer(
    index: Searchable, queries: Codes, *, k: int | None, radius: int | None, threads: int | None = None
) -> list[list[Found]]:
    """Return the neighbours of each query: the ``k`` nearest, or all within ``radius`` (inclusive).

    Exactly one of the two must be given; k beyond the size of the index is an error, as everywhere.
    """
    if (k is None) == (radius is None):
        raise ValueError("give either --k or --radius: the k nearest, or all within a Hamming distance")
    if k is not None:
        nearest = index.search(queries, k, threads=threads)
        lists = list(zip(nearest.distances, nearest.ids, strict=True))
    else:
        balls = index.search_radius(queries, int(radius or 0), threads=threads)
        lists = [balls.ball(query) for query in range(len(queries))]
    answers = []
    for distances, ids in lists:
        kept = ids != PAD_ID
        keys = index.keys_of(np.ascontiguousarray(ids[kept]))
        triples = zip(ids[kept].tolist(), distances[kept].tolist(), keys, strict=True)
        answers.append([Found(*triple) for triple in triples])
    return answers


def load_queries(path: Path) -> Codes:
    """Return the packed codes of an .npy file; DamagedError for one that is cut off."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; give an .npy file of packed codes (uint8)")
    with path.open("rb") as file:
        if file.read(len(MAGIC_PREFIX)) != MAGIC_PREFIX:
            raise ValueError(f"{path} is not an .npy file; save packed codes (uint8) with np.save")
    try:
        queries: Codes = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        # Only the first sentence: numpy goes on with advice to unpickle the file.
        raise DamagedError(path, str(error).split(".", maxsplit=1)[0]) from error
    return queries


def encode_files(files: Sequence[Path], model: Path, *, wanted: str | None) -> Codes:
    """Return the codes of image files; FingerprintError for another model than that of the index."""
    from hashnet.allocator import keep_freed_memory
    from hashnet.datasets import load_image
    from hashnet.encoding import Encoder

    for file in files:
        if not file.is_file():
            raise FileNotFoundError(f"query image {file} does not exist")
    keep_freed_memory()
    encoder = Encoder.load(model)
    if wanted is not None and encoder.fingerprint != wanted:
        raise FingerprintError(encoder.fingerprint, wanted, what=f"queries of model {model}")
    return encoder.encode([load_image(file) for file in files])


def draw_queries(codes: Codes, n: int, *, seed: int) -> Codes:
    """Return ``n`` queries: drawn codes, every other one with up to a quarter of its bits flipped.

    Codes themselves meet ties and duplicates, flipped ones the space between.
    """
    if len(codes) == 0:
        raise ValueError("the index is empty, there is nothing to ask; add codes first")
    rng = np.random.default_rng(seed)
    queries = codes[rng.integers(0, len(codes), n)]
    n_bits = codes.shape[1] * 8
    share = rng.random((n, 1)) / 4
    share[::2] = 0
    return queries ^ np.packbits(rng.random((n, n_bits)) < share, axis=1)
