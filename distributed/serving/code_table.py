"""The codes behind ids, for the page that shows which bits differ: an index finds ids by code only."""

from __future__ import annotations

from typing import Self

import numpy as np

from hashnet.codes import Codes, Ids
from hashnet.index import Index


class CodeTable:
    """All codes of an index in the order of their ids: 8 bytes and a code for each row, in memory."""

    def __init__(self, codes: Codes, ids: Ids) -> None:
        order = np.argsort(ids)
        self._ids = ids[order]
        self._codes = codes[order]

    @classmethod
    def of(cls, index: Index) -> Self:
        """Read the codes of ``index``."""
        return cls(*index.export())

    def codes_of(self, ids: Ids) -> Codes:
        """Return the codes ``(n, n_bits / 8)`` of ``ids``; KeyError for one that the index does not hold."""
        places = np.searchsorted(self._ids, ids)
        found = places < len(self._ids)
        found[found] = self._ids[places[found]] == ids[found]
        if not found.all():
            raise KeyError(int(ids[~found][0]))
        return self._codes[places]
