"""Shards on Ray answer byte for byte what one index answers, or say that they cannot."""

import os
import signal

import numpy as np
import oracle
import pytest
from hashnet.distributed import asking, cutting, wire

from hashnet import Index, open_index
from hashnet.errors import DamagedError, IncompleteError

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_session")]

N_BITS = 32
SIZES = (700, 1, 300, 450, 49)


@pytest.fixture(scope="module")
def data():
    """Codes of few distinct values, so that distances and whole codes tie across shards; shuffled ids."""
    rng = np.random.default_rng(7)
    pool = rng.integers(0, 256, (200, N_BITS // 8), dtype=np.uint8)
    codes = pool[rng.integers(0, len(pool), sum(SIZES))]
    ids = rng.permutation(10 * sum(SIZES))[: sum(SIZES)].astype(np.int64)
    queries = np.concatenate([codes[:10], rng.integers(0, 256, (15, N_BITS // 8), dtype=np.uint8)])
    return codes, ids, queries


@pytest.fixture(scope="module")
def directory(data, tmp_path_factory):
    codes, ids, _ = data
    path = tmp_path_factory.mktemp("sharded") / "photos.hnx"
    with Index.create(path, n_bits=N_BITS, fingerprint="sha256:abc") as index:
        first = 0
        for size in SIZES:
            part = slice(first, first + size)
            index.add(codes[part], ids=ids[part], keys=[f"image/{i}" for i in ids[part]])
            first += size
    return path


@pytest.fixture(scope="module")
def one(directory):
    with open_index(directory) as index:
        yield index


@pytest.fixture(scope="module")
def sharded(directory):
    from hashnet.distributed import ShardedIndex

    with ShardedIndex.open(directory, shards=3) as index:
        yield index


def assert_same(got, wanted):
    for mine, other in zip(got, wanted, strict=True):
        assert (mine.dtype, mine.shape) == (other.dtype, other.shape)
        np.testing.assert_array_equal(mine, other)


@pytest.mark.parametrize("k", [1, 10, 333, sum(SIZES)])
def test_k_nearest_are_those_of_one_index(sharded, one, data, k):
    assert_same(sharded.search(data[2], k), one.search(data[2], k))


@pytest.mark.parametrize("radius", [0, 3, 8, N_BITS])
def test_balls_are_those_of_one_index(sharded, one, data, radius):
    assert_same(sharded.search_radius(data[2], radius), one.search_radius(data[2], radius))


@pytest.mark.parametrize("radius", [0, 3, 8, N_BITS])
def test_counts_are_those_of_one_index(sharded, one, data, radius):
    assert_same([sharded.count_radius(data[2], radius)], [one.count_radius(data[2], radius)])


def test_k_nearest_are_those_of_the_scan(sharded, data):
    codes, ids, queries = data
    assert_same(sharded.search(queries, 50), oracle.search(queries, codes, ids, 50))


def test_more_neighbours_than_codes_are_padded_on_request(sharded, one, data):
    wanted = sum(SIZES) + 5
    assert_same(sharded.search(data[2], wanted, pad=True), one.search(data[2], wanted, pad=True))


def test_no_query_has_an_empty_answer(sharded, one, data):
    none = data[2][:0]
    assert_same(sharded.search(none, 3), one.search(none, 3))
    assert_same(sharded.search_radius(none, 3), one.search_radius(none, 3))


@pytest.mark.parametrize("k", [1, 7, 100])
def test_pieces_that_are_led_give_the_same_answers(sharded, one, data, k, monkeypatch):
    asked = []

    def watched(question):
        asked.append(question)
        return wire.pack_question(question)

    monkeypatch.setattr(cutting, "LEAST_LED_S", 0.0)
    monkeypatch.setattr(asking, "pack_question", watched)
    queries = np.tile(data[2], (-(-64 // len(data[2])), 1))
    sharded.search(queries, k)  # from which it knows the cost of a query
    asked.clear()
    assert_same(sharded.search(queries, k), one.search(queries, k))
    bounded = [question for question in asked if question.within is not None]
    assert bounded
    assert len(bounded) < len(asked)


def test_an_answer_can_be_written_to(sharded, data):
    for answer in (sharded.search(data[2], 3), sharded.search_radius(data[2], 9)):
        assert all(array.flags.writeable for array in answer)


def test_size_bits_and_fingerprint_are_those_of_the_index(sharded, one):
    assert (len(sharded), sharded.n_bits, sharded.fingerprint) == (len(one), one.n_bits, one.fingerprint)


def test_shards_are_balanced(sharded):
    assert sorted(sharded.shard_sizes) == [350, 450, 700]


def test_keys_come_from_whichever_shard_has_them(sharded, one, data):
    ids = np.concatenate([data[1][::100], [10**9]])
    assert sharded.keys_of(ids) == one.keys_of(ids)


@pytest.mark.parametrize(
    "ask",
    [
        lambda index: index.search(np.zeros((1, 3), dtype=np.uint8), 1),
        lambda index: index.search(np.zeros((1, 4), dtype=np.float32), 1),
        lambda index: index.search(np.zeros(4, dtype=np.uint8), 1),
        lambda index: index.search([[0, 0, 0, 0]], 1),
        lambda index: index.search(np.zeros((1, 4), dtype=np.uint8), 0),
        lambda index: index.search(np.zeros((1, 4), dtype=np.uint8), -1),
        lambda index: index.search(np.zeros((1, 4), dtype=np.uint8), 1.5),
        lambda index: index.search(np.zeros((1, 4), dtype=np.uint8), 10**6),
        lambda index: index.search_radius(np.zeros((1, 4), dtype=np.uint8), -1),
        lambda index: index.search_radius(np.zeros((1, 4), dtype=np.uint8), N_BITS + 1),
        lambda index: index.search_radius(np.zeros((1, 4), dtype=np.uint8), "2"),
        lambda index: index.search_radius(np.zeros((1, 5), dtype=np.uint8), 2),
        lambda index: index.count_radius(np.zeros((1, 5), dtype=np.uint8), 2),
        lambda index: index.count_radius(np.zeros((1, 4), dtype=np.uint8), N_BITS + 1),
        lambda index: index.count_radius(np.zeros((1, 4), dtype=np.uint8), 1, fingerprint="sha256:other"),
        lambda index: index.search(np.zeros((1, 4), dtype=np.uint8), 1, fingerprint="sha256:other"),
        lambda index: index.search_radius(np.zeros((1, 4), dtype=np.uint8), 1, fingerprint="sha256:other"),
    ],
)
def test_a_wrong_question_gives_the_error_of_one_index(sharded, one, ask):
    with pytest.raises((TypeError, ValueError)) as wanted:
        ask(one)
    with pytest.raises((TypeError, ValueError)) as got:
        ask(sharded)
    assert (got.type, str(got.value)) == (wanted.type, str(wanted.value))


def test_codes_in_memory_answer_like_one_index(one, data):
    from hashnet.distributed import ShardedIndex

    codes, ids, queries = data
    with ShardedIndex.from_codes(codes, ids=ids, n_bits=N_BITS, shards=2) as sharded:
        assert_same(sharded.search(queries, 20), one.search(queries, 20))
        assert_same(sharded.search_radius(queries, 6), one.search_radius(queries, 6))


def test_an_id_in_two_shards_is_refused(data):
    from hashnet.distributed import ShardedIndex

    codes = data[0][:10]
    with pytest.raises(ValueError, match="ids must be distinct, got 0"):
        ShardedIndex.from_codes(codes, ids=np.arange(10, dtype=np.int64) % 5, n_bits=N_BITS)


def test_more_shards_than_segments_are_refused(directory):
    from hashnet.distributed import ShardedIndex

    with pytest.raises(ValueError, match=r"6 shards for 5 segments; .*hashnet build"):
        ShardedIndex.open(directory, shards=6)


def test_a_closed_index_is_not_asked(directory, data):
    from hashnet.distributed import ShardedIndex

    sharded = ShardedIndex.open(directory, shards=1)
    sharded.close()
    sharded.close()
    with pytest.raises(ValueError, match="closed"):
        sharded.search(data[2], 1)


@pytest.fixture(scope="module")
def wounded(directory):
    """The only replica of shard 1 of three is killed from outside; the index finds out by asking."""
    from hashnet.distributed import ShardedIndex, Watch

    with ShardedIndex.open(directory, shards=3, watch=Watch(restart=False)) as sharded:
        os.kill(sharded.health()[1].replicas[0].pid, signal.SIGKILL)
        yield sharded


class TestADeadShard:
    def test_fails_the_question(self, wounded, data):
        with pytest.raises(IncompleteError, match=r"shards \[1\] did not answer") as caught:
            wounded.search(data[2], 5)
        assert caught.value.missing == [1]

    def test_fails_a_ball(self, wounded, data):
        with pytest.raises(IncompleteError, match=r"shards \[1\] did not answer"):
            wounded.search_radius(data[2], 5)

    def test_fails_a_count(self, wounded, data):
        with pytest.raises(IncompleteError, match=r"shards \[1\] did not answer"):
            wounded.count_radius(data[2], 5)

    def test_is_left_out_of_a_partial_count(self, wounded, data):
        answer = wounded.count_radius(data[2], N_BITS, partial=True)
        assert (answer.complete, answer.missing) == (False, (1,))
        alive = sum(wounded.shard_sizes) - wounded.shard_sizes[1]
        assert answer.result.tolist() == [alive] * len(data[2])

    def test_is_named_by_a_partial_answer(self, wounded, data):
        answer = wounded.search(data[2], 5, partial=True)
        assert (answer.complete, answer.missing) == (False, (1,))

    def test_leaves_the_exact_answer_of_the_others(self, wounded, directory, data):
        with open_index(directory) as index:
            codes, ids = index.export()
        answer = wounded.search_radius(data[2], 8, partial=True)
        dead = set(ids.tolist()) - {
            i
            for query in range(len(data[2]))
            for i in wounded.search_radius(data[2], N_BITS, partial=True).result.ball(query)[1].tolist()
        }
        alive = np.array([i not in dead for i in ids.tolist()])
        wanted = oracle.search_radius(data[2], codes[alive], ids[alive], 8)
        for query, (distances, found) in enumerate(wanted):
            assert_same(answer.result.ball(query), (distances, found))
        assert len(dead) == wounded.shard_sizes[1]


def test_a_shard_that_is_too_late_is_missing(directory, data):
    from hashnet.distributed import ShardedIndex

    with ShardedIndex.open(directory, shards=2, timeout_s=1e-9) as hasty:
        with pytest.raises(
            IncompleteError, match=r"shards \[0, 1\] did not answer \(no answer within 1e-09 s"
        ):
            hasty.search(data[2], 5)
        answer = hasty.search(data[2], 5, partial=True)
        assert (answer.missing, answer.result.ids.max()) == ((0, 1), -1)


def test_queries_too_large_to_travel_with_the_call_are_answered_alike(sharded, one):
    queries = np.random.default_rng(3).integers(0, 256, (40_000, N_BITS // 8), dtype=np.uint8)
    assert_same(sharded.search(queries, 2), one.search(queries, 2))


def test_a_partial_answer_of_all_shards_is_complete(sharded, one, data):
    answer = sharded.search(data[2], 5, partial=True)
    assert answer.complete
    assert_same(answer.result, one.search(data[2], 5))


def test_a_damaged_segment_is_found_when_a_shard_opens_it(data, tmp_path):
    from hashnet.distributed import ShardedIndex

    codes, ids, _ = data
    with Index.create(tmp_path / "a.hnx", n_bits=N_BITS) as index:
        index.add(codes[:500], ids=ids[:500])
        index.add(codes[500:], ids=ids[500:])
    segment = sorted((tmp_path / "a.hnx" / "segments").glob("*.seg"))[1]
    content = bytearray(segment.read_bytes())
    content[len(content) // 2] ^= 255
    segment.write_bytes(content)
    with pytest.raises(DamagedError, match=segment.name):
        ShardedIndex.open(tmp_path / "a.hnx", shards=2)
