"""Bulk queries: the answers of the index as a file, the same bytes after any interruption."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from codesets import make_codes, make_queries
from hashnet.distributed.bulk import open_snapshot, search_to_file
from hashnet.distributed.bulk_job import commit_unit, job_folder, open_bulk_job
from hashnet.distributed.bulk_units import BulkSettings, digest_of_queries, regrouped

import hashnet
from hashnet.errors import DamagedError, HashnetError, LockedError, ResumeError
from hashnet.index import open_codes

N = 5000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("bulk")


@pytest.fixture(scope="module")
def codes():
    return make_codes("clustered", N, 64, np.random.default_rng(7))


@pytest.fixture(scope="module")
def index(folder, codes):
    """Two segments; every other code has a key."""
    path = folder / "a.hnx"
    with hashnet.Index.create(path, n_bits=64) as made:
        made.add(codes[::2].copy(), ids=np.arange(0, N, 2), keys=[f"{i}.jpg" for i in range(0, N, 2)])
        made.add(codes[1::2].copy(), ids=np.arange(1, N, 2))
    return path


@pytest.fixture(scope="module")
def asked(codes):
    return make_queries(codes, 230, np.random.default_rng(8))


@pytest.fixture(scope="module")
def queries(folder, asked):
    path = folder / "q.npy"
    np.save(path, asked)
    return path


def expected_rows(index, asked, *, k=None, radius=None):
    with hashnet.open_index(index) as opened:
        if k is not None:
            nearest = opened.search(asked, k)
            lists = list(zip(nearest.distances, nearest.ids, strict=True))
        else:
            balls = opened.search_radius(asked, radius)
            lists = [balls.ball(q) for q in range(len(asked))]
        return [
            {"query": q, "rank": rank, "id": id_, "distance": distance, "key": key}
            for q, (distances, ids) in enumerate(lists)
            for rank, (distance, id_, key) in enumerate(
                zip(distances.tolist(), ids.tolist(), opened.keys_of(ids), strict=True), start=1
            )
        ]


@pytest.mark.parametrize("question", [{"k": 7}, {"radius": 12}, {"radius": 0}])
def test_rows_are_the_answers_of_the_index_with_ranks_and_keys(index, queries, asked, tmp_path, question):
    output = tmp_path / "hits.parquet"
    rows = search_to_file(index, queries, output, unit_queries=64, threads=1, **question)
    found = pq.read_table(output).to_pylist()
    assert found == expected_rows(index, asked, **question)
    assert rows == len(found)
    assert [path.name for path in tmp_path.iterdir()] == ["hits.parquet"]
    if question == {"k": 7}:
        assert {row["key"] is None for row in found} == {True, False}


def test_a_count_has_a_row_for_each_query(index, queries, asked, tmp_path):
    output = tmp_path / "counts.parquet"
    assert search_to_file(index, queries, output, radius=12, count=True, unit_queries=64) == len(asked)
    table = pq.read_table(output)
    with hashnet.open_index(index) as opened:
        counts = opened.count_radius(asked, 12).tolist()
    assert table.to_pydict() == {"query": list(range(len(asked))), "count": counts}


def test_the_ten_nearest_are_the_default_or_all_where_there_are_fewer(queries, tmp_path, codes):
    with hashnet.Index.create(tmp_path / "few.hnx", n_bits=64) as made:
        made.add(codes[:4])
    assert search_to_file(tmp_path / "few.hnx", queries, tmp_path / "hits.parquet") == 4 * 230


def test_no_hit_at_all_is_an_answer_too(tmp_path, index):
    np.save(tmp_path / "q.npy", np.full((3, 8), 0x5A, dtype=np.uint8))
    assert search_to_file(index, tmp_path / "q.npy", tmp_path / "hits.parquet", radius=0) == 0
    assert pq.read_table(tmp_path / "hits.parquet").num_rows == 0


def test_the_file_says_what_was_asked(index, queries, tmp_path):
    output = tmp_path / "hits.parquet"
    search_to_file(index, queries, output, radius=3)
    facts = json.loads(pq.read_schema(output).metadata[b"hashnet.bulk"])
    assert (facts["k"], facts["radius"], facts["n_queries"], facts["n_bits"]) == (None, 3, 230, 64)


def test_units_of_any_size_give_the_same_bytes(index, queries, tmp_path, monkeypatch):
    from hashnet.distributed import bulk_units

    search_to_file(index, queries, tmp_path / "one.parquet", radius=14)
    search_to_file(index, queries, tmp_path / "many.parquet", radius=14, unit_queries=7)
    monkeypatch.setattr(bulk_units, "_CALL_HITS", 50)
    search_to_file(index, queries, tmp_path / "small_calls.parquet", radius=14, unit_queries=100)
    whole = (tmp_path / "one.parquet").read_bytes()
    assert (tmp_path / "many.parquet").read_bytes() == whole
    assert (tmp_path / "small_calls.parquet").read_bytes() == whole


def test_rows_are_cut_into_groups_of_one_size():
    import pyarrow as pa

    schema = pa.schema([("x", pa.int64())])
    tables = [pa.table({"x": list(range(a, b))}) for a, b in [(0, 3), (3, 3), (3, 4), (4, 25)]]
    groups = list(regrouped(tables, schema, rows=10))
    assert [len(group) for group in groups] == [10, 10, 5]
    assert pa.concat_tables(groups)["x"].to_pylist() == list(range(25))
    assert list(regrouped([], schema)) == []


def settings_of(index, asked, **changes):
    opened, digest = open_snapshot(index)
    opened.close()
    facts = {
        "index": digest,
        "fingerprint": None,
        "queries": digest_of_queries(asked),
        "n_queries": len(asked),
        "n_bits": 64,
        "k": 7,
        "radius": None,
        "count": False,
        "unit_queries": 50,
    }
    return BulkSettings(**{**facts, **changes})


@pytest.fixture
def begun(index, queries, asked, tmp_path):
    """A job of five units of which two are answered."""
    output, settings = tmp_path / "hits.parquet", settings_of(index, asked)
    opened, _ = open_snapshot(index)
    with opened, open_bulk_job(output, settings) as job:
        for unit in (1, 3):
            commit_unit(opened, open_codes(queries), settings, unit, output, threads=1)
        assert job.remaining == [0, 2, 4]
    return output


def test_a_rerun_keeps_what_is_answered(begun, index, queries, tmp_path):
    kept = job_folder(begun) / "unit-000003.parquet"
    before, told = kept.stat().st_ino, []

    class Recorder:
        def start(self, what, total):
            told.append(total)

        def advance(self, done=1, **figures):
            told.append(done)
            if len(told) == 4:
                assert kept.stat().st_ino == before

        def finish(self):
            pass

    search_to_file(index, queries, begun, k=7, unit_queries=50, progress=Recorder())
    assert told == [230, 100, 50, 50, 30]
    search_to_file(index, queries, tmp_path / "whole.parquet", k=7)
    assert begun.read_bytes() == (tmp_path / "whole.parquet").read_bytes()
    assert not job_folder(begun).exists()


@pytest.mark.parametrize("harm", ["flip", "cut", "gone", "verdict"])
def test_a_unit_that_is_damaged_is_answered_again(begun, index, queries, asked, harm):
    unit = job_folder(begun) / "unit-000001.parquet"
    data = unit.read_bytes()
    if harm == "flip":
        unit.write_bytes(data[:100] + bytes([data[100] ^ 1]) + data[101:])
    elif harm == "cut":
        unit.write_bytes(data[:-1])
    elif harm == "gone":
        unit.unlink()
    else:
        unit.with_suffix(".json").write_text("{")
    with open_bulk_job(begun, settings_of(index, asked)) as job:
        assert job.remaining == [0, 1, 2, 4]
    assert search_to_file(index, queries, begun, k=7, unit_queries=50) == 7 * 230


def test_a_unit_that_is_damaged_at_the_end_is_not_taken(begun, index, queries, asked):
    settings = settings_of(index, asked)
    opened, _ = open_snapshot(index)
    with opened, open_bulk_job(begun, settings) as job:
        for unit in job.remaining:
            commit_unit(opened, open_codes(queries), settings, unit, begun, threads=1)
        (job.folder / "unit-000002.parquet").write_bytes(b"PAR1")
        with pytest.raises(DamagedError, match=r"unit-000002.*run again"):
            job.finish()
    assert not begun.exists()
    assert search_to_file(index, queries, begun, k=7, unit_queries=50) == 7 * 230


@pytest.mark.parametrize("change", [{"k": 8}, {"k": None, "radius": 7}, {"queries": "other"}])
def test_another_question_does_not_continue_a_job(begun, index, asked, change):
    with pytest.raises(ResumeError, match="was begun with another question or index"):
        open_bulk_job(begun, settings_of(index, asked, **change)).__enter__()
    with open_bulk_job(begun, settings_of(index, asked)) as job:
        assert job.remaining == [0, 2, 4]


def test_an_index_that_changed_does_not_continue_a_job(index, queries, tmp_path, codes, asked):
    path = tmp_path / "b.hnx"
    with hashnet.Index.create(path, n_bits=64) as made:
        made.add(codes[:100])
    with open_bulk_job(tmp_path / "hits.parquet", settings_of(path, asked)):
        pass
    _, digest = open_snapshot(path)
    with hashnet.open_index(path, mode="w") as opened:
        opened.add(codes[100:200])
    with pytest.raises(ResumeError, match="index"):
        search_to_file(path, queries, tmp_path / "hits.parquet", k=7, unit_queries=50)
    with pytest.raises(HashnetError, match="is not the index that the job was begun with"):
        open_snapshot(path, wanted=digest)


def test_a_finished_answer_is_not_computed_again_and_nothing_else_is_overwritten(index, queries, tmp_path):
    output = tmp_path / "hits.parquet"
    search_to_file(index, queries, output, k=3)
    before = output.stat().st_ino
    assert search_to_file(index, queries, output, k=3) == 690
    assert output.stat().st_ino == before
    with pytest.raises(FileExistsError, match="not the answer to this question"):
        search_to_file(index, queries, output, k=4)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError):
        search_to_file(index, queries, tmp_path / "notes.txt", k=4)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hits.parquet", "notes.txt"]


def test_a_failure_before_the_first_unit_leaves_nothing(index, asked, tmp_path):
    with pytest.raises(OSError, match="no Ray"), open_bulk_job(tmp_path / "h", settings_of(index, asked)):
        raise OSError("no Ray")
    assert list(tmp_path.iterdir()) == []


def test_two_processes_do_not_answer_into_the_same_file(begun, index, asked):
    settings = settings_of(index, asked)
    with open_bulk_job(begun, settings), pytest.raises(LockedError, match="another process is answering"):
        open_bulk_job(begun, settings).__enter__()


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"k": 0}, ValueError, "k must be at least 1"),
        ({"k": N + 1}, ValueError, "k must be at most the number of codes"),
        ({"radius": 65}, ValueError, "radius must be from 0 to n_bits=64"),
        ({"k": 1, "radius": 1}, ValueError, "either --k or --radius"),
        ({"count": True}, ValueError, "--count needs --radius"),
        ({"k": 1, "preload": True, "workers": 2}, ValueError, "--preload would copy the index once for each"),
        ({"k": 1, "unit_queries": 0}, ValueError, "unit_queries must be at least 1"),
    ],
)
def test_a_wrong_question_is_refused_before_anything_is_written(
    index, queries, tmp_path, wrong, error, message
):
    with pytest.raises(error, match=message):
        search_to_file(index, queries, tmp_path / "hits.parquet", **wrong)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("array", "error", "message"),
    [
        (np.zeros((3, 4), dtype=np.uint8), ValueError, "4 bytes|32 bits|n_bits"),
        (np.zeros((3, 8), dtype=np.int64), TypeError, "uint8"),
        (np.zeros((0, 8), dtype=np.uint8), ValueError, "no codes"),
    ],
)
def test_wrong_queries_are_refused_before_anything_is_written(index, tmp_path, array, error, message):
    np.save(tmp_path / "q.npy", array)
    with pytest.raises(error, match=message):
        search_to_file(index, tmp_path / "q.npy", tmp_path / "hits.parquet", k=1)
    assert [path.name for path in tmp_path.iterdir()] == ["q.npy"]


SCRIPT = """
import sys, time
from pathlib import Path
from hashnet.distributed import bulk
from hashnet.distributed import bulk_job, bulk_units
answer = bulk_units.answer_unit
def slowly(*args, **kwargs):
    for table in answer(*args, **kwargs):
        time.sleep(0.02)
        yield table
bulk_job.answer_unit = slowly
print("ready", flush=True)
bulk.search_to_file(sys.argv[1], sys.argv[2], sys.argv[3], k=7, unit_queries=10, threads=1)
"""


def test_the_bytes_are_the_same_after_kills_at_random_moments(index, queries, tmp_path):
    search_to_file(index, queries, tmp_path / "whole.parquet", k=7)
    output, rng = tmp_path / "hits.parquet", np.random.default_rng(0)
    kills = 0
    for _ in range(6):
        command = [sys.executable, "-c", SCRIPT, str(index), str(queries), str(output)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            try:
                process.wait(timeout=rng.uniform(0.05, 0.25))
            except subprocess.TimeoutExpired:
                os.kill(process.pid, signal.SIGKILL)
                kills += 1
    assert kills >= 3
    search_to_file(index, queries, output, k=7, unit_queries=10)
    assert output.read_bytes() == (tmp_path / "whole.parquet").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hits.parquet", "whole.parquet"]


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
class TestWithRay:
    def test_workers_write_the_bytes_of_one_process(self, index, queries, tmp_path):
        search_to_file(index, queries, tmp_path / "here.parquet", k=7)
        search_to_file(index, queries, tmp_path / "there.parquet", k=7, workers=2, unit_queries=50)
        assert (tmp_path / "here.parquet").read_bytes() == (tmp_path / "there.parquet").read_bytes()

    def test_a_killed_worker_is_replaced(self, index, queries, tmp_path, monkeypatch):
        from hashnet.distributed import bulk_actor

        died = tmp_path / "died"

        class DiesOnce(bulk_actor.UnitAnswerer):
            def work(self, unit):
                if unit == 2 and not died.exists():
                    died.touch()
                    os.kill(os.getpid(), signal.SIGKILL)
                super().work(unit)

        monkeypatch.setattr(bulk_actor, "UnitAnswerer", DiesOnce)
        search_to_file(index, queries, tmp_path / "there.parquet", radius=9, workers=2, unit_queries=50)
        search_to_file(index, queries, tmp_path / "here.parquet", radius=9)
        assert died.exists()
        assert (tmp_path / "here.parquet").read_bytes() == (tmp_path / "there.parquet").read_bytes()

    def test_a_worker_that_sees_another_index_stops_the_job(self, index, queries, tmp_path, monkeypatch):
        from hashnet.distributed import bulk

        question = {"k": 7, "radius": None, "count": False, "unit_queries": 50}
        spec = bulk._spec(index, queries, tmp_path / "hits.parquet", **question)
        other = BulkSettings(**{**spec.settings.to_json(), "index": "0" * 64})
        monkeypatch.setattr(bulk, "_spec", lambda *paths, **asked: replace(spec, settings=other))
        with pytest.raises(HashnetError, match="is not the index that the job was begun with"):
            search_to_file(index, queries, tmp_path / "hits.parquet", k=7, workers=1)
        assert not (tmp_path / "hits.parquet").exists()
