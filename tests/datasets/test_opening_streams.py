"""What a user's data is: a stream, or an image set as before."""

import pytest
from streams import png, write_parquet, write_tar

from hashnet.datasets import ImageSet
from hashnet.datasets.entries import ImageStream
from hashnet.datasets.opening_streams import absolute_data, open_source


def test_a_folder_is_a_stream_and_on_request_an_image_set(tmp_path):
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "a.png").write_bytes(png(1))
    for data in (tmp_path, str(tmp_path), f"file://{tmp_path}"):
        stream, images = open_source(data), open_source(data, in_memory=True)
        assert isinstance(stream, ImageStream)
        assert isinstance(images, ImageSet)
        assert (stream.name, stream.source) == (images.name, images.source)
    assert isinstance(open_source("digits"), ImageSet)


def test_a_folder_of_images_stays_one_beside_a_parquet_file(tmp_path):
    (tmp_path / "a.png").write_bytes(png(1))
    write_parquet(tmp_path / "labels.parquet", [png(1)])
    assert [entry.key for entry in open_source(tmp_path).part(0, 1).entries()] == ["a.png"]
    assert len(open_source(tmp_path)) == 1


def test_a_folder_in_memory_that_holds_tar_files_is_a_stream_all_the_same(tmp_path):
    write_tar(tmp_path / "x.tar", [("a.png", png(1))])
    assert isinstance(open_source(tmp_path, in_memory=True), ImageStream)


def test_folders_of_streams_are_streams_also_by_address(tmp_path):
    write_tar(tmp_path / "deep.tar", [("a.png", png(1))])
    for data in (tmp_path, tmp_path / "deep.tar", f"file://{tmp_path}", f"file://{tmp_path}/deep.tar"):
        stream = open_source(data)
        assert isinstance(stream, ImageStream)
        assert len(stream) == 1
        assert stream.source == str(data)


def test_a_relative_path_is_read_from_any_folder(tmp_path, monkeypatch):
    write_tar(tmp_path / "x.tar", [("a.png", png(1))])
    monkeypatch.chdir(tmp_path)
    stream = open_source("x.tar")
    monkeypatch.chdir("/")
    assert [entry.key for entry in stream.part(0, 1).entries()] == ["x.tar/a.png"]
    assert stream.source == "x.tar"


def test_two_kinds_in_one_folder_are_refused(tmp_path):
    write_tar(tmp_path / "x.tar", [])
    write_parquet(tmp_path / "x.parquet", [])
    with pytest.raises(ValueError, match="both Parquet and tar"):
        open_source(tmp_path)


def test_what_is_not_there_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nope\.parquet does not exist"):
        open_source(tmp_path / "nope.parquet")


def test_web_addresses_are_refused_with_a_way_out():
    with pytest.raises(ValueError, match="download the files first"):
        open_source("https://example.org/a.tar")


def test_absolute_data_is_the_same_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert absolute_data("digits") == "digits"
    assert absolute_data("photos") == str(tmp_path / "photos")
    assert absolute_data("file:///photos") == "/photos"
