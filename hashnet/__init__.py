"""Learn short binary codes from images and search billions of them exactly.

``import hashnet`` needs numpy only; ``hashnet.models``, ``hashnet.distributed`` and the other parts that
load torch or ray are imported on first use.
"""

from __future__ import annotations

import importlib
from types import ModuleType

from hashnet import errors
from hashnet.codes import check_codes, pack, unpack
from hashnet.index import Index, LayoutOptions, open_codes, open_index
from hashnet.results import Balls, Neighbors, merge_balls, merge_neighbors

__version__ = "0.1.0"

__all__ = [
    "Balls",
    "Index",
    "LayoutOptions",
    "Neighbors",
    "__version__",
    "check_codes",
    "errors",
    "merge_balls",
    "merge_neighbors",
    "open_codes",
    "open_index",
    "pack",
    "unpack",
]

_LAZY = (
    "baselines",
    "cli",
    "datasets",
    "distributed",
    "encoding",
    "evaluation",
    "losses",
    "models",
    "training",
)


def __getattr__(name: str) -> ModuleType:
    if name in _LAZY:
        return importlib.import_module(f"hashnet.{name}")
    raise AttributeError(f"module 'hashnet' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*__all__, *_LAZY])
