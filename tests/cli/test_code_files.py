"""An index is built from a file of codes, as large as it may be, and a build can be stopped."""

import json
import signal
import struct
import subprocess
import sys

import numpy as np
import pytest

from hashnet import open_index
from hashnet.encoding import build_index
from hashnet.index import LayoutOptions, open_codes


@pytest.fixture
def rows():
    return np.random.default_rng(0).integers(0, 256, (5000, 8), dtype=np.uint8)


@pytest.mark.parametrize(
    ("name", "options"),
    [("a.npy", []), ("a.u8bin", []), ("a.bin", ["--n-bits", 64]), ("a.raw", ["--n-bits", 64])],
)
def test_a_file_of_any_form_becomes_an_index(rows, tmp_path, run, name, options):
    path = tmp_path / name
    if path.suffix == ".npy":
        np.save(path, rows)
    else:
        header = struct.pack("<II", *rows.shape) if path.suffix == ".u8bin" else b""
        path.write_bytes(header + rows.tobytes())
    facts = run.json("build", path, "--output", tmp_path / "a.hnx", *options)
    assert (facts["codes"], facts["n_bits"], facts["fingerprint"]) == (5000, 64, None)
    with open_index(tmp_path / "a.hnx") as index:
        codes, ids = index.export()
    np.testing.assert_array_equal(codes[np.argsort(ids)], rows)
    np.testing.assert_array_equal(np.sort(ids), np.arange(5000))


@pytest.fixture
def file(rows, tmp_path):
    np.save(tmp_path / "rows.npy", rows)
    return tmp_path / "rows.npy"


def test_a_layout_can_be_asked_for_and_is_told(file, tmp_path, run):
    options = ("--tables", 5, "--directory-bits", 14, "--no-select-bits", "--threads", 1, "--memory", "64M")
    run("build", file, "--output", tmp_path / "a.hnx", *options)
    facts = run.json("info", tmp_path / "a.hnx")
    assert (facts["tables"], facts["substring bits"], facts["bit order"]) == (
        [5],
        [[12, 13, 13, 13, 13]],
        ["as given"],
    )
    with open_index(tmp_path / "a.hnx") as index:
        assert index.stats().options == LayoutOptions(tables=5, directory_bits=14, select_bits=False)
    text = run("info", tmp_path / "a.hnx").stdout
    assert "12+13+13+13+13" in text


def test_segments_that_are_laid_out_alike_are_told_once(file, tmp_path, run):
    facts = run.json("build", file, "--output", tmp_path / "a.hnx", "--shards", 4, "--tables", 4)
    assert (facts["segments"], facts["tables"]) == (4, [4])


def test_shards_hold_the_rows_in_order(file, tmp_path, run):
    run("build", file, "--output", tmp_path / "a.hnx", "--shards", 3)
    for part, (first, last) in enumerate([(0, 1666), (1666, 3333), (3333, 5000)]):
        with open_index(tmp_path / "a.hnx", segments=[part]) as index:
            assert np.array_equal(np.sort(index.ids()), np.arange(first, last))


def test_progress_is_told_in_lines(file, tmp_path, run):
    result = run("build", file, "--output", tmp_path / "a.hnx", "--progress", "json", "--json")
    lines = [json.loads(line) for line in result.stderr.splitlines()]
    assert {line["event"] for line in lines} >= {"start", "finish"}
    assert all(line["done"] == line["total"] for line in lines if line["event"] == "finish")
    assert json.loads(result.stdout)["codes"] == 5000


def test_an_array_is_a_source_too(rows, tmp_path):
    build_index(rows, tmp_path / "a.hnx", segments=2)
    with open_index(tmp_path / "a.hnx") as index:
        assert (len(index), index.metadata, index.stats().n_segments) == (5000, {}, 2)


@pytest.mark.parametrize("source", [np.zeros(8, dtype=np.uint8), np.zeros((2, 8), dtype=np.int64)])
def test_an_array_of_something_else_is_refused(source, tmp_path):
    with pytest.raises((TypeError, ValueError), match="codes must have"):
        build_index(source, tmp_path / "a.hnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("phase", [1, 4])
def test_an_interrupted_build_leaves_nothing(tmp_path, phase):
    (tmp_path / "in").mkdir()
    file = tmp_path / "in" / "many.bin"
    file.write_bytes(np.random.default_rng(0).bytes(8 * 6_000_000))
    command = [sys.executable, "-m", "hashnet", "build", file, "--n-bits", "64", "--progress", "json"]
    command += ["--output", tmp_path / "out.hnx", "--threads", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as building:
        for line in building.stderr:
            phase -= json.loads(line)["event"] == "start"
            if phase == 0:
                building.send_signal(signal.SIGINT)
                break
        out, said = building.communicate(timeout=60)
    assert (building.returncode, out) == (130, "")
    assert said.splitlines()[-1] == (
        "hashnet: interrupted; no index was left behind; run the same command again"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_a_file_is_added_behind_what_is_there(file, rows, tmp_path, run):
    run("build", file, "--output", tmp_path / "a.hnx")
    facts = run.json("add", tmp_path / "a.hnx", file, "--threads", 1, "--memory", "1G")
    assert (facts["added"], facts["codes"], facts["segments"]) == (5000, 10_000, 2)
    with open_index(tmp_path / "a.hnx") as index:
        assert index.search(rows[:1], 2).ids.tolist() == [[0, 5000]]


def test_a_check_tells_what_it_has_read(file, tmp_path, run):
    run("build", file, "--output", tmp_path / "a.hnx", "--shards", 2)
    facts = run.json("check", tmp_path / "a.hnx")
    assert (facts["damaged"], facts["codes"], facts["segments"]) == (False, 5000, 2)


def test_a_mapped_file_is_the_array_that_was_saved(file, rows):
    assert np.array_equal(open_codes(file), rows)
