"""Freed memory that is kept is not faulted in again."""

import os
import subprocess
import sys

import pytest

SCRIPT = """
import resource, sys
import numpy as np
from hashnet.allocator import keep_freed_memory
if sys.argv[1] == "keep" and not keep_freed_memory():
    sys.exit(3)
def touch():
    np.ones(64 << 20, dtype=np.uint8)
touch()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    touch()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(mode, **environment):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, mode],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )
    if done.returncode == 3:
        pytest.skip("this C library has no mallopt")
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_memory_that_was_freed_is_used_again():
    # With pages of 2 MiB there are 32 faults an array without it.
    assert faults("keep") < 20 < faults("give back")


def test_a_process_may_be_started_so():
    from hashnet.allocator import KEEP_FREED_MEMORY

    assert faults("give back", **KEEP_FREED_MEMORY) < 20


@pytest.fixture
def order(monkeypatch):
    """In which order memory was told to stay, and encoders were loaded."""
    from hashnet.encoding import Encoder

    told = []
    load = Encoder.load
    monkeypatch.setattr("hashnet.allocator.keep_freed_memory", lambda: told.append("keep"))
    monkeypatch.setattr(Encoder, "load", lambda *given, **named: told.append("load") or load(*given, **named))
    return told


def test_a_search_with_images_keeps_memory_before_it_loads_the_model(order, tiny_model, tmp_path):
    from PIL import Image

    from hashnet.cli.questions import encode_files

    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    assert encode_files([tmp_path / "a.png"], tiny_model, wanted=None).shape == (1, 4)
    assert order == ["keep", "load"]


def test_a_service_keeps_memory_before_it_loads_the_model(order, tiny_model):
    pytest.importorskip("fastapi")
    from hashnet.distributed.serving.source import Source

    assert Source(tiny_model, tiny_model).load_encoder() is not None
    assert order == ["keep", "load"]
    assert Source(tiny_model).load_encoder() is None
    assert order == ["keep", "load"]


def test_a_local_training_keeps_memory_before_it_begins(monkeypatch, tmp_path):
    from hashnet.cli.train import train

    told = []
    monkeypatch.setattr("hashnet.allocator.keep_freed_memory", lambda: told.append("keep"))

    def stop(*given, **named):
        told.append("train")
        raise KeyboardInterrupt

    monkeypatch.setattr("hashnet.training.train", stop)
    with pytest.raises(KeyboardInterrupt):
        train(data="digits", output=tmp_path / "model")
    assert told == ["keep", "train"]
