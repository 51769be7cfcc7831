"""What every classic method shares: scikit-learn's conventions, and packed codes at the end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from hashnet.baselines.checks import check_count, check_finite
from hashnet.codes import Codes, check_n_bits, pack

BLOCK_ROWS = 4096


class FeatureHash(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator, ABC):
    """Codes of real-valued features: ``fit(X, y)``, then ``encode(X)`` for packed codes.

    ``X`` is real and finite, ``(n, n_features)``. ``transform`` gives the relaxed codes, float64
    ``(n, n_bits)``, whose signs ``encode`` packs. Both work on blocks of rows, so what they need beside ``X``
    and the answer does not grow with n. Equal settings, ``seed`` and data give equal codes, bit for bit, as
    long as the linear algebra underneath runs with the same number of threads. Settings are checked by
    ``fit``, as scikit-learn has it; what was learned ends with an underscore.
    """

    n_bits: int
    seed: int

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: N803
        """Learn from features ``X`` (n, n_features), and from labels ``y`` where the method takes them.

        ``y`` is (n,), class numbers or names, or multi-hot (n, n_classes). Raises TypeError or ValueError for
        settings, features or labels that the method cannot learn from; what was learned before then stays.
        """
        before = self.__dict__.copy()
        try:
            self._learn(X, y)
        except BaseException:
            self.__dict__ = before
            raise
        return self

    def encode(self, X: Any) -> Codes:  # noqa: N803
        """Return the codes of ``X``, uint8 ``(n, n_bits / 8)``: bit = relaxed code > 0.

        Raises NotFittedError, which is a ValueError, before ``fit``, and ValueError for another n_features.
        """
        return np.concatenate([pack(relaxed) for relaxed in self._blocks(X)])

    def transform(self, X: Any) -> NDArray[np.float64]:  # noqa: N803
        """Return the relaxed codes of ``X``, float64 ``(n, n_bits)``."""
        return np.concatenate(list(self._blocks(X)))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []  # relaxed codes are float64 whatever came in
        return tags

    @property
    def _n_features_out(self) -> int:
        return self.n_bits

    @abstractmethod
    def _learn(self, X: Any, y: Any) -> None:  # noqa: N803
        """Check everything and set what is learned."""

    @abstractmethod
    def _relaxed(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the relaxed codes of a block of finite features."""

    def _begin(self, X: Any, *, least: int = 2) -> tuple[NDArray[np.float64], np.random.Generator]:  # noqa: N803
        """Check settings and features of ``fit``; return the features as float64 and the generator."""
        check_n_bits(self.n_bits)
        seed = check_count("seed", self.seed, least=0)
        values = validate_data(self, X, dtype=np.float64, ensure_all_finite=False, ensure_min_samples=least)
        check_finite(values)
        return values, np.random.default_rng(seed)

    def _blocks(self, X: Any) -> Iterator[NDArray[np.float64]]:  # noqa: N803
        check_is_fitted(self)
        values = validate_data(self, X, dtype=(np.float64, np.float32), ensure_all_finite=False, reset=False)
        for first in range(0, len(values), BLOCK_ROWS):
            block = values[first : first + BLOCK_ROWS]
            check_finite(block, first_row=first)
            yield self._relaxed(block.astype(np.float64, copy=False))


class SupervisedFeatureHash(FeatureHash):
    """A method that learns from labels: its ``fit`` demands y, class numbers or names, or multi-hot rows."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.target_tags.two_d_labels = True
        return tags
