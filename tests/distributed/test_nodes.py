"""A node and the head of a real cluster die under load, and no answer is wrong: bench_faults in short."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.timeout(280)
@pytest.mark.parametrize("fault", ["node", "head"])
def test_answers_stay_right_and_whole(fault, tmp_path):
    # A cluster of its own cannot share a process with the Ray of the test session.
    command = [sys.executable, "-m", "benchmarks.bench_faults", "--faults", fault, "--quiet-s", "2"]
    done = subprocess.run(
        [*command, "--results", tmp_path, "--work", tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    figures = json.loads((tmp_path / "faults.json").read_text())["faults"][fault]
    assert figures["wrong"] == 0
    assert figures["success"] >= 0.999
    assert figures["questions"] > 100
