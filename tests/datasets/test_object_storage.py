"""Streams from servers that speak the protocols of S3 and of Google Cloud Storage."""

import time
import urllib.request

import pytest
from object_storage import GoogleServer, S3Server, credentials, fill
from streams import number, png, random_cuts, rows_of

from hashnet.datasets import open_images, open_source, storage
from hashnet.datasets.folder_stream import FolderStream
from hashnet.errors import SourceChangedError

N = 24
KINDS = ("folder", "tar", "parquet", "list")


def path_of(i):
    """Names with what addresses quote, in folders whose names sort otherwise than their paths."""
    return f"{('a', 'a-b', 'a/b c')[i % 3]}/{i:02d} é%20#?+.png"


@pytest.fixture(scope="module")
def s3():
    with credentials():
        server = S3Server()
        yield server
        server.close()


@pytest.fixture(scope="module")
def google():
    server = GoogleServer()
    yield server
    server.close()


@pytest.fixture(scope="module")
def images():
    return {path_of(i): png(i) for i in range(N)}


@pytest.fixture(scope="module")
def filled(s3, images):
    return fill(s3, images)


@pytest.fixture
def pauses(monkeypatch):
    """The pauses that were made before a request was made again; nobody waits for them."""
    made = []
    monkeypatch.setattr(storage.time, "sleep", made.append)
    return made


def number_of(path):
    return int(path.rpartition("/")[2][:2])


def check(stream, images, kind):
    """Every image is there once, in the order of paths, wherever the rows are cut."""
    paths = sorted(images, key=str.encode)
    for cuts in ([], random_cuts(N)):
        rows = rows_of(stream, cuts)
        assert [entry.row for entry in rows] == list(range(N))
        assert [images[path] for path in paths] == [png(number(entry)) for entry in rows]
        if kind == "folder":
            assert [entry.key for entry in rows] == paths


@pytest.mark.parametrize("kind", KINDS)
def test_s3_gives_every_image_once_and_in_order(filled, images, kind):
    check(open_source(filled[kind]), images, kind)


@pytest.mark.parametrize("kind", KINDS)
def test_google_cloud_storage_gives_every_image_once_and_in_order(google, images, kind):
    check(open_source(fill(google, images)[kind]), images, kind)


def test_a_folder_in_a_bucket_has_the_rows_of_its_copy_on_this_machine(filled, images, tmp_path):
    for path, data in images.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(data)
    here, there = open_images(tmp_path), open_source(filled["folder"])
    assert isinstance(there, FolderStream)
    assert [entry.key for entry in rows_of(there, [])] == [here.key(i) for i in range(N)]


def test_other_and_hidden_objects_are_no_rows(s3):
    for key in (
        "mixed/a.png",
        "mixed/.b.png",
        "mixed/.git/c.png",
        "mixed/notes.txt",
        "mixed/x.tar",
        "mixed/d/",
    ):
        s3.put(key, png(1))
    assert [entry.key for entry in rows_of(open_source(s3.address("mixed")), [])] == ["a.png"]


def test_the_endpoint_may_be_told_by_the_environment(s3, filled, images, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.endpoint)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    storage._system.cache_clear()
    stream = open_source("s3://photos/folder/")
    check(stream, images, "folder")
    assert stream.source == "s3://photos/folder/"
    storage._system.cache_clear()


def test_what_is_stored_does_not_tell_the_query_of_the_address(filled):
    assert open_source(filled["folder"]).source == "s3://photos/folder"


def test_the_version_is_that_of_the_objects(s3, filled):
    first = open_source(filled["folder"]).version()
    assert open_source(filled["folder"]).version() == first
    s3.put("folder/new.png", png(1))
    assert open_source(filled["folder"]).version() != first
    s3.delete("folder/new.png")
    assert open_source(filled["folder"]).version() == first


@pytest.mark.parametrize("change", ["size", "time", "removed"])
def test_an_object_that_changed_since_it_was_listed_ends_the_job(s3, change):
    s3.put("changing/a.png", png(1))
    stream = open_source(s3.address("changing"))
    if change == "removed":
        s3.delete("changing/a.png")
    else:
        # Times of objects are told to the second.
        time.sleep(1.1)
        s3.put("changing/a.png", png(1) + (b"x" if change == "size" else b""))
    with pytest.raises(SourceChangedError, match=r"s3://photos/changing/a\.png changed since"):
        rows_of(stream, [])


def test_a_listing_with_milliseconds_names_the_same_objects(s3, filled):
    with urllib.request.urlopen(f"{s3.endpoint}/photos?list-type=2&prefix=folder") as answer:
        assert b".789Z" in answer.read()
    assert len(rows_of(open_source(filled["folder"]), [])) == N


def test_names_with_empty_pieces_are_refused(s3):
    s3.put("twice/a//b.png", png(1))
    with pytest.raises(ValueError, match=r"photos/twice/a/ holds objects whose names have an empty piece"):
        open_source(s3.address("twice"))


def test_what_is_not_there_is_told(s3, pauses):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        open_source(s3.address("nowhere"))
    with pytest.raises(OSError, match="bucket does not exist"):
        open_source(s3.address("x").replace("photos", "photographs"))
    assert pauses == [0.5, 1.0, 2.0]
    s3.put("texts/a.md", b"x")
    with pytest.raises(ValueError, match=r"photos/texts holds no images, no \.parquet"):
        open_source(s3.address("texts"))


@pytest.mark.parametrize("kind", KINDS)
def test_requests_that_fail_at_first_are_made_again(s3, filled, images, kind):
    s3.failed.clear()
    s3.failures = {"GET .*": 2, "HEAD .*": 2}
    check(open_source(filled[kind]), images, kind)
    assert len(s3.failed) == 4 if kind != "folder" else len(s3.failed) >= 2


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["folder", "list"])
def test_requests_are_made_again_when_the_sdk_has_given_up(s3, filled, images, pauses, kind):
    stream = open_source(filled[kind])
    # It makes a request 31 times, for six seconds.
    s3.failures = {"GET .*/07 .*": 40}
    rows = rows_of(stream, [])
    assert [number(entry) for entry in rows] == [number_of(path) for path in sorted(images, key=str.encode)]
    assert s3.failures == {"GET .*/07 .*": 0}
    assert pauses == [0.5]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["folder", "list"])
def test_storage_that_stays_away_ends_the_job_and_rejects_nothing(s3, filled, pauses, kind):
    stream = open_source(filled[kind])
    s3.failures = {"GET .*/07 .*": 10**6}
    try:
        with pytest.raises(OSError, match=r"SERVICE_UNAVAILABLE|SLOW_DOWN"):
            rows_of(stream, [])
    finally:
        s3.failures = {}
    assert pauses == [0.5, 1.0, 2.0]


@pytest.mark.slow
def test_a_folder_of_more_objects_than_a_page_of_the_listing(s3):
    paths = [f"{i:04d}.png" for i in range(1100)]
    for path in paths:
        s3.put(f"many/{path}", png(int(path[:4])))
    stream = open_source(s3.address("many"))
    assert [entry.key for entry in stream.part(0, 1100).entries()] == paths
    assert [number(entry) for entry in stream.part(995, 1005).entries()] == list(range(995, 1005))
