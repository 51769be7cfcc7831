"""The checks of real-valued features that the classic methods share."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashnet.codes import check_n_bits


def check_features(features: NDArray[Any], *, n_features: int | None = None) -> NDArray[np.float64]:
    """Return finite features ``(n, n_features)`` as float64; raises TypeError or ValueError for others."""
    if not isinstance(features, np.ndarray) or features.dtype.kind not in "fiu":
        got = getattr(features, "dtype", type(features).__name__)
        raise TypeError(f"features must be a numpy array of real numbers, got {got}")
    if features.ndim != 2 or 0 in features.shape:
        raise ValueError(f"features must have shape (n, n_features), neither 0, got {features.shape}")
    if n_features is not None and features.shape[1] != n_features:
        raise ValueError(
            f"features must have {n_features} columns, as those of fit had, got {features.shape[1]}"
        )
    values = features.astype(np.float64)
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
        raise ValueError(f"features must be finite, row {row} is not; drop the rows or repair them")
    return values


def check_settings(n_bits: int, seed: int) -> tuple[int, int]:
    """Return ``n_bits`` and ``seed`` if a code can have them."""
    if seed < 0:
        raise ValueError(f"seed must be at least 0, got {seed}")
    return check_n_bits(n_bits), seed
