"""Builds and bulk queries whose driver and workers are killed at random moments end with the same bytes."""

import random
import shutil

import numpy as np
import pytest
from codesets import make_codes
from killed_jobs import Job, wait_until

from hashnet.encoding import build_index
from hashnet.index import open_codes

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(600)]

KILLS = 12
N_CODES, N_QUERIES = 1_500_000, 300_000
PARTS = 16
UNIT_QUERIES = 2500

BUILD = f"""
import sys
from hashnet.distributed import build_with_ray
source, output, address = sys.argv[1:]
build_with_ray(source, output, shards={PARTS}, workers=2, address=address)
"""
SEARCH = f"""
import sys
from hashnet.distributed import search_to_file
index, queries, output, address = sys.argv[1:]
search_to_file(index, queries, output, radius=8, unit_queries={UNIT_QUERIES}, workers=2, address=address)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Codes, an index of them, and queries."""
    folder = tmp_path_factory.mktemp("codes")
    rng = np.random.default_rng(5)
    np.save(folder / "codes.npy", make_codes("uniform", N_CODES, 64, rng))
    np.save(folder / "queries.npy", make_codes("uniform", N_QUERIES, 64, rng))
    build_index(open_codes(folder / "codes.npy"), folder / "whole.hnx", segments=PARTS)
    return folder


def disturb(job, worker, chance, output, whole, content):
    """Kill drivers and workers of ``job`` at random moments, and have it done again whenever it was done.

    Whenever it is done its bytes are compared. A moment is one at which a unit was just committed, or any in
    the seconds from then: while processes start or end, and while units are answered or put together.
    """
    kills, done = {"driver": 0, "worker": 0}, 0
    while sum(kills.values()) < KILLS:
        job.start()
        enough = job.n_done + chance.randint(0, 4)
        wait_until(lambda least=enough: not job.runs or job.n_done >= least, 120)
        wait_until(lambda: not job.runs, chance.choice([0, chance.uniform(0, 0.5), chance.uniform(0, 4)]))
        # A third one could find the unit that ended two already, which is given up then.
        for _ in range(chance.randint(0, 2)):
            kills["worker"] += job.runs and job.kill_worker(worker, limit_s=20)
            wait_until(lambda: not job.runs, chance.uniform(0, 2))
        if job.runs:
            kills["driver"] += job.kill()
        else:
            job.end()
        if output.is_dir() or (output.exists() and job.ended):
            assert content(output) == whole
            shutil.rmtree(output) if output.is_dir() else output.unlink()
            done += 1
        print(f"{kills}, {job.n_done} units committed, done {done} times", flush=True)
    job.start()
    job.end()
    assert content(output) == whole
    assert all(kills.values())


def test_a_build_ends_with_the_bytes_of_an_undisturbed_one(folder, lasting_cluster, tmp_path):
    def content(path):
        return {str(one.relative_to(path)): one.read_bytes() for one in path.rglob("*") if one.is_file()}

    output = tmp_path / "a.hnx"
    arguments = (folder / "codes.npy", output, lasting_cluster.address)
    job = Job(BUILD, arguments, lambda: tmp_path.glob(".a.hnx.building/.job/part-*.json"))
    disturb(job, "PartBuilder", random.Random(0), output, content(folder / "whole.hnx"), content)
    assert list(tmp_path.iterdir()) == [output]


@pytest.mark.parametrize("seed", [0, 1])
def test_bulk_queries_end_with_the_bytes_of_undisturbed_ones(folder, lasting_cluster, tmp_path, seed):
    from hashnet.distributed import search_to_file

    index, queries, output = folder / "whole.hnx", folder / "queries.npy", tmp_path / "hits.parquet"
    search_to_file(index, queries, output, radius=8)
    whole = output.read_bytes()
    output.unlink()
    job = Job(
        SEARCH,
        (index, queries, output, lasting_cluster.address),
        lambda: tmp_path.glob(".hits.parquet.job/unit-*.json"),
    )
    disturb(job, "UnitAnswerer", random.Random(seed), output, whole, lambda path: path.read_bytes())
    assert list(tmp_path.iterdir()) == [output]
