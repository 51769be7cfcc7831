"""Freed memory that is kept is not faulted in again."""

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


def faults(mode):
    done = subprocess.run([sys.executable, "-c", SCRIPT, mode], capture_output=True, text=True, check=False)
    if done.returncode == 3:
        pytest.skip("this C library has no mallopt")
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_memory_that_was_freed_is_used_again():
    # With pages of 2 MiB there are 32 faults an array without it.
    assert faults("keep") < 20 < faults("give back")
