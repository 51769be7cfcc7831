"""Building a segment: the same bytes from the same pairs of code and id, whatever the way there."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import oracle
import pytest
from codesets import KINDS, make_codes

from hashnet import _core

SMALL = 1 << 16  # bytes of working memory that force many slices


def image(tmp_path, codes, ids, **options):
    path = tmp_path / f"{len(list(tmp_path.iterdir()))}.seg"
    threads = options.pop("threads", 1)
    first_id = options.pop("first_id", 0)
    _core.Segment.build(codes, ids, first_id, str(path), threads, **options)
    return path.read_bytes()


def exported(segment):
    codes, ids = segment.export_rows()
    order = np.argsort(ids)
    return codes[order], ids[order]


@pytest.mark.parametrize("kind", [*KINDS, "equal"])
@pytest.mark.parametrize("n_bits", [8, 40, 64, 72, 256])
def test_the_bytes_depend_on_the_pairs_of_code_and_id_only(tmp_path, kind, n_bits):
    rng = np.random.default_rng(n_bits)
    n = 30_000
    codes = np.full((n, n_bits // 8), 0xA5, np.uint8) if kind == "equal" else make_codes(kind, n, n_bits, rng)
    ids = np.arange(n, dtype=np.int64)
    whole = image(tmp_path, codes, ids)
    shuffled = rng.permutation(n)
    for threads, memory in ((1, 0), (1, SMALL), (3, 0), (3, SMALL)):
        assert image(tmp_path, codes, None, threads=threads, memory=memory) == whole
        again = image(tmp_path, codes[shuffled], ids[shuffled], threads=threads, memory=memory)
        assert again == whole
    segment = _core.Segment.build(codes[shuffled], ids[shuffled], memory=SMALL, threads=2)
    out, out_ids = exported(segment)
    assert np.array_equal(out_ids, ids)
    assert np.array_equal(out, codes)


@pytest.mark.parametrize("n_bits", [8, 16, 24, 32, 48, 56, 64, 128, 200, 512, 1024])
@pytest.mark.parametrize("n", [1, 2, 31, 32, 33, 1000, 5000])
def test_any_number_of_codes_of_any_length_is_answered_for(n_bits, n):
    rng = np.random.default_rng(n * n_bits)
    codes = make_codes("clustered", n, n_bits, rng)
    ids = rng.permutation(3 * n)[:n].astype(np.int64)
    segment = _core.Segment.build(codes, ids, threads=2, memory=SMALL)
    out, out_ids = exported(segment)
    order = np.argsort(ids)
    assert np.array_equal(out_ids, ids[order])
    assert np.array_equal(out, codes[order])
    searcher = _core.Searcher([segment])
    queries = codes[rng.integers(0, n, 4)]
    distances, found = searcher.search(queries, min(n, 10), 1)
    wanted = oracle.search(queries, codes, ids, min(n, 10))
    assert np.array_equal(distances, wanted[0])
    assert np.array_equal(found, wanted[1])
    segment.verify()


@pytest.mark.parametrize("tables", [3, 5])
def test_tables_and_directory_bits_can_be_chosen(tables):
    codes = make_codes("uniform", 3000, 48, np.random.default_rng(0))
    segment = _core.Segment.build(codes, None, tables=tables, directory_bits=17)
    assert len(segment.tables) == tables
    assert {table["directory_bits"] for table in segment.tables} == {17}
    with pytest.raises(ValueError, match="tables is 1"):
        _core.Segment.build(codes, None, tables=1)


@pytest.mark.parametrize("first", [0, 5, 2**32 - 50, 2**32 - 100, 2**40])
def test_row_numbers_count_from_the_first_id(tmp_path, first):
    codes = make_codes("repeated", 100, 64, np.random.default_rng(0))
    ids = np.arange(first, first + 100, dtype=np.int64)
    assert image(tmp_path, codes, None, first_id=first) == image(tmp_path, codes, ids)
    assert np.array_equal(exported(_core.Segment.build(codes, None, first))[1], ids)


@pytest.mark.parametrize("first", [-1, 2**63 - 50])
def test_row_numbers_must_be_ids(first):
    with pytest.raises(ValueError, match="first_id must be"):
        _core.Segment.build(np.zeros((100, 8), np.uint8), None, first)


@pytest.mark.parametrize("n_bits", [64, 128])
def test_codes_that_differ_in_their_last_bits_only_are_kept_apart(n_bits):
    codes = np.zeros((20_000, n_bits // 8), np.uint8)
    codes[:, -2:] = np.arange(20_000, dtype=">u2").view(np.uint8).reshape(-1, 2)
    codes = codes[np.random.default_rng(0).permutation(20_000)]
    segment = _core.Segment.build(codes, None, memory=SMALL, threads=2)
    assert segment.n_distinct == 20_000
    out, ids = segment.export_rows()
    assert np.array_equal(codes[ids], out)
    assert np.array_equal(out, codes[np.lexsort(codes.T[::-1])])


@pytest.mark.parametrize("n_bits", [24, 64, 128])
def test_long_and_short_runs_lie_beside_each_other(n_bits):
    """Runs of 1, of a few and of many thousands of rows: each form that the starts of runs are kept in."""
    rng = np.random.default_rng(0)
    for n_single, long_runs in (
        (50_000, [30_000, 9000, 5000]),
        (200, [30_000, 70]),
        (20_000, [0, 3, 64, 65]),
    ):
        single = rng.integers(0, 256, (n_single, n_bits // 8), dtype=np.uint8)
        places = rng.integers(0, n_single, len(long_runs))
        repeats = [np.repeat(single[i : i + 1], m, 0) for i, m in zip(places, long_runs, strict=True)]
        codes = np.concatenate([single, *repeats])
        codes = codes[rng.permutation(len(codes))]
        for memory in (0, SMALL):
            segment = _core.Segment.build(codes, None, memory=memory, threads=2)
            assert segment.n_distinct == len(np.unique(codes, axis=0))
            out, ids = segment.export_rows()
            order = np.lexsort((np.arange(len(codes)), *codes.T[::-1]))
            assert np.array_equal(ids, order)
            assert np.array_equal(out, codes[order])
            segment.verify()


def test_what_progress_raises_ends_the_build_and_leaves_no_file(tmp_path):
    codes = make_codes("uniform", 300_000, 64, np.random.default_rng(0))
    stages: list[str] = []

    def note(stage, done, total):
        assert 0 <= done <= total
        if stage not in stages:
            stages.append(stage)

    path = tmp_path / "a.seg"
    _core.Segment.build(codes, None, 0, str(path), 2, progress=note)
    assert stages[0] == "sampling"
    assert stages[-1] == "writing to disk"
    assert len(stages) >= 5
    path.unlink()
    for unwanted in stages:

        def stop(stage, *_, unwanted=unwanted):
            if stage == unwanted:
                raise KeyboardInterrupt(stage)

        with pytest.raises(KeyboardInterrupt, match=unwanted):
            _core.Segment.build(codes, None, 0, str(path), 2, progress=stop)
        assert list(tmp_path.iterdir()) == []


def test_a_file_that_exists_is_left_alone(tmp_path):
    path = tmp_path / "a.seg"
    path.write_text("mine")
    with pytest.raises(FileExistsError):
        _core.Segment.build(np.zeros((5, 8), np.uint8), None, 0, str(path), 1)
    assert path.read_text() == "mine"


@pytest.mark.parametrize("n_bits", [64, 128])
@pytest.mark.parametrize("stage", ["counting", "sorting rows"])
def test_codes_that_change_under_the_builder_do_no_harm(n_bits, stage):
    codes = make_codes("clustered", 400_000, n_bits, np.random.default_rng(0))

    def change(now, *_):
        if now == stage:
            codes[:] = np.random.default_rng(1).integers(0, 256, codes.shape, dtype=np.uint8)

    try:
        segment = _core.Segment.build(codes, None, threads=2, memory=1 << 20, progress=change)
    except RuntimeError as error:
        assert "changed while" in str(error)  # noqa: PT017 - either outcome is right
    else:
        assert segment.n_rows == len(codes)


def test_a_disk_that_is_too_small_is_an_error_and_leaves_no_file(tmp_path):
    script = (
        "import resource, signal, numpy as np\n"
        "from hashnet import _core\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))\n"
        "try:\n"
        f"    _core.Segment.build(np.zeros((9999, 8), np.uint8), None, 0, {str(tmp_path / 'a.seg')!r}, 1)\n"
        "except OSError as error:\n"
        "    print(error.errno)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["27"]  # EFBIG: the file-size limit stands for the disk
    assert list(tmp_path.iterdir()) == []


def test_working_memory_stays_within_its_bound(tmp_path):
    """8 MiB for 1.5 million codes, which take 18 MB as sort keys; beside them the sample and buffers."""
    script = (
        "import numpy as np\n"
        "from hashnet import _core\n"
        "def anonymous():\n"
        "    lines = open('/proc/self/status').read().splitlines()\n"
        "    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith('RssAnon'))\n"
        "codes = np.random.default_rng(0).integers(0, 256, (1_500_000, 8), dtype=np.uint8)\n"
        "before, most = anonymous(), 0\n"
        "def watch(*_):\n"
        "    global most\n"
        "    most = max(most, anonymous() - before)\n"
        f"path = {str(tmp_path / 'a.seg')!r}\n"
        "_core.Segment.build(codes, None, 0, path, 2, memory=8 << 20, progress=watch)\n"
        "print(most)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 60
