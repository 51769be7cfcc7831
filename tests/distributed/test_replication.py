"""Replicas on Ray: whatever happens to one of them, answers stay whole and exact."""

import os
import shutil
import signal
import threading
import time

import numpy as np
import pytest

from hashnet import Index, open_index
from hashnet.errors import DamagedError, HashnetError, IncompleteError

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_session")]

N_BITS = 32
SIZES = (400, 300, 200)
QUICK = {"probe_every_s": 0.2, "suspect_after_s": 0.3, "dead_after_s": 1.0}


def make(path, seed=5):
    rng = np.random.default_rng(seed)
    pool = rng.integers(0, 256, (150, N_BITS // 8), dtype=np.uint8)
    with Index.create(path, n_bits=N_BITS, fingerprint=f"sha256:{seed}") as index:
        for size in SIZES:
            index.add(pool[rng.integers(0, len(pool), size)], keys=[f"{seed}/{i}" for i in range(size)])
    return path


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return make(tmp_path_factory.mktemp("replicated") / "photos.hnx")


@pytest.fixture(scope="module")
def queries():
    return np.random.default_rng(9).integers(0, 256, (20, N_BITS // 8), dtype=np.uint8)


@pytest.fixture(scope="module")
def wanted(directory, queries):
    with open_index(directory) as one:
        return one.search(queries, 15), one.search_radius(queries, 9), one.count_radius(queries, 11)


@pytest.fixture
def sharded(directory):
    from hashnet.distributed import ShardedIndex, Watch

    with ShardedIndex.open(directory, shards=2, replicas=2, hedge_after_s=0.2, watch=Watch(**QUICK)) as index:
        yield index


def assert_same(got, wanted):
    for mine, other in zip(got, wanted, strict=True):
        assert (mine.dtype, mine.shape) == (other.dtype, other.shape)
        np.testing.assert_array_equal(mine, other)


def assert_exact(sharded, queries, wanted):
    assert_same(sharded.search(queries, 15), wanted[0])
    assert_same(sharded.search_radius(queries, 9), wanted[1])
    assert_same([sharded.count_radius(queries, 11)], [wanted[2]])


def until(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def alive(sharded):
    return [shard.alive for shard in sharded.health()]


def pids(sharded):
    return [{one.number: one.pid for one in shard.replicas} for shard in sharded.health()]


def flip_a_byte(directory, number):
    segment = sorted((directory / "segments").glob("*.seg"))[number]
    content = bytearray(segment.read_bytes())
    content[len(content) // 2] ^= 255
    # Into the file as it is: a new one would leave maps of the old untouched.
    with segment.open("r+b") as file:
        file.write(content)


def test_a_killed_replica_fails_no_question_and_comes_back(sharded, queries, wanted):
    assert_exact(sharded, queries, wanted)
    before = pids(sharded)
    for shard in before:
        os.kill(next(iter(shard.values())), signal.SIGKILL)
    for _ in range(5):
        assert_exact(sharded, queries, wanted)
    until(lambda: alive(sharded) == [2, 2] and pids(sharded) != before)
    after = pids(sharded)
    assert all(
        len(set(old.values()) & set(new.values())) == 1 for old, new in zip(before, after, strict=True)
    )
    # Whoever was there from the start goes now: the new ones answer.
    for old, new in zip(before, after, strict=True):
        os.kill((set(old.values()) & set(new.values())).pop(), signal.SIGKILL)
    assert_exact(sharded, queries, wanted)


def test_a_stopped_replica_is_passed_over_and_then_replaced(sharded, queries, wanted):
    assert_exact(sharded, queries, wanted)
    victim = sharded.health()[0].replicas[0]
    os.kill(victim.pid, signal.SIGSTOP)
    try:
        begin = time.monotonic()
        for _ in range(4):
            assert_exact(sharded, queries, wanted)
        # One or two questions waited for the hedge.
        assert time.monotonic() - begin < 5.0
        until(lambda: alive(sharded) == [2, 2] and victim.number not in pids(sharded)[0])
        assert_exact(sharded, queries, wanted)
    finally:
        os.kill(victim.pid, signal.SIGKILL)


def test_a_replica_that_was_only_slow_is_asked_again(sharded, queries, wanted):
    victim = sharded.health()[0].replicas[0]
    os.kill(victim.pid, signal.SIGSTOP)
    until(lambda: sharded.health()[0].replicas[0].condition == "suspect")
    os.kill(victim.pid, signal.SIGCONT)
    until(lambda: sharded.health()[0].replicas[0].condition == "alive")
    assert sharded.health()[0].replicas[0].pid == victim.pid
    assert_exact(sharded, queries, wanted)


def test_a_damaged_copy_is_left_for_a_whole_one(directory, queries, wanted, tmp_path):
    from hashnet.distributed import ShardedIndex, Watch

    copy = shutil.copytree(directory, tmp_path / "copy.hnx")
    flip_a_byte(copy, 0)
    with ShardedIndex.open(
        directory, copies=[copy], shards=2, replicas=2, watch=Watch(restart=False)
    ) as sharded:
        conditions = [[one.condition for one in shard.replicas] for shard in sharded.health()]
        assert sorted(map(sorted, conditions)) == [["alive", "alive"], ["alive", "damaged"]]
        damaged = next(
            one for shard in sharded.health() for one in shard.replicas if one.condition == "damaged"
        )
        assert damaged.path == str(copy)
        assert "is damaged: checksum" in damaged.reason
        assert_exact(sharded, queries, wanted)


def test_a_replica_of_a_damaged_copy_is_started_again_from_the_whole_one(
    directory, queries, wanted, tmp_path
):
    from hashnet.distributed import ShardedIndex, Watch

    copy = shutil.copytree(directory, tmp_path / "copy.hnx")
    flip_a_byte(copy, 0)
    with ShardedIndex.open(directory, copies=[copy], shards=2, replicas=2, watch=Watch(**QUICK)) as sharded:
        until(lambda: alive(sharded) == [2, 2])
        assert_exact(sharded, queries, wanted)


def test_bytes_that_change_under_a_map_are_found_by_a_check(directory, queries, wanted, tmp_path):
    from hashnet.distributed import ShardedIndex, Watch

    copy = shutil.copytree(directory, tmp_path / "copy.hnx")
    with ShardedIndex.open(
        directory, copies=[copy], shards=1, replicas=2, watch=Watch(restart=False)
    ) as sharded:
        flip_a_byte(copy, 1)
        (shard,) = sharded.check()
        assert [one.condition for one in shard.replicas] == ["alive", "damaged"]
        assert_exact(sharded, queries, wanted)


def test_scrubbing_finds_them_by_itself(directory, tmp_path):
    from hashnet.distributed import ShardedIndex, Watch

    copy = shutil.copytree(directory, tmp_path / "copy.hnx")
    watch = Watch(restart=False, scrub_every_s=0.3)
    with ShardedIndex.open(directory, copies=[copy], shards=1, replicas=2, watch=watch) as sharded:
        flip_a_byte(copy, 1)
        until(lambda: sharded.health()[0].dead == 1)


def test_a_copy_of_another_index_is_not_searched(directory, tmp_path):
    from hashnet.distributed import ShardedIndex, Watch

    other = make(tmp_path / "other.hnx", seed=6)
    with ShardedIndex.open(
        directory, copies=[other], shards=2, replicas=2, watch=Watch(restart=False)
    ) as sharded:
        assert alive(sharded) == [1, 1]
        assert "does not list the segments" in sharded.health()[0].replicas[1].reason


def test_replicas_are_added_moved_and_removed(directory, queries, wanted):
    import ray
    from hashnet.distributed import ShardedIndex

    with ShardedIndex.open(directory, shards=2) as sharded:
        old = sharded.health()[1].replicas[0].number
        with pytest.raises(ValueError, match="last of shard 1"):
            sharded.remove_replica(1, old)
        added = sharded.add_replica(1)
        assert alive(sharded) == [1, 2]
        sharded.remove_replica(1, old)
        until(lambda: [one.number for one in sharded.health()[1].replicas] == [added])
        moved = sharded.move_replica(0, sharded.health()[0].replicas[0].number, node=ray.nodes()[0]["NodeID"])
        until(lambda: [one.number for one in sharded.health()[0].replicas] == [moved])
        assert_exact(sharded, queries, wanted)
        with pytest.raises(ValueError, match=r"shard 0 has no replica 1000000"):
            sharded.move_replica(0, 10**6)
        with pytest.raises(ValueError, match="shard must be from 0 to 1, got 2"):
            sharded.add_replica(2)


def test_swapping_under_load_gives_old_or_new_answers_and_no_error(directory, queries, wanted, tmp_path):
    from hashnet.distributed import ShardedIndex

    other = make(tmp_path / "other.hnx", seed=6)
    with open_index(other) as one:
        new = one.search(queries, 15)
    seen, errors, stop = [], [], threading.Event()

    with ShardedIndex.open(directory, shards=2) as sharded:

        def ask():
            while not stop.is_set():
                try:
                    ids = sharded.search(queries, 15).ids
                    is_old, is_new = (np.array_equal(ids, of.ids) for of in (wanted[0], new))
                    seen.append({(True, False): "old", (False, True): "new"}[is_old, is_new])
                except Exception as error:
                    errors.append(error)

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        until(lambda: len(seen) > 20)
        old_pids = {one.pid for shard in sharded.health() for one in shard.replicas}
        sharded.swap(other)
        swapped = len(seen)
        until(lambda: len(seen) > swapped + 20)
        stop.set()
        for thread in threads:
            thread.join()
        assert errors == []
        assert seen[0] == "old"
        assert set(seen[swapped + len(threads) :]) == {"new"}
        assert (sharded.path, sharded.fingerprint) == (other, "sha256:6")
        until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in old_pids))  # noqa: PTH110


def test_a_swap_that_cannot_be_leaves_the_old_version(sharded, queries, wanted, tmp_path):
    with Index.create(tmp_path / "wide.hnx", n_bits=64) as index:
        for _ in range(2):
            index.add(np.zeros((3, 8), dtype=np.uint8))
    with pytest.raises(ValueError, match="32 bits cannot be swapped for one of 64"):
        sharded.swap(tmp_path / "wide.hnx")
    damaged = make(tmp_path / "damaged.hnx")
    flip_a_byte(damaged, 1)
    with pytest.raises(DamagedError, match=r"damaged\.hnx"):
        sharded.swap(damaged)
    with pytest.raises(FileNotFoundError):
        sharded.swap(tmp_path / "absent.hnx")
    assert_exact(sharded, queries, wanted)


def test_many_threads_get_exact_answers(sharded, queries, wanted):
    wrong = []

    def ask():
        for _ in range(5):
            try:
                assert_exact(sharded, queries, wanted)
            except Exception as error:
                wrong.append(error)

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_codes_in_memory_come_back_from_the_object_store(queries):
    from hashnet.distributed import ShardedIndex, Watch

    codes = np.random.default_rng(2).integers(0, 256, (500, N_BITS // 8), dtype=np.uint8)
    with Index.in_memory(n_bits=N_BITS) as one:
        one.add(codes)
        wanted = one.search(queries, 7)
    with ShardedIndex.from_codes(codes, n_bits=N_BITS, shards=2, watch=Watch(**QUICK)) as sharded:
        first = sharded.health()[0].replicas[0]
        os.kill(first.pid, signal.SIGKILL)
        until(lambda: alive(sharded) == [1, 1] and sharded.health()[0].replicas[0].pid != first.pid)
        assert_same(sharded.search(queries, 7), wanted)
        with pytest.raises(ValueError, match="codes in memory cannot be swapped"):
            sharded.swap("anywhere.hnx")


def test_a_question_has_a_deadline_of_its_own(sharded, queries):
    with pytest.raises(IncompleteError, match=r"no answer within 1e-09 s"):
        sharded.search(queries, 3, timeout_s=1e-9)
    with pytest.raises(ValueError, match="timeout_s must be more than 0"):
        sharded.search(queries, 3, timeout_s=0)


def test_plans_of_shards_tell_every_segment(sharded, directory, queries):
    with open_index(directory) as one:
        wanted = one.explain(queries[0], radius=6)
    plans = sharded.explain(queries[0], radius=6)
    segments = sorted(
        (segment.segment, segment.n_codes, segment.matches) for plan in plans for segment in plan.segments
    )
    assert segments == [(segment.segment, segment.n_codes, segment.matches) for segment in wanted.segments]
    assert [plan.k for plan in sharded.explain(queries[:1], k=sum(SIZES))] == [sum(SIZES)] * 2
    with pytest.raises(ValueError, match="either radius or k"):
        sharded.explain(queries[0])


def test_health_tells_of_every_replica(sharded, queries):
    sharded.search(queries, 3)
    shards = sharded.health()
    assert [shard.shard for shard in shards] == [0, 1]
    assert sum(shard.n_codes for shard in shards) == sum(SIZES)
    for shard in shards:
        assert (shard.alive, shard.starting, shard.dead) == (2, 0, 0)
        assert shard.latency_ms > 0
        assert shard.to_json()["replicas"][0]["condition"] == "alive"
        assert len({one.pid for one in shard.replicas}) == 2


def test_an_index_that_changed_on_disk_is_not_mixed_in(directory, tmp_path):
    from hashnet.distributed import ShardedIndex, Watch

    copy = shutil.copytree(directory, tmp_path / "copy.hnx")
    with ShardedIndex.open(copy, shards=2, watch=Watch(restart=False)) as sharded:
        shutil.rmtree(copy)
        make(copy, seed=8)
        with pytest.raises(HashnetError, match="does not list the segments"):
            sharded.add_replica(0)
        sharded.swap(copy)
        assert sharded.fingerprint == "sha256:8"


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"replicas": 0}, ValueError, "replicas must be at least 1, got 0"),
        ({"replicas": "2"}, TypeError, "replicas must be an int"),
        ({"timeout_s": -1}, ValueError, "timeout_s must be more than 0"),
        ({"hedge_after_s": "soon"}, TypeError, "hedge_after_s must be"),
        ({"cpus_per_shard": 64}, ValueError, "cpus_per_shard must be at most what a node has"),
        ({"copies": "b.hnx"}, TypeError, "copies must be a list"),
    ],
)
def test_a_wrong_setting_is_refused(directory, arguments, error, message):
    from hashnet.distributed import ShardedIndex

    with pytest.raises(error, match=message):
        ShardedIndex.open(directory, **arguments)
