"""How well codes use their bits: balance, distinct codes, correlation."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hashnet.codes import Codes, check_codes, check_n_bits, unpack

# Bits are unpacked and counted a block at a time, as float32 for the matrix product.
BLOCK = 65_536


@dataclass(frozen=True)
class BitStatistics:
    """What the bits of a set of codes look like.

    ``balance`` is the share of ones of each bit (0.5 is best); ``mean_abs_correlation`` and
    ``max_abs_correlation`` are over pairs of different bits (0 is best); a constant bit counts as
    uncorrelated and is counted in ``constant_bits``.
    """

    n_codes: int
    n_bits: int
    distinct_codes: int
    balance: tuple[float, ...]
    constant_bits: int
    mean_abs_correlation: float
    max_abs_correlation: float

    def to_json(self) -> dict[str, Any]:
        """Return a dict that ``json.dumps`` takes."""
        return asdict(self)


def bit_statistics(codes: Codes) -> BitStatistics:
    """Return balance, number of distinct codes and correlation of the bits of ``codes``."""
    if not isinstance(codes, np.ndarray) or codes.ndim != 2 or len(codes) == 0:
        raise ValueError(f"codes must have shape (n, n_bits / 8) with n >= 1, got {np.shape(codes)}")
    n_bits = check_n_bits(codes.shape[1] * 8)
    check_codes(codes, n_bits)
    ones = np.zeros(n_bits)
    together = np.zeros((n_bits, n_bits))
    for first in range(0, len(codes), BLOCK):
        bits = unpack(codes[first : first + BLOCK]).astype(np.float32)
        ones += bits.sum(axis=0, dtype=np.float64)
        together += bits.T @ bits
    balance = ones / len(codes)
    spread = np.sqrt(balance * (1 - balance))
    product = np.outer(spread, spread)
    covariance = together / len(codes) - np.outer(balance, balance)
    correlation = np.divide(covariance, product, out=np.zeros_like(product), where=product > 0)
    others = np.abs(correlation[~np.eye(n_bits, dtype=bool)])
    return BitStatistics(
        n_codes=len(codes),
        n_bits=n_bits,
        distinct_codes=count_distinct(codes),
        balance=tuple(float(share) for share in balance),
        constant_bits=int(np.count_nonzero(spread == 0)),
        mean_abs_correlation=float(others.mean()),
        max_abs_correlation=float(others.max()),
    )


def count_distinct(codes: Codes) -> int:
    """Return how many different codes there are."""
    rows = np.ascontiguousarray(codes).view(np.dtype((np.void, codes.shape[1]))).ravel()
    return len(np.unique(rows))
