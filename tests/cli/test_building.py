"""An index is built whole or not at all, and takes no image twice by mistake."""

import socket

import numpy as np
import pytest

from hashnet import Index, open_index
from hashnet.encoding import CodeStore, build_index
from hashnet.encoding.build_parts import absolute_source


class Stop(BaseException):
    """Something that nobody catches, like a key pressed."""


class StopsAfter:
    """Progress that interrupts the job when ``steps`` have been reported."""

    def __init__(self, steps):
        self.steps = steps

    def start(self, what, total):
        pass

    def advance(self, done=1, **figures):
        self.steps -= done
        if self.steps <= 0:
            raise Stop

    def finish(self):
        pass


def test_an_index_holds_codes_ids_and_keys_of_its_store(codes, index):
    store = CodeStore.open(codes)
    with open_index(index) as opened:
        got, ids = opened.export()
        order = np.argsort(ids)
        np.testing.assert_array_equal(ids[order], store.ids())
        np.testing.assert_array_equal(got[order], store.codes())
        assert opened.keys_of(store.ids()) == store.keys()
        assert opened.fingerprint == store.fingerprint
        assert opened.metadata == {"source": "digits"}


def test_as_many_segments_are_built_as_shards_are_wanted(codes, tmp_path, run):
    facts = run.json("build", codes, "--output", tmp_path / "a.hnx", "--shards", 3)
    with open_index(tmp_path / "a.hnx") as opened:
        assert opened.stats().segment_sizes == (66, 67, 67)
    assert facts["segments"] == 3


def test_an_interrupted_build_leaves_nothing(codes, tmp_path):
    with pytest.raises(Stop):
        build_index(CodeStore.open(codes), tmp_path / "a.hnx", segments=2, progress=StopsAfter(300))
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_build_left_is_no_hindrance(codes, tmp_path, run):
    leftover = tmp_path / ".a.hnx.building"
    leftover.mkdir()
    (leftover / "LOCK").touch()
    assert run("build", codes, "--output", tmp_path / "a.hnx").exit_code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["a.hnx"]


def test_segments_change_no_answer(codes, index, queries, tmp_path, run):
    assert run("build", codes, "--output", tmp_path / "one.hnx").exit_code == 0
    one = run.json("search", tmp_path / "one.hnx", "--queries", queries, "--k", 200)
    two = run.json("search", index, "--queries", queries, "--k", 200)
    assert one["answers"] == two["answers"]


@pytest.fixture
def more(tiny_model, tmp_path):
    """A store of other images whose row numbers are partly those of the first."""
    from hashnet.datasets import open_images
    from hashnet.encoding import encode_to_store

    encode_to_store(tiny_model, open_images("digits"), np.arange(150, 250), tmp_path / "more")
    return tmp_path / "more"


@pytest.fixture
def changeable(codes, tmp_path, run):
    path = tmp_path / "changeable.hnx"
    assert run("build", codes, "--output", path).exit_code == 0
    return path


def test_images_that_are_there_already_are_named(changeable, more, run):
    result = run("add", changeable, more)
    assert result.exit_code == 2
    assert "50 of 100 images are in" in result.stderr
    assert "digits/0150 for one" in result.stderr


def test_added_again_they_get_ids_behind_the_largest(changeable, more, run):
    facts = run.json("add", changeable, more, "--again")
    with open_index(changeable) as opened:
        assert (facts["added"], len(opened)) == (100, 300)
        assert opened.keys_of(np.array([199, 350, 449])) == ["digits/0199", "digits/0150", "digits/0249"]


def test_new_images_keep_their_row_numbers(changeable, tiny_model, tmp_path, run):
    from hashnet.datasets import open_images
    from hashnet.encoding import encode_to_store

    encode_to_store(tiny_model, open_images("digits"), np.arange(500, 510), tmp_path / "new")
    assert run("add", changeable, tmp_path / "new").exit_code == 0
    with open_index(changeable) as opened:
        assert opened.keys_of(np.array([500, 509])) == ["digits/0500", "digits/0509"]


@pytest.mark.parametrize("source", ["digits", "gone/folder"])
def test_a_source_that_is_no_path_is_noted_as_it_is(source):
    assert absolute_source(source) == source


def test_a_folder_of_images_is_noted_so_that_every_working_folder_finds_it(tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    monkeypatch.chdir(tmp_path)
    assert absolute_source("photos") == str(tmp_path / "photos")


def test_codes_of_another_model_are_refused_for_that_and_not_for_their_images(codes, tmp_path, run):
    other = tmp_path / "other.hnx"
    with Index.create(other, n_bits=CodeStore.open(codes).n_bits, fingerprint="sha256:other"):
        pass
    result = run("add", other, codes)
    assert result.exit_code == 2
    assert "another model" in result.stderr
    assert len(open_index(other)) == 0


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
def test_workers_build_the_index_that_one_process_builds(codes, tmp_path, run):
    ours, theirs = tmp_path / "ours.hnx", tmp_path / "theirs.hnx"
    result = run("build", codes, "--output", ours, "--shards", 2, "--workers", 2)
    assert result.exit_code == 0, result.stderr
    assert run("build", codes, "--output", theirs, "--shards", 2).exit_code == 0
    assert content(ours) == content(theirs)


def test_a_cluster_that_does_not_answer_is_told_and_no_index_is_left(codes, tmp_path, run, monkeypatch):
    ray = pytest.importorskip("ray")
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    result = run("build", codes, "-o", tmp_path / "a.hnx", "--workers", 1, "--ray", f"127.0.0.1:{port}")
    assert result.exit_code == 1
    assert "no Ray cluster answers" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_address_that_is_none_is_refused(codes, tmp_path, run):
    result = run("build", codes, "--output", tmp_path / "a.hnx", "--workers", 1, "--ray", "somewhere")
    assert result.exit_code == 2
    assert "--ray takes auto" in result.stderr


def content(folder):
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
