"""The shim for torchvision: used only where the compiled library fails to load."""

from __future__ import annotations

import subprocess
import sys

import torch

from hashnet.models import torchvision_compat
from hashnet.models.torchvision_compat import library_loads, torchvision_models


def test_torchvision_imports_whether_its_library_loads_or_not():
    assert torchvision_models().__name__ == "torchvision.models"


def test_schemas_are_declared_only_where_the_library_does_not_load():
    torchvision_models()
    assert bool(torchvision_compat._KEPT_ALIVE) == (not library_loads())


def test_a_library_that_cannot_be_loaded_is_found_out(monkeypatch):
    def refuse(path):
        raise OSError("libtorch_cuda.so: cannot open shared object file")

    monkeypatch.setattr(torch.ops, "load_library", refuse)
    library_loads.cache_clear()
    try:
        assert not library_loads()
    finally:
        library_loads.cache_clear()


def test_importing_the_models_alone_does_not_load_torchvision():
    code = "import sys, hashnet.models; sys.exit('torchvision' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
