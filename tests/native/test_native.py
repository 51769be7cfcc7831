"""The C++ tests of the engine pass: as they are, and under the address, undefined and thread sanitizers."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


def run(*command: str | Path) -> None:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        # The first report of a sanitizer is an error.
        env={**os.environ, "TSAN_OPTIONS": "halt_on_error=1", "UBSAN_OPTIONS": "print_stacktrace=1"},
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]


@pytest.mark.parametrize("sanitizer", ["", "address,undefined", "thread"])
def test_the_engine_passes_its_tests_in_cpp(sanitizer, tmp_path):
    if shutil.which("cmake") is None:
        pytest.skip("cmake is not installed")
    if shutil.which(os.environ.get("CXX", "c++")) is None:
        pytest.skip("there is no C++ compiler")
    build_type = "RelWithDebInfo" if sanitizer else "Release"
    run(
        *("cmake", "-S", ROOT, "-B", tmp_path, f"-DCMAKE_BUILD_TYPE={build_type}"),
        *("-DHASHNET_BUILD_PYTHON=OFF", "-DHASHNET_BUILD_TESTS=ON", f"-DHASHNET_SANITIZE={sanitizer}"),
    )
    run("cmake", "--build", tmp_path, "--parallel", str(os.cpu_count() or 1))
    programs = tmp_path / "tests" / "native"
    for program in ("test_kernels", "test_bit_order", "test_threads", "test_damage"):
        run(programs / program)
    # Five times slower, and no threads but those of a query: two lengths are enough, one of either form.
    run(programs / "test_search", *(("64", "128") if sanitizer == "thread" else ()))
