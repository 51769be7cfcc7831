"""What `reproduce --tune` tries of every method: its learning rate or ridge, and the settings of its own.

Nine points for HashNet and most deep methods, four to eight for the others. Chosen values are in
learning_settings.json, with the figure of every point.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any


def _grid(**values: Sequence[Any]) -> list[dict[str, Any]]:
    return [dict(zip(values, chosen, strict=True)) for chosen in product(*values.values())]


_RATES = (5e-4, 1e-3, 2e-3)

GRIDS: Mapping[str, Sequence[Mapping[str, Any]]] = {
    # Nothing to choose: random planes; PCA and its box; PCA and a rotation.
    "lsh": [{}],
    "sh": [{}],
    "itq": [{}],
    "itq-cca": _grid(ridge=(1e-3, 1e-2, 1e-1, 1.0), correlation_power=(0.5, 1.0)),
    "ksh": _grid(width=(0.5, 1.0), n_labeled=(2000, 5000)),
    "sdh": _grid(width=(0.7, 1.0), n_anchors=(1000, 4000), code_fit=(1e-5, 1e-3)),
    "bre": _grid(n_anchors=(50, 300), n_train=(1000, 2000)),
    "cnnh": _grid(lr=_RATES, dropout=(0.3, 0.5)),
    "dnnh": _grid(lr=_RATES, margin=(0.5, 1.0, 2.0)),
    "dhn": _grid(lr=_RATES, quantization=(0.0, 0.1, 1.0)),
    "hashnet": _grid(lr=_RATES, dropout=(0.3, 0.5, 0.7)),
    "hashnet-c": _grid(lr=_RATES, dropout=(0.3, 0.5, 0.7)),
    "hashnet-w": _grid(lr=_RATES, dropout=(0.3, 0.5, 0.7)),
    "hashnet-sgn": _grid(lr=_RATES, dropout=(0.3, 0.5, 0.7)),
    "dpsh": _grid(lr=_RATES, quantization=(0.01, 0.1, 1.0)),
    "greedyhash": _grid(lr=_RATES, quantization=(0.0, 0.01, 0.1)),
    "csq": _grid(lr=_RATES, quantization=(0.0, 1e-4, 1e-2)),
    "dpn": _grid(lr=_RATES, margin=(0.5, 1.0, 2.0)),
    "orthohash": _grid(lr=_RATES, margin=(0.1, 0.2, 0.3)),
}
