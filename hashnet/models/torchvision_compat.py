"""The one door to torchvision, open even where its compiled library cannot be loaded.

The torchvision wheel of the package index is linked to libtorch_cuda. Beside a CPU-only torch its library
does not load, and the import then fails at ``operator torchvision::nms does not exist``, because the
library was to declare that operator. Nothing hashnet uses needs the operators themselves, so where the
library fails to load their two schemas are declared here, and torchvision imports. With a library that
loads nothing is done.
"""

from __future__ import annotations

import importlib
import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

import torch

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
# A torch Library takes its declarations back when it is collected, so it is kept for the process.
_KEPT_ALIVE: list[Any] = []


@cache
def torchvision_models() -> Any:
    """Return the module ``torchvision.models``."""
    if not library_loads():
        declare: Any = torch.library.Library
        library = declare("torchvision", "FRAGMENT")
        for schema in _SCHEMAS:
            library.define(schema)
        _KEPT_ALIVE.append(library)
    return importlib.import_module("torchvision.models")


@cache
def library_loads() -> bool:
    """Whether torchvision's compiled library loads beside this torch; ImportError without torchvision."""
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        raise ImportError(
            "hashnet's backbones need torchvision, which is not installed; install the pair that "
            "hashnet pins: torch~=2.13.0 with torchvision~=0.28.0"
        )
    libraries = sorted(Path(spec.origin).parent.glob("_C*.so"))
    load: Any = torch.ops.load_library
    try:
        for library in libraries:
            load(str(library))
    except OSError:
        return False
    return bool(libraries)
