"""Which files below a folder are its images, whatever else lies there."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashnet.datasets import walking
from hashnet.datasets.storage import Storage
from hashnet.datasets.walking import FoundFile, image_files, image_paths
from hashnet.errors import HashnetError, SourceChangedError


def put(folder, *paths):
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(b"x")


def test_images_are_found_at_any_depth_and_nothing_else_is(tmp_path):
    put(tmp_path, "a.png", "x/b.JPG", "x/y/z/c.jpeg", "notes.txt", "x/a.png.txt", ".hidden.png", ".git/d.png")
    assert sorted(image_paths(tmp_path)) == ["a.png", "x/b.JPG", "x/y/z/c.jpeg"]


def test_links_to_folders_are_not_followed_and_links_to_files_are_files(tmp_path):
    put(tmp_path, "x/a.png")
    (tmp_path / "x/loop").symlink_to(tmp_path)
    (tmp_path / "folder.png").symlink_to(tmp_path / "x")
    (tmp_path / "b.png").symlink_to(tmp_path / "x/a.png")
    (tmp_path / "dead.png").symlink_to(tmp_path / "nowhere")
    (tmp_path / "circle.png").symlink_to(tmp_path / "circle.png")
    found = {one.name: one.size for one in image_files(Storage(""), str(tmp_path))}
    assert found == {"x/a.png": 1, "b.png": 1, "dead.png": -1, "circle.png": -1}


def test_a_folder_named_like_an_image_is_a_folder_and_a_pipe_is_a_file(tmp_path):
    put(tmp_path, "x.png/a.png")
    os.mkfifo(tmp_path / "pipe.png")
    assert sorted(image_paths(tmp_path)) == ["pipe.png", "x.png/a.png"]


def test_names_may_hold_newlines_and_bytes_that_are_no_text(tmp_path):
    (tmp_path / "a\nb.png").write_bytes(b"x")
    (tmp_path / "\udcff.png").write_bytes(b"x")
    found = sorted(image_files(Storage(""), str(tmp_path)))
    assert [one.path for one in found] == [b"a\nb.png", b"\xff.png"]
    assert [one.key for one in found] == ["a\nb.png", "\\xff.png"]


def refuse(monkeypatch, name, error):
    """Have the folder ``name`` refuse to be listed; root may list any, so modes do not help."""
    real = os.scandir

    def scandir(path):
        if str(path).rstrip("/").endswith(name):
            raise error
        return real(path)

    monkeypatch.setattr(walking.os, "scandir", scandir)


def test_a_folder_that_cannot_be_listed_is_told_instead_of_being_left_out(tmp_path, monkeypatch):
    put(tmp_path, "a.png", "closed/b.png")
    refuse(monkeypatch, "closed", PermissionError(13, "Permission denied"))
    with pytest.raises(
        HashnetError, match=r"/closed cannot be listed \(Permission denied\).*make it readable"
    ):
        list(image_paths(tmp_path))


def test_a_folder_that_vanishes_is_told(tmp_path, monkeypatch):
    put(tmp_path, "a.png", "gone/b.png")
    refuse(monkeypatch, "gone", FileNotFoundError(2, "No such file"))
    with pytest.raises(SourceChangedError, match="/gone vanished while"):
        list(image_paths(tmp_path))


def test_a_failure_of_the_machine_is_no_missing_file(tmp_path, monkeypatch):
    put(tmp_path, "a.png")

    def stat(path):
        raise OSError(5, "Input/output error")

    found = image_files(Storage(""), str(tmp_path))
    monkeypatch.setattr(walking.os, "stat", stat)
    with pytest.raises(OSError, match="Input/output"):
        next(found)


def test_more_folders_than_fit_in_memory_wait_on_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(walking, "_WAITING_BYTES", 100)
    monkeypatch.setattr(walking, "_BLOCK_BYTES", 32)
    paths = [f"{i}/{i + j}/x.png" for i in range(20) for j in range(5)]
    put(tmp_path, *paths)
    assert sorted(image_paths(tmp_path)) == sorted(paths)


@given(st.lists(st.text(min_size=1, max_size=9).map(lambda text: text.replace("\0", "?")), max_size=60))
def test_what_waits_comes_back_in_order(names):
    waiting = walking._Waiting()
    names = [name.encode("utf-8", "replace").decode() for name in names]
    half = len(names) // 2
    for name in names[:half]:
        waiting.put(name)
    first = [waiting.get() for _ in range(half // 2)]
    for name in names[half:]:
        waiting.put(name)
    assert first + list(iter(waiting.get, None)) == names
    waiting.close()


def test_the_order_is_that_of_bytes():
    paths = [b"\xff.png", "\U0001f600.png".encode(), "\ufb01.png".encode(), b"Z/a.png", b"Z.png", b"Z-a.png"]
    in_order = sorted(FoundFile(path, 0, 0) for path in paths)
    assert [one.path for one in in_order] == [paths[i] for i in (5, 4, 3, 2, 1, 0)]
