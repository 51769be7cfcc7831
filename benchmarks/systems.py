"""FAISS's exact binary indexes behind the two questions of this benchmark: radius and k nearest."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashnet.codes import Codes

Ask = Callable[[Codes], Any]


@dataclass(frozen=True)
class System:
    """One index of FAISS, built, with the questions that it answers exactly."""

    name: str
    build_s: float
    radius: Callable[[int], Ask | None]
    nearest: Callable[[int], Ask | None]
    count: Callable[[Any], int]


def faiss_systems(codes: Codes) -> list[System]:
    """Build every binary index of FAISS that can be exact, one after the other.

    Flat scans. MultiHash(m x b) is exact for a radius if nflip >= radius // m, and for k-NN at no fixed
    nflip. Hash(b) looks up every key within nflip bits, which is exact if nflip >= radius. IVF is exact when
    it probes every list.
    """
    import faiss

    faiss.omp_set_num_threads(1)
    n_bits = codes.shape[1] * 8
    systems = [_flat(faiss, codes, n_bits)]
    # About log2 n bits a hash, the setting of the MIH paper, and one hash more of fewer bits.
    for n_hash, bits in ((n_bits // 21, 21), (n_bits // 16, 16)):
        systems.append(_multi_hash(faiss, codes, n_bits, n_hash, bits))
    systems.append(_hash(faiss, codes, n_bits, 24))
    systems.append(_ivf(faiss, codes, n_bits))
    return systems


def _timed_add(index: Any, codes: Codes) -> float:
    begin = time.perf_counter()
    index.add(codes)
    return time.perf_counter() - begin


def _range_count(answer: tuple[NDArray[Any], NDArray[Any], NDArray[Any]]) -> int:
    return int(answer[0][-1])


def _scan_radius(index: Any, radius: int) -> Ask:
    # FAISS's radius is exclusive.
    return lambda queries: index.range_search(queries, radius + 1)


def _flat(faiss: Any, codes: Codes, n_bits: int) -> System:
    index = faiss.IndexBinaryFlat(n_bits)
    build_s = _timed_add(index, codes)
    return System(
        "FAISS Flat",
        build_s,
        radius=lambda radius: _scan_radius(index, radius),
        nearest=lambda k: lambda queries: index.search(queries, k),
        count=_range_count,
    )


def _multi_hash(faiss: Any, codes: Codes, n_bits: int, n_hash: int, bits: int) -> System:
    index = faiss.IndexBinaryMultiHash(n_bits, n_hash, bits)
    build_s = _timed_add(index, codes)

    def radius(radius: int) -> Ask:
        index.nflip = radius // n_hash
        return _scan_radius(index, radius)

    return System(
        f"FAISS MultiHash({n_hash}x{bits})",
        build_s,
        radius=radius,
        nearest=lambda k: None,
        count=_range_count,
    )


def _hash(faiss: Any, codes: Codes, n_bits: int, bits: int) -> System:
    index = faiss.IndexBinaryHash(n_bits, bits)
    build_s = _timed_add(index, codes)

    def radius(radius: int) -> Ask | None:
        # Beyond this it would look up more keys than there are.
        if radius > bits // 3:
            return None
        index.nflip = radius
        return _scan_radius(index, radius)

    return System(f"FAISS Hash({bits})", build_s, radius=radius, nearest=lambda k: None, count=_range_count)


def _ivf(faiss: Any, codes: Codes, n_bits: int) -> System:
    n_lists = 256
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
    return System(
        "FAISS IVF (all lists)",
        build_s,
        radius=lambda radius: _scan_radius(index, radius),
        nearest=lambda k: lambda queries: index.search(queries, k),
        count=_range_count,
    )
