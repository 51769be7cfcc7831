"""What a search costs and what an index weighs, as formulas with a handful of measured constants: no Ray.

A query of radius r probes, in each of m tables, the buckets within a substring radius; each bucket holds
n / 2^(substring bits) candidates. Its time is

    call + probes * probe + candidates * candidate + matches * match

where a probe is a wait for memory (less where the index fits the caches), a candidate a few bytes streamed,
and a match is located in the first table. The k nearest cost what the radius costs within which k codes lie,
times a factor for growing the radius until that is proven. The factor is one for uniform codes, another for
clusters: how far the k-th lies differs from query to query there, and the time grows faster than the radius.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import comb
from typing import Literal

Workload = Literal["uniform", "clustered"]

# The clustered workload of the benchmarks: clusters of this many codes, a centre's bits flipped at this rate.
CLUSTER_SIZE = 1000
FLIP_RATE = 3 / 32
# Codes that take a residue: the constants were measured on these.
MAX_BITS = 64
# As csrc/storage/layout.cpp lays segments out.
_WHOLE_CODE_BITS = 20
_BUCKET_BITS = 6.5
_LEAST_SUBSTRING = 10.0
_MAX_DIRECTORY_BITS = 28
_BYTES_MATTER = 1 << 22
# A row number, and a bit that tells where the run of a code begins.
_ID_BYTES = 4 + 1 / 8
# Up to the first size an index is mostly cached, from the second on mostly not.
_CACHED_CODES, _MEMORY_CODES = 1e7, 1e8


@dataclass(frozen=True)
class Question:
    """What is asked of codes of ``n_bits`` bits: all within ``radius``, or the ``k`` nearest."""

    n_bits: int
    workload: Workload
    radius: int | None = None
    k: int | None = None

    def __post_init__(self) -> None:
        if self.n_bits % 8 or not 8 <= self.n_bits <= MAX_BITS:
            raise ValueError(
                f"bits must be a multiple of 8 up to {MAX_BITS}, got {self.n_bits}; the constants of the "
                "model were measured on such codes"
            )
        if (self.radius is None) == (self.k is None):
            raise ValueError("give either --radius or --k: all codes within a distance, or the k nearest")
        if self.radius is not None and not 0 <= self.radius <= self.n_bits // 4:
            raise ValueError(
                f"radius must be from 0 to {self.n_bits // 4}, a quarter of the bits, got {self.radius}: "
                "beyond, a scan of all codes is usually cheaper"
            )
        if self.k is not None and not 1 <= self.k <= CLUSTER_SIZE:
            raise ValueError(f"k must be from 1 to {CLUSTER_SIZE}, got {self.k}; that is what was measured")


@dataclass(frozen=True)
class SearchConstants:
    """Measured costs, in nanoseconds: of one thread, inside the engine."""

    call_ns: float
    cached_probe_ns: float
    probe_ns: float
    candidate_ns: float
    match_ns: float
    growing_uniform: float
    growing_clustered: float
    scan_ns: float

    def growing(self, question: Question) -> float:
        """Return what growing the radius multiplies the time by; 1 where the radius is given."""
        if question.k is None:
            return 1.0
        return self.growing_clustered if question.workload == "clustered" else self.growing_uniform


@dataclass(frozen=True)
class Work:
    """What one query does in a segment, on average."""

    probes: float
    candidates: float
    matches: float


def query_ns(question: Question, n_codes: float, constants: SearchConstants) -> float:
    """Return the expected time of one query on a segment of ``n_codes`` codes, on one thread."""
    work = work_of(question, n_codes)
    probed = (
        constants.call_ns
        + work.probes * probe_ns(n_codes, constants)
        + work.candidates * constants.candidate_ns
        + work.matches * constants.match_ns
    ) * constants.growing(question)
    # The planner takes the cheaper of the two.
    return min(probed, constants.call_ns + n_codes * constants.scan_ns * question.n_bits / 64)


def probe_ns(n_codes: float, constants: SearchConstants) -> float:
    """Return the wait for a bucket in an index of ``n_codes`` codes, between cached and memory by log n."""
    share = memory_share(n_codes)
    return (1 - share) * constants.cached_probe_ns + share * constants.probe_ns


def memory_share(n_codes: float) -> float:
    """Return which share of probes goes to memory: 0 up to 1e7 codes, 1 from 1e8."""
    span = math.log(_MEMORY_CODES / _CACHED_CODES)
    return min(1.0, max(0.0, math.log(max(n_codes, 1.0) / _CACHED_CODES) / span))


def work_of(question: Question, n_codes: float) -> Work:
    """Return probes, candidates and matches of a query on a segment of ``n_codes`` codes."""
    if question.radius is not None:
        return _work_at(question, n_codes, question.radius)
    radius = reach_of(question, n_codes)
    low = math.floor(radius)
    share = radius - low
    below, above = _work_at(question, n_codes, low), _work_at(question, n_codes, low + 1)
    return Work(
        below.probes ** (1 - share) * above.probes**share,
        below.candidates ** (1 - share) * above.candidates**share,
        float(question.k or 0),
    )


def matches_within(question: Question, n_codes: float, radius: int) -> float:
    """Return how many codes lie within ``radius`` of a query: chance, and the members of its cluster."""
    chance = n_codes * _ball(question.n_bits, radius) / 2.0**question.n_bits
    return chance + _mates(question, n_codes) * _mates_within(question.n_bits, radius)


def reach_of(question: Question, n_codes: float) -> float:
    """Return the median distance of the ``k``-th code, between two whole ones by logarithm.

    How many codes lie within a radius is taken as a Poisson number: half of the queries find k where
    k - 1/3 are expected, the median of a gamma distribution.
    """
    k = min(float(question.k or 1), n_codes) - 1 / 3
    radius = 0
    while matches_within(question, n_codes, radius) < k and radius < question.n_bits:
        radius += 1
    if radius == 0:
        return 0.0
    low = math.log(max(matches_within(question, n_codes, radius - 1), 1e-12))
    high = math.log(matches_within(question, n_codes, radius))
    return radius - 1 + (math.log(k) - low) / (high - low)


def bytes_per_code(n_bits: int, n_codes: float) -> float:
    """Return the bytes that a segment of distinct codes takes for each, ids being row numbers."""
    total = _ID_BYTES * n_codes
    for table, substring in enumerate(substrings(n_bits, n_codes)):
        directory, planes = _directory(n_bits, substring, n_codes)
        if table == 0:
            while (
                directory < min(_MAX_DIRECTORY_BITS, n_bits)
                and -(-(n_bits - directory - 1) // 8) <= planes
                and 4 * 2.0 ** (directory + 1) <= 0.5 * n_codes
            ):
                directory += 1
        total += 4 * 2.0**directory + planes * n_codes
    return total / n_codes


@lru_cache(maxsize=1024)
def substrings(n_bits: int, n_codes: float) -> tuple[int, ...]:
    """Return the bits of each table's substring, as the engine chooses them."""
    if n_bits <= _WHOLE_CODE_BITS:
        return (n_bits,)
    substring = max(_LEAST_SUBSTRING, math.log2(max(n_codes, 2.0)) - _BUCKET_BITS)
    tables = max(2, -(-n_bits // _MAX_DIRECTORY_BITS), math.floor(n_bits / substring + 0.5))
    return tuple(n_bits // tables + (table >= tables - n_bits % tables) for table in range(tables))


def _work_at(question: Question, n_codes: float, radius: int) -> Work:
    parts = substrings(question.n_bits, n_codes)
    mates = _mates(question, n_codes)
    # The general pigeonhole principle: substring radii t_j >= -1 with the sum of t_j + 1 equal to radius + 1.
    each, rest = divmod(radius + 1, len(parts))
    probes = candidates = 0.0
    for table, bits in enumerate(parts):
        # The longest substrings, which come last, have the smallest buckets.
        reach = min(each + (table >= len(parts) - rest) - 1, bits)
        buckets = _ball(bits, reach)
        probes += buckets
        candidates += buckets * n_codes / 2.0**bits + mates * _two_flips_within(bits, reach)
    return Work(max(probes, 1e-9), max(candidates, 1e-9), matches_within(question, n_codes, radius))


def _mates(question: Question, n_codes: float) -> float:
    return min(CLUSTER_SIZE, n_codes) if question.workload == "clustered" else 0.0


def _directory(n_bits: int, substring: int, n_codes: float) -> tuple[int, int]:
    """Return the bits of a directory address, and the bytes of a residue."""

    def planes(bits: int) -> int:
        return -(-(n_bits - bits) // 8)

    if n_codes < _BYTES_MATTER:
        return substring, planes(substring)
    widest = min(substring + 7, n_bits, _MAX_DIRECTORY_BITS)
    size: Callable[[int], float] = lambda bits: 4 * 2.0**bits + n_codes * planes(bits)  # noqa: E731
    best = min(range(substring, max(widest, substring) + 1), key=size)
    return best, planes(best)


@lru_cache(maxsize=4096)
def _ball(n_bits: int, radius: int) -> float:
    return float(sum(comb(n_bits, distance) for distance in range(radius + 1)))


@lru_cache(maxsize=4096)
def _mates_within(n_bits: int, radius: int) -> float:
    """Return the share of a cluster within ``radius`` of a query that is the typical way from its centre."""
    own = round(n_bits * FLIP_RATE)
    return sum(
        comb(own, kept)
        * (1 - FLIP_RATE) ** kept
        * FLIP_RATE ** (own - kept)
        * _binomial_within(n_bits - own, FLIP_RATE, radius - kept)
        for kept in range(min(own, radius) + 1)
    )


@lru_cache(maxsize=4096)
def _two_flips_within(n_bits: int, radius: int) -> float:
    return _binomial_within(n_bits, 2 * FLIP_RATE * (1 - FLIP_RATE), radius)


def _binomial_within(n: int, rate: float, most: int) -> float:
    return sum(comb(n, i) * rate**i * (1 - rate) ** (n - i) for i in range(min(most, n) + 1))
