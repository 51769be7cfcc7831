"""Building on Ray: the index of a local build, byte for byte, also after a worker was killed."""

import os
import signal
import time

import numpy as np
import pytest
from codesets import make_codes

from hashnet.encoding import build_index
from hashnet.errors import HashnetError
from hashnet.index import open_codes

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_session")]


def content(folder):
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


class Recorder:
    def __init__(self):
        self.done = 0
        self.total = None
        self.figures = set()

    def start(self, what, total):
        self.total = total

    def advance(self, done=1, **figures):
        self.done += done
        self.figures |= set(figures)

    def finish(self):
        pass


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("codes") / "codes.npy"
    np.save(path, make_codes("clustered", 30_000, 64, np.random.default_rng(5)))
    return path


@pytest.fixture(scope="module")
def local(file, tmp_path_factory):
    path = tmp_path_factory.mktemp("local") / "a.hnx"
    build_index(open_codes(file), path, segments=3)
    return path


def test_two_workers_build_the_bytes_of_one_process(file, local, tmp_path):
    from hashnet.distributed import build_with_ray

    progress = Recorder()
    build_with_ray(file, tmp_path / "a.hnx", shards=3, workers=2, progress=progress)
    assert content(tmp_path / "a.hnx") == content(local)
    assert [path.name for path in tmp_path.iterdir()] == ["a.hnx"]
    assert (progress.done, progress.total, progress.figures) == (30_000, 30_000, {"codes_per_s"})


def test_a_killed_worker_is_replaced(file, local, tmp_path):
    from hashnet.distributed import build_with_ray
    from hashnet.distributed.build import PartBuilder

    pids = tmp_path / "pids"
    pids.mkdir()

    class DiesOnce(PartBuilder):
        def work(self, part):
            mine = pids / str(part)
            if part == 1 and not mine.exists():
                mine.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            super().work(part)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hashnet.distributed.build.PartBuilder", DiesOnce)
        build_with_ray(file, tmp_path / "a.hnx", shards=3, workers=2)
    assert (pids / "1").exists()
    assert content(tmp_path / "a.hnx") == content(local)


def test_what_a_worker_raises_ends_the_build_and_a_rerun_goes_on(file, local, tmp_path):
    from hashnet.distributed import build_with_ray
    from hashnet.distributed.build import PartBuilder

    class Fails(PartBuilder):
        def work(self, part):
            if part == 2:
                raise HashnetError("the disk is full")
            super().work(part)

    output = tmp_path / "a.hnx"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hashnet.distributed.build.PartBuilder", Fails)
        with pytest.raises(HashnetError, match="the disk is full"):
            build_with_ray(file, output, shards=3, workers=1)
    assert not output.exists()
    kept = (tmp_path / ".a.hnx.building" / "segments" / "000000.seg").stat().st_ino
    progress = Recorder()
    build_with_ray(file, output, shards=3, workers=2, progress=progress)
    assert progress.done == 30_000
    assert (output / "segments" / "000000.seg").stat().st_ino == kept
    assert content(output) == content(local)


def test_workers_that_are_lost_again_and_again_end_the_build(file, tmp_path):
    from hashnet.distributed import build_with_ray
    from hashnet.distributed.build import PartBuilder

    class Dies(PartBuilder):
        def work(self, part):
            os.kill(os.getpid(), signal.SIGKILL)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hashnet.distributed.build.PartBuilder", Dies)
        with pytest.raises(HashnetError, match=r"no worker is left .*smaller --memory or fewer --workers"):
            build_with_ray(file, tmp_path / "a.hnx", shards=3, workers=1)


def test_no_free_cpu_is_told_after_a_bounded_wait(file, tmp_path):
    import ray
    from hashnet.distributed import build_with_ray

    @ray.remote(num_cpus=2)
    class Holder:
        def hold(self):
            return True

    holder = Holder.remote()
    try:
        ray.get(holder.hold.remote())
        with pytest.raises(HashnetError, match=r"no worker got on for 1\.5 s; .* no free CPU"):
            build_with_ray(file, tmp_path / "a.hnx", shards=3, workers=2, stall_timeout_s=1.5)
    finally:
        ray.kill(holder)
        time.sleep(0.1)


def test_memory_for_too_many_workers_is_refused_before_anything_is_built(file, tmp_path):
    from hashnet.distributed import build_with_ray

    with pytest.raises(ValueError, match="at least 64 MiB for each worker"):
        build_with_ray(file, tmp_path / "a.hnx", shards=3, workers=2, memory=100 << 20)
    assert not (tmp_path / "a.hnx").exists()
