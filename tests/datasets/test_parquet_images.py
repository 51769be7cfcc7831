"""Parquet with image bytes: columns found or named, damage and bombs told."""

import os
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from streams import number, png, random_cuts, rows_of, write_parquet

from hashnet.datasets import open_source, parquet_images
from hashnet.errors import DamagedError, SourceChangedError, UnreadableImageError


@pytest.fixture
def lake(tmp_path):
    """95 images in two files of several row groups, with other columns."""
    for name, some in (("part-0.parquet", range(45)), ("part-1.parquet", range(45, 95))):
        write_parquet(tmp_path / name, [png(i) for i in some], id=[f"k{i}" for i in some], label=list(some))
    (tmp_path / "_SUCCESS").touch()
    (tmp_path / "_metadata.parquet").write_bytes(b"hidden")
    return tmp_path


def test_rows_come_in_the_order_of_files_and_rows_with_their_keys(lake):
    stream = open_source(lake)
    rows = rows_of(stream, [])
    assert len(stream) == 95
    assert [(e.row, e.key, number(e)) for e in rows] == [(i, f"k{i}", i) for i in range(95)]


@pytest.mark.parametrize("seed", range(5))
def test_parts_make_up_the_whole_wherever_it_is_cut(lake, seed):
    rows = rows_of(open_source(lake), random_cuts(95, seed))
    assert [(entry.row, number(entry)) for entry in rows] == [(i, i) for i in range(95)]


def test_a_part_that_follows_another_reads_on_and_one_elsewhere_begins_anew(tmp_path, monkeypatch):
    write_parquet(tmp_path / "a.parquet", [png(i) for i in range(100)], group=100)
    opened = []
    real = parquet_images._open
    monkeypatch.setattr(parquet_images, "_open", lambda file: opened.append(file) or real(file))
    stream = open_source(tmp_path / "a.parquet")
    opened.clear()
    for start in (0, 20, 40, 90, 60, 10):
        rows = list(stream.part(start, start + 10 * (1 + (start < 60))).entries())
        assert [number(entry) for entry in rows] == [entry.row for entry in rows]
    # 0, 20, 40 and 60 are one reading, 90 and 10 are others.
    assert len(opened) == 3


def test_without_a_key_rows_are_named_by_file_and_number(tmp_path):
    for name in ("a.parquet", "b.parquet"):
        write_parquet(tmp_path / name, [png(i) for i in range(15)])
    keys = [entry.key for entry in rows_of(open_source(tmp_path), [])]
    assert keys == [f"{name}#{i}" for name in ("a.parquet", "b.parquet") for i in range(15)]


def test_structs_of_bytes_and_path_are_read_as_hugging_face_writes_them(tmp_path):
    images = pa.array([{"bytes": png(1), "path": "x/1.png"}, None, {"bytes": None, "path": "x/3.png"}])
    pq.write_table(pa.table({"image": images, "label": [0, 1, 2]}), tmp_path / "a.parquet")
    rows = rows_of(open_source(tmp_path / "a.parquet"), [])
    assert [entry.key for entry in rows] == ["x/1.png", "a.parquet#1", "x/3.png"]
    assert number(rows[0]) == 1
    for entry in rows[1:]:
        with pytest.raises(UnreadableImageError, match="no image bytes"):
            entry.load()


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.int32(), pa.uint64()])
def test_keys_may_be_text_or_whole_numbers_and_missing(tmp_path, kind):
    keys = pa.array([7, None, 7]).cast(kind)
    write_parquet(tmp_path / "a.parquet", [png(i) for i in range(3)], number=keys)
    stream = open_source(tmp_path / "a.parquet", key_column="number")
    assert [entry.key for entry in rows_of(stream, [])] == ["7", "a.parquet#1", "7"]


def test_columns_are_named_where_there_is_doubt(tmp_path):
    write_parquet(tmp_path / "a.parquet", [png(1)], thumbnail=[png(2)], key=["k"])
    with pytest.raises(ValueError, match=r"2 columns that may hold image bytes \(image, thumbnail\)"):
        open_source(tmp_path / "a.parquet")
    stream = open_source(tmp_path / "a.parquet", image_column="thumbnail")
    assert number(rows_of(stream, [])[0]) == 2


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"image_column": "nope"}, "no column 'nope' of image bytes"),
        ({"image_column": "label"}, "no column 'label' of image bytes"),
        ({"key_column": "nope"}, "no column 'nope' of keys"),
        ({"key_column": "image"}, "no column 'image' of keys"),
    ],
)
def test_columns_that_do_not_fit_are_refused_with_those_there_are(lake, columns, message):
    with pytest.raises(ValueError, match=rf"{message}.*label \(int64\)"):
        open_source(lake, **columns)


def test_files_with_different_columns_are_refused(lake):
    write_parquet(lake / "part-2.parquet", [png(1)])
    with pytest.raises(ValueError, match="name the columns"):
        open_source(lake)


def test_columns_for_data_without_them_are_refused(tmp_path):
    with pytest.raises(ValueError, match="holds none; leave them out"):
        open_source("digits", image_column="image")


@pytest.mark.parametrize("cut", [0, 3, 100, -10])
def test_a_truncated_file_is_damaged(lake, cut):
    whole = (lake / "part-1.parquet").read_bytes()
    (lake / "part-1.parquet").write_bytes(whole[:cut])
    with pytest.raises(DamagedError, match=r"part-1\.parquet is damaged: not a readable Parquet file"):
        open_source(lake)


@pytest.mark.parametrize("damage", ["header", "data"])
def test_damaged_pages_are_damage_of_the_file(tmp_path, damage):
    path = tmp_path / "a.parquet"
    images = pa.table({"image": [png(i) for i in range(40)]})
    pq.write_table(images, path, row_group_size=10, use_dictionary=False, write_page_checksum=True)
    stream = open_source(path)
    whole = bytearray(path.read_bytes())
    start = pq.ParquetFile(path).metadata.row_group(1).column(0).data_page_offset
    start += 0 if damage == "header" else 100
    whole[start : start + 20] = bytes(20)
    times = path.stat()
    path.write_bytes(bytes(whole))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(DamagedError, match=r"a\.parquet is damaged: row group"):
        rows_of(stream, [])


def test_a_column_that_inflates_without_bound_is_a_bomb(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_images, "BOMB_BYTES", 10**5)
    pq.write_table(
        pa.table({"image": [bytes(10**7)]}), tmp_path / "a.parquet", compression="zstd", use_dictionary=False
    )
    with pytest.raises(DamagedError, match=r"inflates \d+ bytes to 100\d+: images do not, it is a bomb"):
        open_source(tmp_path / "a.parquet")


def test_an_image_file_beyond_the_limit_is_a_bad_row(tmp_path, monkeypatch):
    from hashnet.datasets import entries

    monkeypatch.setattr(entries, "MAX_IMAGE_BYTES", 1000)
    write_parquet(tmp_path / "a.parquet", [bytes(1001), png(1)])
    rows = rows_of(open_source(tmp_path / "a.parquet"), [])
    with pytest.raises(UnreadableImageError, match="1001 bytes are more than the limit of 1000"):
        rows[0].load()
    assert number(rows[1]) == 1


def test_empty_files_have_no_rows(tmp_path):
    write_parquet(tmp_path / "a.parquet", [])
    write_parquet(tmp_path / "b.parquet", [png(1)])
    stream = open_source(tmp_path)
    assert [entry.row for entry in rows_of(stream, [])] == [0]


def test_a_replaced_file_is_another_version_and_is_not_read(lake):
    stream = open_source(lake)
    os.utime(lake / "part-1.parquet", ns=(0, 0))
    assert open_source(lake).version() != stream.version()
    with pytest.raises(SourceChangedError, match=r"part-1\.parquet changed since"):
        rows_of(stream, [])


def test_another_column_is_another_version(tmp_path):
    write_parquet(tmp_path / "a.parquet", [png(1)], thumbnail=[png(2)])
    versions = {
        open_source(tmp_path, image_column=name).version() for name in ("image", "thumbnail", "image")
    }
    assert len(versions) == 2


SCRIPT = """
import sys
import numpy as np
from pathlib import Path
from hashnet.datasets import open_source
from hashnet.errors import DamagedError, UnreadableImageError

path, rng = Path(sys.argv[1]), np.random.default_rng(int(sys.argv[2]))
whole = path.read_bytes()
for _ in range(150):
    broken = bytearray(whole)
    for _ in range(int(rng.integers(1, 4))):
        broken[int(rng.integers(len(whole)))] ^= 1 << int(rng.integers(8))
    path.write_bytes(bytes(broken))
    try:
        stream = open_source(path, image_column="image")
        rows = [entry for a, b in ((0, 13), (13, len(stream))) for entry in stream.part(a, b).entries()]
    except (DamagedError, ValueError) as error:
        continue
    assert [entry.row for entry in rows] == list(range(len(stream))) and len(stream) == 30
"""


@pytest.mark.parametrize("seed", [0, 1])
def test_flipped_bits_are_damage_or_leave_every_row_and_never_end_the_process(tmp_path, seed):
    images, keys = [png(i) for i in range(30)], [f"k{i}" for i in range(30)]
    path = write_parquet(tmp_path / "a.parquet", images, key=keys)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(path), str(seed)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
