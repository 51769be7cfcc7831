"""An index directory: what was added is there when it is opened again, and damage is named."""

from __future__ import annotations

import json
import struct
import subprocess
import sys

import numpy as np
import pytest
from codesets import make_codes

import hashnet
from hashnet import _core
from hashnet.errors import DamagedError, FingerprintError, LockedError, ReadOnlyError


@pytest.fixture
def codes():
    return make_codes("clustered", 3000, 64, np.random.default_rng(0))


@pytest.fixture
def path(tmp_path, codes):
    """An index of two segments, the first with keys."""
    with hashnet.Index.create(tmp_path / "photos.hnx", n_bits=64, metadata={"data": "photos"}) as index:
        index.add(codes[:2000], keys=[f"image-{i}.jpg" for i in range(2000)])
        index.add(codes[2000:])
    return tmp_path / "photos.hnx"


def snapshot(path):
    return {file.relative_to(path): file.read_bytes() for file in path.rglob("*") if file.is_file()}


@pytest.mark.parametrize("preload", [False, True])
def test_an_opened_index_answers_like_one_in_memory(path, codes, preload):
    index = hashnet.open_index(path, preload=preload)
    other = hashnet.Index.in_memory(n_bits=64)
    other.add(codes)
    assert len(index) == 3000
    assert index.metadata == {"data": "photos"}
    assert np.array_equal(index.search(codes[:20], 30).ids, other.search(codes[:20], 30).ids)
    for one, two in zip(index.search_radius(codes[:20], 9), other.search_radius(codes[:20], 9), strict=True):
        assert np.array_equal(one, two)


def test_export_gives_back_every_code_with_its_id(path, codes):
    exported, ids = hashnet.open_index(path).export()
    order = np.argsort(ids)
    assert np.array_equal(ids[order], np.arange(3000))
    assert np.array_equal(exported[order], codes)


@pytest.mark.parametrize("n_bits", [8, 24, 40, 64, 72, 256])
def test_export_gives_back_codes_of_any_length(n_bits):
    rng = np.random.default_rng(n_bits)
    codes = make_codes("skewed", 3000, n_bits, rng)
    ids = rng.permutation(3000)
    index = hashnet.Index.in_memory(n_bits=n_bits)
    index.add(codes, ids=ids)
    exported, exported_ids = index.export()
    assert np.array_equal(exported, codes[np.argsort(ids)][exported_ids])


def test_keys_come_back_by_id(path):
    index = hashnet.open_index(path)
    assert index.keys_of(np.array([1999, 0, 2000, -1])) == ["image-1999.jpg", "image-0.jpg", None, None]


@pytest.mark.skipif(sys.platform != "linux", reason="threads are counted in /proc")
def test_keys_are_read_on_the_thread_that_asks(path):
    # A thread of Arrow that lets go of Python's bytes while Python ends aborts the process.
    code = f"""
import os
import numpy as np
import pyarrow.parquet
import hashnet
index = hashnet.open_index({str(path)!r})
before = set(os.listdir("/proc/self/task"))
assert index.keys_of(np.array([0])) == ["image-0.jpg"]
assert set(os.listdir("/proc/self/task")) == before
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_ids_count_on_from_the_largest(path, codes):
    with hashnet.open_index(path, mode="w") as index:
        index.add(codes[:1], ids=np.array([10_000]))
        index.add(codes[:2])
    assert set(hashnet.open_index(path).export()[1]) >= {10_000, 10_001, 10_002}


def test_the_segment_bytes_do_not_depend_on_the_order_of_adding(tmp_path, codes):
    rng = np.random.default_rng(1)
    order = rng.permutation(len(codes))
    files = []
    for name, rows in (("one", np.arange(len(codes))), ("two", order)):
        with hashnet.Index.create(tmp_path / name, n_bits=64) as index:
            index.add(codes[rows], ids=rows.astype(np.int64), threads=1 + len(files))
        files.append((tmp_path / name / "segments" / "000000.seg").read_bytes())
    assert files[0] == files[1]


def test_a_reader_keeps_its_snapshot_until_it_refreshes(path, codes):
    reader = hashnet.open_index(path)
    with hashnet.open_index(path, mode="w") as writer:
        writer.add(codes[:5])
        assert len(reader) == 3000
        assert reader.refresh()
        assert len(reader) == 3005
        assert not reader.refresh()


def test_a_part_of_the_segments_can_be_opened(path, codes):
    part = hashnet.open_index(path, segments=[1])
    assert len(part) == 1000
    assert set(part.export()[1]) == set(range(2000, 3000))
    with pytest.raises(ValueError, match="segments must be from 0 to 1, got 2"):
        hashnet.open_index(path, segments=[2])


def test_only_one_writer_at_a_time(path):
    with hashnet.open_index(path, mode="w"), pytest.raises(LockedError, match="another process"):
        hashnet.open_index(path, mode="w")
    hashnet.open_index(path, mode="w").close()


def test_the_lock_of_a_killed_writer_is_gone(path):
    script = f"import hashnet, os; i = hashnet.open_index({str(path)!r}, mode='w'); os.kill(os.getpid(), 9)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -9
    hashnet.open_index(path, mode="w").close()


def test_a_reader_cannot_add(path, codes):
    with pytest.raises(ReadOnlyError, match="mode='w'"):
        hashnet.open_index(path).add(codes[:1])


def test_creating_over_an_index_or_a_full_directory_is_refused(path, tmp_path):
    before = snapshot(path)
    with pytest.raises(FileExistsError, match="is an index already"):
        hashnet.Index.create(path, n_bits=64)
    assert snapshot(path) == before
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "diary.txt").write_text("dear")
    with pytest.raises(FileExistsError, match=r"not empty \(diary.txt\)"):
        hashnet.Index.create(tmp_path / "full", n_bits=64)


def test_what_is_missing_or_no_index_is_said_and_left_alone(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        hashnet.open_index(tmp_path / "nothing.hnx")
    for mode in ("r", "w"):
        with pytest.raises(FileNotFoundError, match="no CURRENT"):
            hashnet.open_index(tmp_path, mode=mode)
    assert list(tmp_path.iterdir()) == []


def test_codes_of_another_fingerprint_are_refused(tmp_path, codes):
    with hashnet.Index.create(tmp_path / "i", n_bits=64, fingerprint="sha256:a") as index:
        index.add(codes, fingerprint="sha256:a")
        with pytest.raises(FingerprintError, match="sha256:b"):
            index.add(codes, fingerprint="sha256:b")
        with pytest.raises(FingerprintError, match="queries carry"):
            index.search(codes[:1], 1, fingerprint="sha256:b")
        with pytest.raises(FingerprintError):
            index.search_radius(codes[:1], 1, fingerprint="sha256:b")
        with pytest.raises(FingerprintError):
            index.count_radius(codes[:1], 1, fingerprint="sha256:b")
        assert len(index) == len(codes)


def test_an_empty_index_without_fingerprint_takes_that_of_its_first_codes(tmp_path, codes):
    with hashnet.Index.create(tmp_path / "i", n_bits=64) as index:
        index.add(codes, fingerprint="sha256:a")
    assert hashnet.open_index(tmp_path / "i").fingerprint == "sha256:a"


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (np.array([5, 6, 7]), "it holds 3 of them already, the first is 5"),
        (np.array([9000, 9001, 9000]), "distinct, got 9000 more than once"),
        (np.array([-1, 9000, 9001]), "must be >= 0, got -1"),
        (np.array([9000, 9001]), r"shape \(3,\)"),
    ],
)
def test_wrong_ids_change_nothing(path, codes, ids, message):
    before = snapshot(path)
    with hashnet.open_index(path, mode="w") as index:
        with pytest.raises(ValueError, match=message):
            index.add(codes[:3], ids=ids)
        assert len(index) == 3000
    assert snapshot(path) == before


def test_an_add_that_fails_at_any_step_changes_nothing(path, codes, monkeypatch):
    before = snapshot(path)
    with hashnet.open_index(path, mode="w") as index:
        for step in ("hashnet.index.building.write_atomically", "hashnet.index.store.write_atomically"):
            with monkeypatch.context() as patch:

                def full(*_: object) -> None:
                    raise OSError(28, "No space left on device")

                patch.setattr(step, full)
                with pytest.raises(OSError, match="No space left"):
                    index.add(codes[:10], keys=["k"] * 10)
            assert snapshot(path) == before
        index.add(codes[:10])
        assert len(index) == 3010
    assert len(hashnet.open_index(path)) == 3010


def test_a_disk_that_is_too_small_is_an_error_before_anything_is_written(path, codes):
    before = snapshot(path)
    script = (
        "import resource, signal, numpy as np, hashnet\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))\n"
        f"index = hashnet.open_index({str(path)!r}, mode='w')\n"
        "try:\n"
        "    index.add(np.zeros((9999, 8), dtype=np.uint8) + np.arange(9999, dtype='>u8').view(np.uint8)"
        ".reshape(-1, 8))\n"
        "except OSError as error:\n"
        "    print(type(error).__name__, error.errno)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["OSError", "27"]  # EFBIG: the file-size limit stands for the disk
    assert snapshot(path) == before


def test_leftovers_of_a_killed_writer_are_ignored_and_then_removed(path):
    (path / "segments" / "000002.seg").write_bytes(b"half a segment")
    (path / "manifest-000009.json").write_text("{")
    (path / ".CURRENT.tmp").write_text("manifest-0")
    assert len(hashnet.open_index(path)) == 3000
    hashnet.open_index(path, mode="w").close()
    names = {file.name for file in path.rglob("*")}
    assert not names & {"000002.seg", "manifest-000009.json", ".CURRENT.tmp"}


def damage(file, at, length=1):
    data = bytearray(file.read_bytes())
    for i in range(at, at + length):
        data[i] ^= 0x40
    file.write_bytes(data)


@pytest.mark.parametrize("where", [0, 9, 13, 40, 70, 200, 5000, -3000])
def test_a_flipped_bit_in_a_segment_is_found_on_opening(path, where):
    file = path / "segments" / "000000.seg"
    damage(file, where if where >= 0 else file.stat().st_size + where)
    with pytest.raises(DamagedError, match=r"000000\.seg is damaged"):
        hashnet.open_index(path)


def test_damage_that_opening_was_told_not_to_look_for_is_found_by_check(path):
    damage(path / "segments" / "000000.seg", 5000)
    index = hashnet.open_index(path, verify=False)
    with pytest.raises(DamagedError, match="checksum of section"):
        index.check()


@pytest.fixture
def damaged_and_large(path, monkeypatch):
    """An index with a wrong byte, in a world where 10 kB are a lot."""
    monkeypatch.setattr("hashnet.index.opening.VERIFY_UP_TO", 10_000)
    damage(path / "segments" / "000000.seg", 5000)
    return path


def test_a_large_index_is_opened_without_reading_it_all(damaged_and_large):
    with hashnet.open_index(damaged_and_large) as index, pytest.raises(DamagedError, match="checksum"):
        index.check()


@pytest.mark.parametrize("how", [{"preload": True}, {"verify": True}])
def test_what_is_read_anyway_is_checked(damaged_and_large, how):
    with pytest.raises(DamagedError, match=r"000000\.seg is damaged"):
        hashnet.open_index(damaged_and_large, **how)


def test_a_large_file_that_is_cut_off_is_found_all_the_same(damaged_and_large):
    file = damaged_and_large / "segments" / "000001.seg"
    file.write_bytes(file.read_bytes()[:-64])
    with pytest.raises(DamagedError, match=r"000001\.seg"):
        hashnet.open_index(damaged_and_large)


@pytest.mark.parametrize("n_bits", [64, 256])
def test_searching_altered_bytes_unverified_never_reads_outside_the_file(tmp_path, n_bits):
    rng = np.random.default_rng(0)
    codes = np.concatenate([make_codes(kind, 10_000, n_bits, rng) for kind in ("repeated", "clustered")])
    with hashnet.Index.create(tmp_path / "i", n_bits=n_bits) as index:
        index.add(codes)
    file = tmp_path / "i" / "segments" / "000000.seg"
    whole = file.read_bytes()
    for seed in range(20):
        noise = np.frombuffer(whole, dtype=np.uint8).copy()
        start = 2048 + int(rng.integers(0, len(whole) - 6000))
        noise[start : start + 4000] = np.random.default_rng(seed).integers(0, 256, 4000)
        file.write_bytes(noise)
        index = hashnet.open_index(tmp_path / "i", verify=False)
        index.search(codes[:20], 10)
        index.search_radius(codes[:20], 6)
        index.search_radius(codes[:2], n_bits // 2)
        index.export()


@pytest.mark.parametrize("size", [0, 10, 64, 300, 5000])
def test_a_truncated_segment_is_named(path, size):
    file = path / "segments" / "000001.seg"
    file.write_bytes(file.read_bytes()[:size])
    with pytest.raises(DamagedError, match=r"000001\.seg"):
        hashnet.open_index(path, verify=False)


def test_a_missing_segment_is_named(path):
    (path / "segments" / "000001.seg").unlink()
    with pytest.raises(DamagedError, match="missing"):
        hashnet.open_index(path)


def test_segments_that_changed_places_are_noticed(path):
    one, two = path / "segments" / "000000.seg", path / "segments" / "000001.seg"
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)
    with pytest.raises(DamagedError, match="not the one that the manifest lists"):
        hashnet.open_index(path)


def test_damaged_keys_are_named(path):
    damage(path / "segments" / "000000.keys.parquet", 50)
    index = hashnet.open_index(path)
    with pytest.raises(DamagedError, match=r"keys\.parquet"):
        index.keys_of(np.array([1]))
    with pytest.raises(DamagedError, match=r"keys\.parquet"):
        index.check()


def test_a_damaged_manifest_is_named(path):
    (manifest,) = (file for file in path.glob("manifest-*") if file.name in (path / "CURRENT").read_text())
    whole = manifest.read_bytes()
    altered = json.loads(whole)
    altered["n_bits"] = 128
    for data in (b"", b"[]", b"{}", whole[:-20], json.dumps(altered).encode(), b"[" * 100_000):
        manifest.write_bytes(data)
        with pytest.raises(DamagedError, match="manifest-"):
            hashnet.open_index(path)


@pytest.mark.parametrize("text", ["", "../../etc/passwd", "manifest-999999.json\n", "\xff"])
def test_a_damaged_current_is_named(path, text):
    (path / "CURRENT").write_text(text, encoding="latin-1")
    with pytest.raises(DamagedError, match="CURRENT"):
        hashnet.open_index(path)


def test_a_file_name_that_leads_out_of_the_index_is_refused(path):
    from hashnet.index.manifest import FileEntry

    with pytest.raises(ValueError, match="not one of an index"):
        FileEntry("../../secret.seg", 1, 1)


def test_a_file_with_correct_checksums_that_contradicts_itself_is_refused(path):
    """What an attacker would write: a directory that is not in order, with every checksum made to fit."""
    file = path / "segments" / "000001.seg"
    data = bytearray(file.read_bytes())
    header = struct.Struct("<8sIIQQQIII12s")
    fields = list(header.unpack_from(data))
    n_tables, n_sections = fields[6], fields[7]
    sections_at = 64 + 48 * n_tables
    for i in range(n_sections):
        at = sections_at + 32 * i
        kind, _, offset, size = struct.unpack_from("<IIQQ", data, at)
        if kind == 5:  # a directory
            data[offset + 8 : offset + 12] = b"\xff\xff\xff\x7f"
            struct.pack_into("<I", data, at + 24, _core.crc32c(bytes(data[offset : offset + size])))
            break
    fields[8] = 0
    header.pack_into(data, 0, *fields)
    fields[8] = _core.crc32c(bytes(data[: sections_at + 32 * n_sections]))
    header.pack_into(data, 0, *fields)
    file.write_bytes(data)
    with pytest.raises(_core.DamagedSegmentError, match="directory entries contradict each other"):
        _core.Segment.open(str(file), False, True)
