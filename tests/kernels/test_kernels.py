"""Every kernel gives what the scalar one gives: test_kernels.cpp, compiled for this machine and for Arm."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Compiler, its flags, and what runs the program. Sanitizers see reads and writes beyond the arrays.
MACHINES = {
    "here": (os.environ.get("CXX", "c++"), ["-fsanitize=address,undefined"], []),
    "aarch64": ("aarch64-linux-gnu-g++", ["-static"], ["qemu-aarch64"]),
}


@pytest.mark.slow
@pytest.mark.parametrize("machine", MACHINES)
def test_every_instruction_set_gives_what_the_scalar_kernels_give(machine, tmp_path):
    compiler, flags, runner = MACHINES[machine]
    for tool in (compiler, *runner):
        if shutil.which(tool) is None:
            pytest.skip(f"needs {tool}")
    program = tmp_path / "test_kernels"
    sources = [ROOT / "tests/kernels/test_kernels.cpp", *sorted((ROOT / "csrc/kernels").glob("*.cpp"))]
    command = [compiler, "-std=c++17", "-O2", *flags, f"-I{ROOT / 'csrc'}", *map(str, sources)]
    subprocess.run([*command, "-o", str(program)], check=True)
    done = subprocess.run([*runner, str(program), "2000"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
