"""The checks of settings, features and labels that the classic methods share."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import type_of_target


def check_finite(values: NDArray[Any], *, first_row: int = 0) -> None:
    """Raise ValueError that names the first row of ``values`` with NaN or infinity."""
    bad = ~np.isfinite(values).all(axis=1)
    if bad.any():
        row = first_row + int(np.flatnonzero(bad)[0])
        raise ValueError(f"X must be finite, row {row} has NaN or inf; drop such rows or repair them")


def check_count(name: str, value: Any, *, least: int = 1) -> int:
    """Return the setting ``value`` as an int of at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be an int, got {type(value).__name__}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")
    return int(value)


def check_number(name: str, value: Any, *, zero: bool = True) -> float:
    """Return the setting ``value`` as a finite float above 0, or at least 0 if ``zero`` is allowed."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, got {type(value).__name__}")
    number = float(value)
    if not np.isfinite(number) or number < 0 or (number == 0 and not zero):
        raise ValueError(f"{name} must be finite and {'at least' if zero else 'above'} 0, got {value}")
    return number


def label_rows(y: Any, n: int, *, name: str) -> NDArray[np.uint8]:
    """Return ``y`` as multi-hot rows uint8 ``(n, n_classes)``.

    ``y`` is a vector of class numbers or names, whose sorted distinct values become the columns, or already
    multi-hot with two columns or more. Rows without any label are allowed: they are similar to none. Raises
    ValueError for another length, for values that are not classes, and if all rows have the same labels,
    because then nothing can be learned from them.
    """
    if y is None:
        raise ValueError(f"{name} requires y to be passed, but the target y is None")
    array = np.asarray(y)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError("Input y contains NaN or infinity; y must be class numbers or multi-hot rows")
    if array.ndim not in {1, 2} or len(array) != n:
        raise ValueError(f"y must have one row for each of the {n} rows of X, got shape {array.shape}")
    if array.ndim == 2 and array.shape[1] > 1:
        if array.dtype.kind not in "biuf" or not np.isin(array, (0, 1)).all():
            raise ValueError("y with several columns must be multi-hot, only 0 and 1; got other values")
        rows = np.ascontiguousarray(array, dtype=np.uint8)
    else:
        array = column_or_1d(array, warn=True)
        if type_of_target(array, input_name="y") not in {"binary", "multiclass"}:
            raise ValueError(
                "Unknown label type: y must be class numbers, class names or multi-hot rows, "
                f"got {array.dtype} values that are no classes"
            )
        classes, position = np.unique(array, return_inverse=True)
        rows = np.zeros((n, len(classes)), dtype=np.uint8)
        rows[np.arange(n), position] = 1
    if (rows == rows[0]).all():
        raise ValueError(f"y must hold at least two classes, every row has the same; {name} learns from both")
    return rows
