"""Other systems that answer a radius or the k nearest exactly, as optional baselines: FAISS and usearch.

A system is built where it is about to be asked, and dropped before the next one: together they would not fit.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from benchmarks.questions import Question
from hashnet.codes import Codes

Ask = Callable[[Codes], Any]

# Codes above which a system is left out, for its memory or because one answer takes seconds.
_MOST_CODES = {"Flat": 2e8, "MultiHash": 2e7, "Hash": 2e7, "IVF": 2e7, "usearch": 1e6}
# Keys of one query above which a hash index is not asked: a second of work and more.
_MOST_PROBES = 400_000


@dataclass(frozen=True)
class System:
    """An index, built, with the questions that it answers exactly; ``ask`` gives None for others.

    ``threads`` sets how many threads it may use.
    """

    name: str
    build_s: float
    ask: Callable[[Question], Ask | None]
    threads: Callable[[int], None]


def systems(codes: Codes, *, leave_out: tuple[str, ...] = ()) -> Iterator[System]:
    """Build every system that is installed and fits, one after the other; each is dropped before the next.

    Flat scans. MultiHash(m x b) is exact for a radius if nflip >= radius // m, and for k-NN at no fixed
    nflip. Hash(b) looks up every key within nflip bits, which is exact if nflip >= radius. IVF is exact when
    it probes every list. usearch's ``search(exact=True)`` scans.
    """
    n, n_bits = len(codes), codes.shape[1] * 8
    builders: list[tuple[str, Callable[[], System]]] = []
    try:
        import faiss
    except ImportError:
        print("  FAISS is not installed: without it as a baseline")
    else:
        faiss.omp_set_num_threads(1)
        builders.append(("Flat", partial(_flat, faiss, codes)))
        builders += [
            ("MultiHash", partial(_multi_hash, faiss, codes, m, b)) for m, b in multi_hash_shapes(n_bits)
        ]
        builders.append(("Hash", partial(_hash, faiss, codes, min(n_bits, 24))))
        builders.append(("IVF", partial(_ivf, faiss, codes)))
    try:
        import usearch.index  # noqa: F401
    except ImportError:
        print("  usearch is not installed: without it as a baseline")
    else:
        builders.append(("usearch", partial(_usearch, codes)))
    for family, build in builders:
        if n <= _MOST_CODES[family] and family not in leave_out:
            yield build()


def multi_hash_shapes(n_bits: int) -> list[tuple[int, int]]:
    """Return (hashes, bits of each): about log2 n bits, as in the MIH paper, and one shape of fewer bits."""
    shapes = [(n_bits // bits, bits) for bits in (21, 16) if n_bits // bits >= 2]
    return shapes or ([(2, n_bits // 2)] if n_bits >= 16 else [])


def _timed_add(index: Any, codes: Codes) -> float:
    begin = time.perf_counter()
    index.add(codes)
    return time.perf_counter() - begin


def _faiss_system(faiss: Any, name: str, build_s: float, ask: Callable[[Question], Ask | None]) -> System:
    return System(f"FAISS {name}", build_s, ask, threads=faiss.omp_set_num_threads)


def _flipping(index: Any, flips: int, radius: int) -> Ask:
    """Return how to ask for a ball; the flips are a state of the index, which other questions change."""
    ask = _radius(index, radius)

    def ask_with_flips(queries: Codes) -> Any:
        index.nflip = flips
        return ask(queries)

    return ask_with_flips


def _radius(index: Any, radius: int) -> Ask:
    # FAISS's radius is exclusive.
    return lambda queries: index.range_search(queries, radius + 1)


def _either(index: Any, question: Question) -> Ask:
    if question.kind == "radius":
        return _radius(index, question.value)
    return lambda queries: index.search(queries, question.value)


def _keys_within(bits: int, flips: int) -> int:
    return sum(math.comb(bits, i) for i in range(min(flips, bits) + 1))


def _flat(faiss: Any, codes: Codes) -> System:
    index = faiss.IndexBinaryFlat(codes.shape[1] * 8)
    build_s = _timed_add(index, codes)
    return _faiss_system(faiss, "Flat", build_s, partial(_either, index))


def _multi_hash(faiss: Any, codes: Codes, n_hash: int, bits: int) -> System:
    index = faiss.IndexBinaryMultiHash(codes.shape[1] * 8, n_hash, bits)
    build_s = _timed_add(index, codes)

    def ask(question: Question) -> Ask | None:
        # More flips than a hash has bits never end.
        flips = min(question.value // n_hash, bits)
        if question.kind != "radius" or n_hash * _keys_within(bits, flips) > _MOST_PROBES:
            return None
        return _flipping(index, flips, question.value)

    return _faiss_system(faiss, f"MultiHash({n_hash}x{bits})", build_s, ask)


def _hash(faiss: Any, codes: Codes, bits: int) -> System:
    index = faiss.IndexBinaryHash(codes.shape[1] * 8, bits)
    build_s = _timed_add(index, codes)

    def ask(question: Question) -> Ask | None:
        flips = min(question.value, bits)
        if question.kind != "radius" or _keys_within(bits, flips) > _MOST_PROBES:
            return None
        return _flipping(index, flips, question.value)

    return _faiss_system(faiss, f"Hash({bits})", build_s, ask)


def _ivf(faiss: Any, codes: Codes) -> System:
    n_bits = codes.shape[1] * 8
    n_lists = max(1, min(256, len(codes) // 40))
    quantizer = faiss.IndexBinaryFlat(n_bits)
    index = faiss.IndexBinaryIVF(quantizer, n_bits, n_lists)
    begin = time.perf_counter()
    rng = np.random.default_rng(0)
    index.train(codes[np.sort(rng.choice(len(codes), min(len(codes), 40 * n_lists), replace=False))])
    index.add(codes)
    build_s = time.perf_counter() - begin
    index.nprobe = n_lists
    # The quantizer belongs to Python and must live as long as the index.
    index.quantizer_held = quantizer
    return _faiss_system(faiss, "IVF (all lists)", build_s, partial(_either, index))


def _usearch(codes: Codes) -> System:
    from usearch.index import MetricKind, search

    allowed = 1

    def set_threads(threads: int) -> None:
        nonlocal allowed
        allowed = threads

    def ask(question: Question) -> Ask | None:
        if question.kind != "k":
            return None
        return lambda queries: search(
            codes, queries, question.value, MetricKind.Hamming, exact=True, threads=allowed
        )

    return System("usearch exact", 0.0, ask, set_threads)
