"""What `reproduce --tune` tries of every method: its learning rate or ridge, and the settings of its own.

Deep methods: the rate first, then, at the best one, one more setting. The others: a grid of four to eight
points. Chosen values are in learning_settings.json, with the figure of every point. And what
`reproduce --changes` changes of HashNet, each alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

Line = Sequence[Mapping[str, Any]]


def _grid(**values: Sequence[Any]) -> Line:
    return [dict(zip(values, chosen, strict=True)) for chosen in product(*values.values())]


def _deep(*rates: float, **setting: Sequence[Any]) -> Sequence[Line]:
    return [_grid(lr=rates), _grid(**setting)]


GRIDS: Mapping[str, Sequence[Line]] = {
    # Nothing to choose: random planes; PCA and its box; PCA and a rotation.
    "lsh": [[{}]],
    "sh": [[{}]],
    "itq": [[{}]],
    "itq-cca": [_grid(ridge=(1e-3, 1e-2, 1e-1, 1.0), correlation_power=(0.5, 1.0))],
    "ksh": [_grid(width=(0.5, 1.0), n_labeled=(2000, 5000))],
    "sdh": [_grid(width=(0.7, 1.0), n_anchors=(1000, 4000), code_fit=(1e-5, 1e-3))],
    "bre": [_grid(n_anchors=(50, 300), n_train=(1000, 2000))],
    "cnnh": _deep(1e-3, 3e-3, 6e-3, dropout=(0.3, 0.7)),
    "dnnh": _deep(5e-4, 1e-3, 3e-3, margin=(0.5, 2.0)),
    "dhn": _deep(5e-4, 1e-3, 3e-3, quantization=(0.0, 1.0)),
    "hashnet": _deep(5e-4, 1e-3, 3e-3, dropout=(0.3, 0.7)),
    "hashnet-w": _deep(5e-4, 1e-3, 3e-3, dropout=(0.3, 0.7)),
    "hashnet-sgn": _deep(1e-3, 3e-3, 6e-3, dropout=(0.3, 0.7)),
    "dpsh": _deep(1e-4, 1e-3, alpha=(0.1,)),
    "greedyhash": _deep(1e-3, 3e-3, 6e-3, quantization=(0.01, 1.0)),
    "csq": _deep(1e-3, 3e-3, 6e-3, dropout=(0.3, 0.7)),
    "dpn": _deep(1e-3, 3e-3, 6e-3, margin=(0.2, 1.0)),
    "orthohash": _deep(1e-3, 3e-3, 6e-3, margin=(0.2, 0.3)),
}
# On images of one label HashNet+C is HashNet.
SETTINGS_OF = {"hashnet-c": "hashnet"}

CHANGES: Line = [
    {},
    {"lr": 5e-4},
    {"lr": 3e-3},
    {"iterations": 1500},
    {"lr_decay": "none"},
    {"stages": 5},
    {"beta_max": 16.0},
    {"batch_size": 256},
    {"batch_size": 2048},
    {"batch_size": 4096},
    {"hidden": 0},
    {"hidden": 4096},
    {"dropout": 0.3},
    {"dropout": 0.7},
    {"alpha": 0.1},
    {"alpha": 0.4},
    {"margin": 0.1},
    {"margin": 0.2},
    {"margin": 0.3},
]
