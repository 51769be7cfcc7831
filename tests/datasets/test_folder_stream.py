"""Folders as streams: the rows, keys and version of the image set of the same folder."""

import os
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from streams import number, png, random_cuts, rows_of

from hashnet.datasets import open_images, open_source
from hashnet.datasets.folder_stream import FolderStream
from hashnet.errors import SourceChangedError, UnreadableImageError


@pytest.fixture
def folder(tmp_path):
    """300 images in sub-folders whose names make the order of paths another than that of folders."""
    for i in range(300):
        place = tmp_path / ("a", "a-b", "a/b", ".", "é")[i % 5]
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{i:03d}.png").write_bytes(png(i))
    return tmp_path


def test_rows_and_keys_are_those_of_the_image_set(folder):
    stream, images = open_source(folder), open_images(folder)
    assert isinstance(stream, FolderStream)
    rows = rows_of(stream, [])
    assert [(entry.row, entry.key) for entry in rows] == [(i, images.key(i)) for i in range(300)]
    assert [number(entry) for entry in rows] == [int(entry.key[-7:-4]) for entry in rows]
    assert stream.version() == images.version()


@pytest.mark.parametrize("seed", range(3))
def test_parts_make_up_the_whole_wherever_it_is_cut(folder, seed):
    stream = open_source(folder)
    whole = [(entry.row, entry.key) for entry in rows_of(stream, [])]
    assert [(entry.row, entry.key) for entry in rows_of(stream, random_cuts(300, seed))] == whole


@pytest.mark.parametrize(("start", "stop"), [(-1, 2), (3, 2), (0, 301)])
def test_rows_that_are_not_there_are_refused(folder, start, stop):
    with pytest.raises(ValueError, match="outside the 300 there are"):
        open_source(folder).part(start, stop)


names = st.text(
    st.characters(min_codepoint=1, max_codepoint=0x2FFFF, exclude_categories=["Cs"], exclude_characters="/."),
    min_size=1,
    max_size=6,
)


@settings(max_examples=25, deadline=None)
@given(paths=st.sets(st.lists(names, min_size=1, max_size=3).map(tuple), min_size=1, max_size=12))
def test_any_names_have_the_rows_of_the_image_set(tmp_path_factory, paths):
    folder = tmp_path_factory.mktemp("any")
    for path in paths:
        # Folders carry a mark so that none has the name of a file.
        place = folder.joinpath(*(f"{name}_" for name in path[:-1]))
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{path[-1]}.png").touch()
    stream, images = open_source(folder), open_images(folder)
    keys = [entry.key for entry in rows_of(stream, [])]
    assert keys == [images.key(i) for i in range(len(images))]
    assert keys == sorted(keys, key=str.encode)
    assert stream.version() == images.version()


def test_names_that_are_no_utf8_are_read_and_have_a_printable_key(tmp_path):
    for name in ("\udcff.png", "a\nb.png", "\ue000.png"):
        (tmp_path / name).write_bytes(png(7))
    rows = rows_of(open_source(tmp_path), [])
    assert [entry.key for entry in rows] == ["a\nb.png", "\ue000.png", "\\xff.png"]
    assert [number(entry) for entry in rows] == [7, 7, 7]


def test_what_cannot_be_read_is_a_bad_row(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    (tmp_path / "b.png").symlink_to("nowhere")
    os.mkfifo(tmp_path / "c.png")
    reasons = ("not an image in a known format", "file is missing", "not a regular file")
    for entry, reason in zip(rows_of(open_source(tmp_path), []), reasons, strict=True):
        with pytest.raises(UnreadableImageError, match=reason):
            entry.load()


@pytest.mark.parametrize("change", ["content", "time", "removed", "appears"])
def test_a_file_that_changed_since_it_was_listed_ends_the_job(tmp_path, change):
    path = tmp_path / "a.png"
    if change == "appears":
        path.symlink_to(tmp_path / "later")
    else:
        path.write_bytes(png(1))
    (entry,) = rows_of(open_source(tmp_path), [])
    if change == "content":
        path.write_bytes(png(1) + b"x")
    elif change == "time":
        os.utime(path, ns=(0, 0))
    elif change == "removed":
        path.unlink()
    else:
        (tmp_path / "later").write_bytes(png(1))
    with pytest.raises(SourceChangedError, match=r"a\.png changed since"):
        entry.load()


def test_a_relative_folder_is_read_from_any_folder(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    stream = open_source(folder.name)
    monkeypatch.chdir("/")
    assert number(next(iter(stream.part(0, 1).entries()))) == 3


def test_a_listing_tells_what_changed_since(folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "list"
    stream = open_source(folder)
    stream.save_listing(path)
    (folder / "new.png").write_bytes(png(1))
    (folder / "003.png").unlink()
    later = open_source(folder)
    assert later.changes_since(path, stream.version()) == (
        "1 added, 1 removed, 0 changed: 003.png (removed), new.png (added)"
    )
    assert later.changes_since(path, later.version()) is None
    assert later.changes_since(path.with_name("nowhere"), stream.version()) is None


LISTS = """
import re, sys
from hashnet.datasets import open_source
import hashnet.datasets.folder_stream
def peak():
    # What getrusage tells begins with the memory of the parent.
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1])
begin = peak()
source = open_source(sys.argv[1], in_memory=sys.argv[2] == "set")
version = source.version()
if sys.argv[2] == "stream":
    assert sum(len(source.part(row, row + 1000).files) for row in range(0, 300_000, 1000)) == 300_000
print(peak() - begin, version)
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("flat", [True, False])
def test_300000_files_are_listed_in_24_mib(tmp_path, flat):
    for i in range(300_000):
        place = tmp_path if flat else tmp_path / f"class-{i // 1000:04d}"
        if not flat and i % 1000 == 0:
            place.mkdir()
        os.mknod(place / f"image-of-something-{i:09d}.jpg")
    kib, versions = {}, set()
    for how in ("stream", "set"):
        command = [sys.executable, "-c", LISTS, tmp_path, how]
        told = subprocess.run(command, capture_output=True, check=True).stdout.split()
        kib[how] = int(told[0])
        versions.add(told[1])
    print(f"KiB for 300,000 files: {kib}")
    assert kib["stream"] < 24 * 1024 < kib["set"]
    assert len(versions) == 1
