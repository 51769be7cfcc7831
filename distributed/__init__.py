"""Scale out on Ray: encode, search, serve with many processes. Installed as ``hashnet.distributed``.

Ray is loaded by the first use of a name that needs it, not by importing this package.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if __name__ != "hashnet.distributed":
    # The repository root may be on sys.path, where this folder would shadow the package that owns the name.
    raise ModuleNotFoundError(f"No module named '{__name__}' here; import hashnet.distributed")

if TYPE_CHECKING:
    from .build import build_with_ray
    from .bulk import search_to_file
    from .cluster import ensure_ray, ray_cluster
    from .encode import encode_with_ray
    from .gather import Answer
    from .health import ReplicaHealth, ShardHealth
    from .replicas import Watch
    from .serving.app import create_app
    from .serving.settings import ServiceSettings
    from .sharded_index import ShardedIndex
    from .train import train_with_ray

__all__ = [
    "Answer",
    "ReplicaHealth",
    "ServiceSettings",
    "ShardHealth",
    "ShardedIndex",
    "Watch",
    "build_with_ray",
    "create_app",
    "encode_with_ray",
    "ensure_ray",
    "ray_cluster",
    "search_to_file",
    "train_with_ray",
]

_HOME = {
    "Answer": "gather",
    "ReplicaHealth": "health",
    "ServiceSettings": "serving.settings",
    "ShardHealth": "health",
    "ShardedIndex": "sharded_index",
    "Watch": "replicas",
    "build_with_ray": "build",
    "create_app": "serving.app",
    "encode_with_ray": "encode",
    "ensure_ray": "cluster",
    "ray_cluster": "cluster",
    "search_to_file": "bulk",
    "train_with_ray": "train",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"hashnet.distributed.{_HOME[name]}"), name)
    raise AttributeError(f"module 'hashnet.distributed' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
