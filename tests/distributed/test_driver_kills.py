"""A command whose driver is killed goes on where it was when run again; each run has its own Ray."""

import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from codesets import make_codes

from hashnet.encoding import build_index
from hashnet.index import open_codes

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def content(folder):
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def start(*arguments):
    command = [sys.executable, "-m", "hashnet", *map(str, arguments), "--workers", "2", "--ray", "local"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def kill_when(process, files, count):
    """Kill the driver as soon as ``count`` units are committed."""
    deadline = time.monotonic() + 120
    while len(list(files())) < count:
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stderr.close()


def finish(process):
    _, stderr = process.communicate(timeout=200)
    assert process.returncode == 0, stderr


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("codes") / "codes.npy"
    np.save(path, make_codes("uniform", 1_500_000, 64, np.random.default_rng(5)))
    return path


def test_a_build_goes_on_after_its_driver_was_killed(file, tmp_path):
    output = tmp_path / "a.hnx"
    command = ("build", file, "--output", output, "--shards", 12)
    parts = (tmp_path / ".a.hnx.building" / ".job").glob
    kill_when(start(*command), lambda: parts("part-*.json"), 3)
    assert not output.exists()
    kept = {path.name: path.stat().st_mtime_ns for path in parts("part-*.json")}
    assert 3 <= len(kept) < 12
    finish(start(*command))
    build_index(open_codes(file), tmp_path / "one.hnx", segments=12)
    assert content(output) == content(tmp_path / "one.hnx")


def test_bulk_queries_go_on_after_their_driver_was_killed(file, tmp_path):
    from hashnet.distributed import search_to_file

    index, queries = tmp_path / "a.hnx", tmp_path / "q.npy"
    build_index(open_codes(file), index)
    np.save(queries, make_codes("uniform", 400_000, 64, np.random.default_rng(6)))
    command = ("search", index, "--queries", queries, "--radius", 8, "--output", tmp_path / "hits.parquet")
    units = (tmp_path / ".hits.parquet.job").glob
    kill_when(start(*command), lambda: units("unit-*.json"), 2)
    assert not (tmp_path / "hits.parquet").exists()
    finish(start(*command))
    search_to_file(index, queries, tmp_path / "here.parquet", radius=8)
    assert (tmp_path / "hits.parquet").read_bytes() == (tmp_path / "here.parquet").read_bytes()
