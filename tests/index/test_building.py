"""An add builds what it was asked for, tells how far it is, and can be stopped without a trace."""

from __future__ import annotations

import json

import numpy as np
import oracle
import pytest
from codesets import make_codes, make_queries
from hypothesis import given, settings
from hypothesis import strategies as st

import hashnet
from hashnet import _core
from hashnet.errors import DamagedError
from hashnet.index import LayoutOptions
from hashnet.index.building import StageProgress


class Recorded:
    """Progress that notes what it was told, and raises ``error`` at step ``stop_at``."""

    def __init__(self, stop_at=None, error=KeyboardInterrupt):
        self.phases = []
        self.stop_at = stop_at
        self.error = error
        self.is_open = False
        self.steps = 0

    def start(self, what, total):
        self.phases.append([what, total, 0])
        self.is_open = True

    def advance(self, done=1, **figures):
        assert self.is_open
        self.phases[-1][2] += done
        self.steps += 1
        if self.steps == self.stop_at:
            raise self.error

    def finish(self):
        self.is_open = False


@pytest.fixture
def codes():
    return make_codes("clustered", 20_000, 64, np.random.default_rng(0))


def snapshot(path):
    return {file.relative_to(path): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def test_every_phase_of_a_build_is_told_to_its_end(codes):
    progress = Recorded()
    hashnet.Index.in_memory(n_bits=64).add(codes, progress=progress)
    assert progress.phases
    assert [phase for phase in progress.phases if phase[1] != phase[2]] == []
    assert not progress.is_open


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError, ZeroDivisionError])
def test_a_build_that_is_stopped_leaves_the_index_as_it_was(tmp_path, codes, error):
    with hashnet.Index.create(tmp_path / "i", n_bits=64) as index:
        index.add(codes[:100], keys=["k"] * 100)
        before = snapshot(tmp_path)
        progress = Recorded(stop_at=1, error=error)
        with pytest.raises(error):
            index.add(codes, progress=progress)
        assert not progress.is_open
        assert (snapshot(tmp_path), len(index)) == (before, 100)
        index.add(codes[100:])
        assert len(index) == 20_000


def test_ids_are_counted_on_across_adds(codes):
    index = hashnet.Index.in_memory(n_bits=64)
    index.add(codes[:5000])
    index.add(codes[5000:], keys=[f"image {i}" for i in range(5000, 20_000)])
    exported, ids = index.export()
    assert np.array_equal(exported[np.argsort(ids)], codes)
    assert index.keys_of(np.array([4999, 5000, 19_999])) == [None, "image 5000", "image 19999"]


@settings(deadline=None, max_examples=40)
@given(n=st.integers(1, 500), first=st.integers(0, 2**62), seed=st.integers(0, 2**32 - 1))
def test_ids_that_count_up_are_those_given(n, first, seed):
    codes = make_codes("repeated", n, 64, np.random.default_rng(seed))
    ids = first + np.arange(n, dtype=np.int64)
    counted, shuffled = (hashnet.Index.in_memory(n_bits=64) for _ in range(2))
    counted.add(codes, ids=ids, keys=[str(i) for i in ids])
    order = np.random.default_rng(seed).permutation(n)
    shuffled.add(codes[order], ids=ids[order])
    for one, other in zip(counted.export(), shuffled.export(), strict=True):
        assert np.array_equal(one, other)
    assert counted.keys_of(ids) == [str(i) for i in ids]


@settings(deadline=None, max_examples=60)
@given(
    n_bits=st.sampled_from([16, 32, 64, 128]),
    n=st.integers(1, 4000),
    tables=st.one_of(st.none(), st.integers(1, 64)),
    directory_bits=st.one_of(st.none(), st.integers(1, 16)),
    select_bits=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_no_layout_changes_an_answer(n_bits, n, tables, directory_bits, select_bits, seed):
    options = LayoutOptions(tables=tables, directory_bits=directory_bits, select_bits=select_bits)
    try:
        index = hashnet.Index.in_memory(n_bits=n_bits, layout=options)
    except ValueError:
        return
    rng = np.random.default_rng(seed)
    codes = make_codes("skewed", n, n_bits, rng)
    try:
        index.add(codes)
    except ValueError:
        # Substrings whose number is chosen may become longer than the directory that was asked for.
        assert (tables, directory_bits is None) == (None, False)
        return
    queries = make_queries(codes, 3, rng)
    radius = n_bits // 6
    for query, (distances, ids) in enumerate(oracle.search_radius(queries, codes, np.arange(n), radius)):
        got_distances, got_ids = index.search_radius(queries, radius).ball(query)
        assert np.array_equal(got_distances, distances)
        assert np.array_equal(got_ids, ids)
    if tables is not None:
        assert index.stats().tables == (tables,)


def engine_builds(codes, tables, directory_bits):
    """Whether the engine, not asked through an index, which checks first, makes such a layout."""
    try:
        segment = _core.Segment.build(
            codes,
            None,
            0,
            "",
            1,
            memory=0,
            tables=tables,
            directory_bits=directory_bits,
            select_bits=False,
            progress=None,
        )
    except ValueError:
        return False
    return len(segment.tables) == tables and (
        not directory_bits or all(table["directory_bits"] == directory_bits for table in segment.tables)
    )


@pytest.mark.parametrize(
    ("n_bits", "directory_bits"),
    [(n_bits, 0) for n_bits in (8, 16, 24, 32, 64, 72, 256, 1024)]
    + [(n_bits, d) for n_bits in (8, 16, 32, 64) for d in (8, 12, 16)],
)
def test_a_layout_is_refused_exactly_where_the_engine_cannot_build_it(n_bits, directory_bits):
    codes = make_codes("uniform", 300, n_bits, np.random.default_rng(n_bits))
    for tables in (1, 2, 3, 4, 5, 8, 9, 12, 16, 32, 33, 36, 37, 64, 128, 129, 512):
        if 18 < n_bits / tables <= 28:
            continue  # gigabytes of directories
        options = LayoutOptions(tables=tables, directory_bits=directory_bits or None)
        try:
            options.check(n_bits)
            allowed = True
        except ValueError:
            allowed = False
        assert allowed == engine_builds(codes, tables, directory_bits), options


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"tables": 0}, ValueError, "tables must be at least 1, got 0"),
        ({"tables": 2.0}, TypeError, "tables must be an int or None, got float"),
        ({"directory_bits": True}, TypeError, "directory_bits must be an int or None, got bool"),
        ({"select_bits": 1}, TypeError, "select_bits must be a bool, got int"),
        ({"tables": 33}, ValueError, "tables must be from 3 to 32 for n_bits=64, got 33"),
        ({"tables": 2}, ValueError, "tables must be from 3 to 32 for n_bits=64, got 2"),
        ({"directory_bits": 29}, ValueError, "from 1 to 28 for n_bits=64, got 29"),
        ({"tables": 3, "directory_bits": 20}, ValueError, "from 22 to 28 for n_bits=64 and 3 tables, got 20"),
    ],
)
def test_a_layout_that_cannot_be_is_refused_and_makes_no_directory(tmp_path, options, error, message):
    with pytest.raises(error, match=message):
        hashnet.Index.create(tmp_path / "i", n_bits=64, layout=LayoutOptions(**options))
    with pytest.raises(error, match=message):
        hashnet.Index.in_memory(n_bits=64, layout=LayoutOptions(**options))
    assert not (tmp_path / "i").exists()


def test_directories_of_long_codes_are_not_for_choosing():
    with pytest.raises(ValueError, match=r"up to 64 bits a code, got n_bits=72: .*; choose tables instead"):
        hashnet.Index.in_memory(n_bits=72, layout=LayoutOptions(directory_bits=12))


def test_an_index_keeps_its_layout_for_later_adds(tmp_path, codes):
    options = LayoutOptions(tables=5, directory_bits=14, select_bits=False)
    with hashnet.Index.create(tmp_path / "i", n_bits=64, layout=options) as index:
        index.add(codes[:10_000])
    with hashnet.open_index(tmp_path / "i", mode="w") as index:
        index.add(codes[10_000:])
    stats = hashnet.open_index(tmp_path / "i").stats()
    assert (stats.options, stats.tables) == (options, (5, 5))
    assert [one.substring_bits for one in stats.layouts] == [(12, 13, 13, 13, 13)] * 2
    assert {bits for one in stats.layouts for bits in one.directory_bits} == {14}
    assert [(one.residue_form, one.bits_reordered) for one in stats.layouts] == [(True, False)] * 2
    assert json.loads(json.dumps(stats.to_json()))["layouts"][0]["directory_bits"] == [14] * 5


def rewrite_manifest(path, change):
    """Alter the committed manifest of an index and make its checksum fit."""
    file = path / (path / "CURRENT").read_text().strip()
    body = json.loads(file.read_bytes())
    del body["checksum"]
    change(body)
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
    file.write_text(json.dumps({**body, "checksum": _core.crc32c(canonical)}))


def test_a_manifest_without_a_layout_is_one_of_an_older_version(tmp_path, codes):
    with hashnet.Index.create(tmp_path / "i", n_bits=64) as index:
        index.add(codes)
    rewrite_manifest(tmp_path / "i", lambda body: body.pop("layout"))
    with hashnet.open_index(tmp_path / "i", mode="w") as index:
        assert index.stats().options == LayoutOptions()
        index.add(codes)
        assert len(index) == 2 * len(codes)


@pytest.mark.parametrize(
    "layout", [None, [], 3, {"tables": 0}, {"tables": 500}, {"tables": "3"}, {"cubes": 1}, {"select_bits": 0}]
)
def test_a_manifest_with_an_impossible_layout_is_damaged(tmp_path, layout):
    hashnet.Index.create(tmp_path / "i", n_bits=64).close()
    rewrite_manifest(tmp_path / "i", lambda body: body.update(layout=layout))
    with pytest.raises(DamagedError, match="manifest-"):
        hashnet.open_index(tmp_path / "i")


class TestStages:
    def told(self, *messages, n=10):
        progress = Recorded()
        stages = StageProgress(progress)
        for message in messages:
            stages(*message)
        stages.finish(n)
        return progress.phases

    def test_each_is_a_phase(self):
        assert self.told(("read", 4, 10), ("read", 10, 10), ("sort", 3, 3)) == [
            ["build: read", 10, 10],
            ["build: sort", 3, 3],
        ]

    def test_are_told_to_their_end_even_if_the_engine_does_not(self):
        assert self.told(("read", 4, 10), ("sort", 0, 3)) == [["build: read", 10, 10], ["build: sort", 3, 3]]

    def test_that_begin_anew_are_told_anew(self):
        assert self.told(("sort", 3, 3), ("sort", 1, 3), ("sort", 2, 3)) == [["build: sort", 3, 3]] * 2

    def test_of_which_nothing_was_told_are_one(self):
        assert self.told(n=7) == [["build: rows", 7, 7]]
