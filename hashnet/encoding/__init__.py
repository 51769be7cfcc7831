"""Images to codes, and codes to an index: encoder, resumable encode job, code store, building.

Torch is loaded by the first use of a name that needs it; reading a code store does without.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from hashnet.encoding.building import add_to_index, build_index
from hashnet.encoding.code_store import CodeStore
from hashnet.encoding.shards import CodeShard, RejectedRow

if TYPE_CHECKING:
    from hashnet.encoding.encoder import EncodedRows, Encoder
    from hashnet.encoding.local import encode_to_store

__all__ = [
    "CodeShard",
    "CodeStore",
    "EncodedRows",
    "Encoder",
    "RejectedRow",
    "add_to_index",
    "build_index",
    "encode_to_store",
]

_HOME = {"EncodedRows": "encoder", "Encoder": "encoder", "encode_to_store": "local"}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"hashnet.encoding.{_HOME[name]}"), name)
    raise AttributeError(f"module 'hashnet.encoding' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
