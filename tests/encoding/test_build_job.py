"""A build in parts: the bytes of a build in one go, and a rerun that goes on where the last one ended."""

import json
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from codesets import make_codes

from hashnet import open_index
from hashnet.encoding import CodeShard, build_index
from hashnet.encoding.build_job import build_and_commit_part, open_build
from hashnet.encoding.build_parts import BuildPlan, read_rows
from hashnet.encoding.code_store import StoreManifest, commit_manifest
from hashnet.encoding.durable import write_durably
from hashnet.encoding.settings import EncodeSettings
from hashnet.encoding.shards import rejects_bytes, write_shard
from hashnet.errors import DamagedError, LockedError
from hashnet.index.arguments import LEAST_MEMORY
from hashnet.index.layout import DEFAULT_LAYOUT, LayoutOptions

WORK = {"threads": 1, "memory": LEAST_MEMORY}


def content(folder):
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.fixture
def codes():
    return make_codes("clustered", 3000, 64, np.random.default_rng(3))


def plan_of(source, parts=4, layout=DEFAULT_LAYOUT):
    return BuildPlan.of(source, parts=parts, layout=layout)


def build(source, plan, output, *, parts=None, mark="m"):
    with open_build(output, plan, source, mark=mark) as job:
        for part in job.remaining if parts is None else parts:
            build_and_commit_part(source, plan, part, job.staging, **WORK)
        job.finish()


def test_parts_in_any_order_give_the_bytes_of_one_build(codes, tmp_path):
    build_index(codes, tmp_path / "one.hnx", segments=4)
    build(codes, plan_of(codes), tmp_path / "parts.hnx", parts=[2, 0, 3, 1])
    assert content(tmp_path / "parts.hnx") == content(tmp_path / "one.hnx")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.hnx", "parts.hnx"]


def test_a_part_is_built_once_and_kept_by_the_next_run(codes, tmp_path):
    plan, output = plan_of(codes), tmp_path / "a.hnx"
    with open_build(output, plan, codes, mark="m") as job:
        build_and_commit_part(codes, plan, 1, job.staging, **WORK)
    assert not output.exists()
    with open_build(output, plan, codes, mark="m") as job:
        assert job.remaining == [0, 2, 3]
        kept = (job.staging / "segments" / "000001.seg").stat().st_ino
        for part in job.remaining:
            build_and_commit_part(codes, plan, part, job.staging, **WORK)
        job.finish()
    assert (output / "segments" / "000001.seg").stat().st_ino == kept
    build_index(codes, tmp_path / "one.hnx", segments=4)
    assert content(output) == content(tmp_path / "one.hnx")


@pytest.mark.parametrize("change", ["source", "layout"])
def test_another_source_or_layout_starts_anew(codes, tmp_path, change):
    plan, output = plan_of(codes), tmp_path / "a.hnx"
    with open_build(output, plan, codes, mark="m") as job:
        build_and_commit_part(codes, plan, 0, job.staging, **WORK)
    if change == "layout":
        plan = plan_of(codes, layout=LayoutOptions(tables=3))
    with open_build(output, plan, codes, mark="n" if change == "source" else "m") as job:
        assert job.remaining == [0, 1, 2, 3]
        assert list((job.staging / "segments").iterdir()) == []


@pytest.mark.parametrize("harm", ["cut", "gone", "verdict"])
def test_a_part_whose_files_are_gone_or_cut_is_built_again(codes, tmp_path, harm):
    plan, output = plan_of(codes), tmp_path / "a.hnx"
    with open_build(output, plan, codes, mark="m") as job:
        build_and_commit_part(codes, plan, 0, job.staging, **WORK)
        build_and_commit_part(codes, plan, 1, job.staging, **WORK)
        segment = job.staging / "segments" / "000001.seg"
        if harm == "cut":
            segment.write_bytes(segment.read_bytes()[:-1])
        elif harm == "gone":
            segment.unlink()
        else:
            verdict = job.staging / ".job" / "part-000001.json"
            verdict.write_text(json.dumps([{"file": {"name": "../../x"}}]))
        assert job.remaining == [1, 2, 3]


def test_an_index_is_not_finished_before_all_its_parts_are(codes, tmp_path):
    plan = plan_of(codes)
    with open_build(tmp_path / "a.hnx", plan, codes, mark="m") as job:
        build_and_commit_part(codes, plan, 0, job.staging, **WORK)
        with pytest.raises(ValueError, match=r"parts \[1, 2, 3\] are not built yet"):
            job.finish()
    assert not (tmp_path / "a.hnx").exists()


def test_a_failure_before_the_first_part_leaves_nothing(codes, tmp_path):
    with (
        pytest.raises(OSError, match="no Ray"),
        open_build(tmp_path / "a.hnx", plan_of(codes), codes, mark="m"),
    ):
        raise OSError("no Ray")
    assert list(tmp_path.iterdir()) == []


def test_two_processes_do_not_build_the_same_output(codes, tmp_path):
    plan = plan_of(codes)
    with (
        open_build(tmp_path / "a.hnx", plan, codes, mark="m"),
        pytest.raises(LockedError),
        open_build(tmp_path / "a.hnx", plan, codes, mark="m"),
    ):
        pass


def test_an_output_that_exists_is_left_alone(codes, tmp_path):
    output = tmp_path / "a.hnx"
    output.mkdir()
    with (
        pytest.raises(FileExistsError, match="exists already"),
        open_build(output, plan_of(codes), codes, mark="m"),
    ):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.hnx"]


def test_a_worker_that_was_thought_dead_does_no_harm(codes, tmp_path):
    plan, output = plan_of(codes), tmp_path / "a.hnx"
    with open_build(output, plan, codes, mark="m") as job:
        (job.staging / ".job" / "attempt-dead" / "segments").mkdir(parents=True)
    with open_build(output, plan, codes, mark="m") as job:
        assert list((job.staging / ".job").glob("attempt-*")) == []
        for part in [0, 1, 2, 3, 2]:
            build_and_commit_part(codes, plan, part, job.staging, **WORK)
        staging = job.staging
        job.finish()
    before = content(output)
    with pytest.raises(FileNotFoundError):
        build_and_commit_part(codes, plan, 1, staging, **WORK)
    assert content(output) == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.hnx"]


@pytest.fixture
def store(codes, tmp_path):
    return make_store(codes, tmp_path / "codes", [700, 0, 900, 1100, 300])


def make_store(codes, folder, sizes, *, ids=None):
    """A code store of shards of these sizes; ids leave gaps, keys are not in their order."""
    folder.mkdir()
    ids = np.arange(len(codes), dtype=np.int64) * 3 + 5 if ids is None else ids
    bounds = np.cumsum([0, *sizes])
    shards = tuple(
        write_shard(folder, number, CodeShard(codes[a:b], ids[a:b], [f"{9999 - i}.jpg" for i in ids[a:b]]))
        for number, (a, b) in enumerate(pairwise(bounds))
    )
    settings = EncodeSettings(
        fingerprint="f" * 64,
        source="digits",
        identity="i",
        n_images=len(codes),
        n_bits=64,
        unit_size=-(-len(codes) // len(sizes)),
        batch_size=1,
        device="cpu",
        rows=None,
    )
    mark = write_durably(folder / "rejects.parquet", rejects_bytes([]))
    return commit_manifest(folder, StoreManifest(settings, shards, 0, mark))


def test_any_rows_of_a_store_are_read_from_the_shards_that_have_them(store, codes):
    for begin, end in [(0, 3000), (0, 1), (699, 701), (700, 1600), (2999, 3000), (1650, 2750)]:
        shard = read_rows(store, slice(begin, end))
        np.testing.assert_array_equal(shard.codes, codes[begin:end])
        np.testing.assert_array_equal(shard.ids, np.arange(begin, end) * 3 + 5)
        assert shard.keys == store.keys()[begin:end]


def test_ids_and_keys_of_a_store_come_with_their_part(store, tmp_path):
    build_index(store, tmp_path / "one.hnx", segments=3)
    plan = plan_of(store, parts=3)
    build(store, plan, tmp_path / "parts.hnx", parts=[2, 1, 0])
    assert content(tmp_path / "parts.hnx") == content(tmp_path / "one.hnx")
    with open_index(tmp_path / "parts.hnx") as index:
        assert index.keys_of(store.ids()) == store.keys()
        assert index.fingerprint == store.fingerprint


def test_an_id_in_two_parts_is_found_at_the_end(codes, tmp_path):
    ids = np.concatenate([np.arange(1500), np.arange(1499, 2999)])
    store = make_store(codes, tmp_path / "codes", [1500, 1500], ids=ids)
    plan = plan_of(store, parts=2)
    with pytest.raises(DamagedError, match=r"ids of 000001\.seg overlap those of 000000\.seg"):
        build(store, plan, tmp_path / "a.hnx")
    with pytest.raises(DamagedError, match="overlap"):
        build_index(store, tmp_path / "b.hnx", segments=2)
    assert not (tmp_path / "a.hnx").exists()
    assert not (tmp_path / "b.hnx").exists()


SCRIPT = """
import sys
from pathlib import Path
from hashnet.encoding.build_job import build_and_commit_part, open_build
from hashnet.encoding.build_parts import BuildPlan
from hashnet.index import LayoutOptions, open_codes
codes = open_codes(sys.argv[1])
plan = BuildPlan.of(codes, parts=40, layout=LayoutOptions())
print("ready", flush=True)
with open_build(Path(sys.argv[2]), plan, codes, mark="m") as job:
    for part in job.remaining:
        build_and_commit_part(codes, plan, part, job.staging, threads=1, memory=64 << 20)
    job.finish()
"""


def test_the_bytes_are_the_same_after_kills_at_random_moments(codes, tmp_path):
    build_index(codes, tmp_path / "one.hnx", segments=40)
    np.save(tmp_path / "codes.npy", codes)
    output, rng = tmp_path / "a.hnx", np.random.default_rng(0)
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "codes.npy"), str(output)]
    kills = 0
    while not output.exists():
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            try:
                process.wait(timeout=rng.uniform(0.02, 0.15))
            except subprocess.TimeoutExpired:
                process.kill()
                kills += 1
        assert kills < 30
    assert kills >= 2
    assert content(output) == content(tmp_path / "one.hnx")
    assert not (tmp_path / ".a.hnx.building").exists()
