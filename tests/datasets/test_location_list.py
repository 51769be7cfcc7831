"""Lists of addresses: what they name is fetched when it is encoded, and only a bad row is a bad row."""

import os

import numpy as np
import pyarrow.fs as pafs
import pytest
from streams import number, png, random_cuts, rows_of

from hashnet.datasets import fetching, location_list, open_source, storage
from hashnet.errors import SourceChangedError, UnreadableImageError


@pytest.fixture
def listed(tmp_path):
    """600 lines, some empty, that name images by address and by path."""
    (tmp_path / "in").mkdir()
    lines = []
    for i in range(600):
        (tmp_path / "in" / f"{i}.png").write_bytes(png(i))
        lines += [f"file://{tmp_path}/in/{i}.png" if i % 3 == 0 else f"in/{i}.png"]
        lines += [""] * (i % 4 == 0)
    (tmp_path / "all.txt").write_text("\ufeff" + "\r\n".join(lines))
    return tmp_path / "all.txt"


def test_lines_are_rows_and_keys(listed):
    rows = rows_of(open_source(listed), [])
    assert [(entry.row, number(entry)) for entry in rows] == [(i, i) for i in range(600)]
    assert rows[3].key == f"file://{listed.parent}/in/3.png"
    assert rows[4].key == "in/4.png"


@pytest.mark.parametrize("seed", range(4))
def test_parts_make_up_the_whole_wherever_it_is_cut(listed, seed):
    rows = rows_of(open_source(listed), random_cuts(600, seed))
    assert [(entry.row, number(entry)) for entry in rows] == [(i, i) for i in range(600)]


def test_lines_longer_than_what_is_read_at_once_are_whole(listed, monkeypatch):
    monkeypatch.setattr(location_list, "_PIECE_BYTES", 7)
    assert [number(entry) for entry in rows_of(open_source(listed), [256])] == list(range(600))


def test_paths_begin_in_the_root_that_was_given(listed, tmp_path):
    (tmp_path / "x.urls").write_text("5.png\n")
    stream = open_source(tmp_path / "x.urls", image_root=tmp_path / "in")
    assert number(rows_of(stream, [])[0]) == 5


def test_a_list_of_plain_paths_stays_an_image_set(tmp_path):
    (tmp_path / "a.txt").write_text("x.png 1\n")
    assert open_source(tmp_path / "a.txt").labels is not None


def test_missing_files_and_folders_are_bad_rows(tmp_path):
    (tmp_path / "a.urls").write_text(f"nope.png\nfile://{tmp_path}\n")
    for entry, reason in zip(
        rows_of(open_source(tmp_path / "a.urls"), []), ("file is missing", "not a regular"), strict=True
    ):
        with pytest.raises(UnreadableImageError, match=reason):
            entry.load()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("https://example.org/a.png", r"image 2: https://.* is not read; download the files first"),
        ("ftp://example.org/a.png", "is not read"),
        ("s4://bucket/a.png", "known are file, s3, gs"),
        ("s3://key:secret@bucket/a.png", "must not carry credentials"),
        ("s3:///a.png", "names no bucket"),
        ("file://other/a.png", "names no file of this machine"),
        ("a\0b", "holds a NUL"),
        ("x" * 20_000, "longer than 16384 bytes"),
    ],
    ids=lambda value: value[:30],
)
def test_a_line_that_cannot_be_read_is_told_at_once(tmp_path, line, message):
    (tmp_path / "a.urls").write_text(f"a.png\n{line}\n")
    with pytest.raises(ValueError, match=message) as caught:
        open_source(tmp_path / "a.urls")
    assert "secret" not in str(caught.value)


def test_text_that_is_not_utf8_is_refused(tmp_path):
    (tmp_path / "a.urls").write_bytes(b"a\xff.png\n")
    with pytest.raises(ValueError, match="not UTF-8"):
        open_source(tmp_path / "a.urls")


def test_an_empty_list_has_no_rows(tmp_path):
    (tmp_path / "a.urls").write_text("\n\n")
    stream = open_source(tmp_path / "a.urls")
    assert (len(stream), rows_of(stream, [])) == (0, [])


def test_a_list_that_changed_is_another_version_and_is_not_read(listed):
    stream = open_source(listed)
    os.utime(listed, ns=(0, 0))
    assert open_source(listed).version() != stream.version()
    with pytest.raises(SourceChangedError, match="changed since"):
        rows_of(stream, [])


class Flaky(pafs.FileSystemHandler):
    """Object storage of a few images, some of whose requests fail at first."""

    def __init__(self, failures):
        self.failures = failures
        self.asked = []

    def open_input_file(self, path):
        import pyarrow as pa

        self.asked.append(path)
        if self.failures.get(path, 0):
            self.failures[path] -= 1
            raise OSError("the server is busy")
        if "missing" in path:
            raise FileNotFoundError(path)
        return pa.BufferReader(png(int(path.rpartition("/")[2].removesuffix(".png"))))


for method in pafs.FileSystemHandler.__abstractmethods__ - {"open_input_file"}:
    setattr(Flaky, method, lambda self, *arguments: "flaky")
Flaky.__abstractmethods__ = frozenset()


@pytest.fixture
def bucket(tmp_path, monkeypatch):
    """A list of images in a bucket, and the storage behind it."""
    handler = Flaky({})
    real = storage._system
    system = pafs.PyFileSystem(handler)
    monkeypatch.setattr(storage, "_system", lambda root: system if root else real(root))
    monkeypatch.setattr(storage.time, "sleep", lambda _: None)
    lines = [f"s3://bucket/{'missing' if i == 20 else i}.png" for i in range(40)]
    (tmp_path / "a.txt").write_text("\n".join(lines))
    return open_source(tmp_path / "a.txt"), handler


def test_objects_are_fetched_in_order_and_missing_ones_are_bad_rows(bucket):
    stream, _ = bucket
    rows = rows_of(stream, [17])
    assert [entry.row for entry in rows] == list(range(40))
    assert [number(entry) for entry in rows if entry.row != 20] == [i for i in range(40) if i != 20]
    with pytest.raises(UnreadableImageError, match="file is missing"):
        rows[20].load()


def test_a_request_that_fails_is_made_again(bucket):
    stream, handler = bucket
    handler.failures["bucket/3.png"] = storage.ATTEMPTS - 1
    assert number(rows_of(stream, [])[3]) == 3


def test_storage_that_stays_away_ends_the_unit_and_rejects_nothing(bucket):
    stream, handler = bucket
    handler.failures["bucket/3.png"] = storage.ATTEMPTS
    with pytest.raises(OSError, match="the server is busy"):
        rows_of(stream, [])


def test_only_a_few_objects_are_fetched_ahead(bucket):
    stream, handler = bucket
    rows = stream.part(0, 40).entries()
    next(rows)
    assert len(handler.asked) <= fetching.REQUESTS_AT_ONCE + 1
    rows.close()


def test_the_same_attempts_for_every_seed_give_the_same_rows(bucket):
    stream, handler = bucket
    rng = np.random.default_rng(0)
    handler.failures = {f"bucket/{i}.png": 1 for i in rng.integers(0, 40, 10)}
    first = [(entry.row, entry.key) for entry in rows_of(stream, [])]
    assert first == [(entry.row, entry.key) for entry in rows_of(stream, [11, 30])]
