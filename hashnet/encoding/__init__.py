"""Model and images to codes: the encoder, the resumable encode job, and the code store on disk.

Torch is loaded by the first use of a name that needs it; reading a code store does without.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from hashnet.encoding.code_store import CodeStore
from hashnet.encoding.shards import CodeShard, RejectedRow

if TYPE_CHECKING:
    from hashnet.encoding.encoder import EncodedRows, Encoder
    from hashnet.encoding.local import encode_to_store

__all__ = ["CodeShard", "CodeStore", "EncodedRows", "Encoder", "RejectedRow", "encode_to_store"]

_HOME = {"EncodedRows": "encoder", "Encoder": "encoder", "encode_to_store": "local"}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"hashnet.encoding.{_HOME[name]}"), name)
    raise AttributeError(f"module 'hashnet.encoding' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
