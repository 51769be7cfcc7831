"""How well codes use their bits: balance, correlation, distinct codes, entropy."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashnet.codes import Codes, check_codes, check_n_bits, unpack

# Bits are unpacked and counted a block at a time, as float32 for the matrix product.
BLOCK = 65_536


@dataclass(frozen=True)
class BitStatistics:
    """What the bits of a set of codes look like.

    ``balance`` is the share of ones of each bit (0.5 is best) and ``mean_imbalance`` the mean of its distance
    from 0.5; ``mean_abs_correlation`` and ``max_abs_correlation`` are over pairs of different bits (0 is
    best); a constant bit counts as uncorrelated and is counted in ``constant_bits``. ``largest_share`` is
    that of the most frequent code.

    Entropies are in bits. ``code_entropy`` is the plug-in (maximum likelihood) estimate over whole codes:
    at most log2 of n_codes, which it reaches where all codes differ, and too low where codes are few for
    what they could be. ``code_entropy_miller_madow`` adds (distinct - 1) / (2 n ln 2) to it (Miller, "Note on
    the bias of information estimates", 1955), capped at n_bits: less biased, and still too low there.
    ``bit_entropy`` is the sum of the entropies of single bits, which ``code_entropy`` never exceeds; what
    lies between the two is said by several bits at once.
    """

    n_codes: int
    n_bits: int
    distinct_codes: int
    balance: tuple[float, ...]
    constant_bits: int
    mean_abs_correlation: float
    max_abs_correlation: float
    mean_imbalance: float
    largest_share: float
    code_entropy: float
    code_entropy_miller_madow: float
    bit_entropy: float

    def to_json(self) -> dict[str, Any]:
        """Return a dict that ``json.dumps`` takes."""
        return asdict(self)


def bit_statistics(codes: Codes) -> BitStatistics:
    """Return balance, correlation, number of distinct codes and entropy of ``codes``."""
    if not isinstance(codes, np.ndarray) or codes.ndim != 2 or len(codes) == 0:
        raise ValueError(f"codes must have shape (n, n_bits / 8) with n >= 1, got {np.shape(codes)}")
    n_bits = check_n_bits(codes.shape[1] * 8)
    check_codes(codes, n_bits)
    n = len(codes)
    ones = np.zeros(n_bits)
    together = np.zeros((n_bits, n_bits))
    for first in range(0, n, BLOCK):
        bits = unpack(codes[first : first + BLOCK]).astype(np.float32)
        ones += bits.sum(axis=0, dtype=np.float64)
        together += bits.T @ bits
    balance = ones / n
    spread = np.sqrt(balance * (1 - balance))
    product = np.outer(spread, spread)
    covariance = together / n - np.outer(balance, balance)
    correlation = np.divide(covariance, product, out=np.zeros_like(product), where=product > 0)
    others = np.abs(correlation[~np.eye(n_bits, dtype=bool)])
    counts = count_codes(codes)
    entropy = _entropy(counts / n)
    # Exact arithmetic keeps the order that rounding might turn around.
    bit_entropy = max(entropy, _entropy(np.stack([balance, 1 - balance])))
    return BitStatistics(
        n_codes=n,
        n_bits=n_bits,
        distinct_codes=len(counts),
        balance=tuple(float(share) for share in balance),
        constant_bits=int(np.count_nonzero(spread == 0)),
        mean_abs_correlation=float(others.mean()),
        max_abs_correlation=float(others.max()),
        mean_imbalance=float(np.abs(balance - 0.5).mean()),
        largest_share=float(counts.max() / n),
        code_entropy=entropy,
        code_entropy_miller_madow=min(entropy + (len(counts) - 1) / (2 * n * np.log(2)), float(n_bits)),
        bit_entropy=bit_entropy,
    )


def count_codes(codes: Codes) -> NDArray[np.int64]:
    """Return how often each distinct code occurs."""
    n_bytes = codes.shape[1]
    padded = codes
    if n_bytes < 8 or n_bytes % 8:
        padded = np.zeros((len(codes), -(-n_bytes // 8) * 8), dtype=np.uint8)
        padded[:, :n_bytes] = codes
    words = np.ascontiguousarray(padded).view(np.uint64)
    if words.shape[1] == 1:
        return np.unique(words, return_counts=True)[1].astype(np.int64)
    ordered = words[np.lexsort(words.T)]
    starts = np.flatnonzero(np.concatenate([[True], (ordered[1:] != ordered[:-1]).any(axis=1)]))
    return np.diff(np.append(starts, len(ordered))).astype(np.int64)


def count_distinct(codes: Codes) -> int:
    """Return how many different codes there are."""
    return len(count_codes(codes))


def _entropy(share: NDArray[np.float64]) -> float:
    """Return the sum of -p log2 p, in bits."""
    some = share[share > 0]
    return float(max(0.0, -(some * np.log2(some)).sum()))
