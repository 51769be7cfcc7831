"""One's own images: hashed, written, indexed and searched by one command."""

import csv

import numpy as np
import pytest

from hashnet.cli import hashing
from hashnet.codes import pack
from hashnet.datasets import open_images
from hashnet.encoding import CodeStore, Encoder

N = 20


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder with images, one of them unreadable and one in a folder below."""
    folder = tmp_path_factory.mktemp("own") / "photos"
    (folder / "below").mkdir(parents=True)
    digits = open_images("digits")
    for i in range(N):
        digits.load(i).resize((40, 60)).save(folder / f"{i:02d}.png")
    digits.load(N).save(folder / "below" / "last.png")
    (folder / "05b.png").write_text("no image")
    return folder


@pytest.fixture(scope="module")
def expected(photos, tiny_model):
    """Path to code, by the encoder alone."""
    images = open_images(photos)
    found = Encoder.load(tiny_model).encode_image_set(images)
    return dict(zip(found.keys, (code.tobytes().hex() for code in found.codes), strict=True))


def test_a_folder_is_printed_as_codes_and_paths(run, photos, tiny_model, expected):
    result = run("hash", photos, "--model", tiny_model)
    assert result.exit_code == 0
    assert dict(reversed(line.split("  ")) for line in result.stdout.splitlines()) == expected
    assert len(expected) == N + 1
    assert "skipped 05b.png: not an image" in result.stderr


def test_one_image_has_the_code_that_it_has_in_its_folder(run, photos, tiny_model, expected):
    result = run("hash", photos / "07.png", "--model", tiny_model)
    assert result.stdout == f"{expected['07.png']}  07.png\n"


def test_bits_are_those_of_the_packed_code(run, photos, tiny_model, expected):
    found = run.json("hash", photos, "--model", tiny_model, "--format", "bits")
    for one in found["codes"]:
        bits = np.array([1 if bit == "1" else -1 for bit in one["code"]], dtype=np.float32)
        assert pack(bits[None]).tobytes().hex() == expected[one["path"]]
    assert [one["key"] for one in found["rejects"]] == ["05b.png"]
    assert (found["images"], found["unreadable"]) == (N + 1, 1)


def test_codes_and_their_paths_are_written_row_by_row(run, photos, tiny_model, expected, tmp_path):
    run.json("hash", photos, "--model", tiny_model, "--output", tmp_path / "out" / "codes.npy")
    codes = np.load(tmp_path / "out" / "codes.npy")
    with (tmp_path / "out" / "codes.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["path"]: codes[int(row["row"])].tobytes().hex() for row in rows} == expected
    assert {row["path"]: row["code"] for row in rows} == expected
    assert codes.dtype == np.uint8


def test_an_index_is_ready_for_hashnet_search(run, photos, tiny_model, tmp_path):
    index = tmp_path / "photos.hnx"
    assert run.json("hash", photos, "--model", tiny_model, "--index", index)["images"] == N + 1
    found = run.json(
        *("search", index, "--image", photos / "03.png", "--model", tiny_model, "--radius", 0),
        *("--html", tmp_path / "page.html"),
    )
    assert "03.png" in [one["key"] for one in found["answers"][0]["neighbors"]]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["page.html", "photos.hnx"]


@pytest.mark.parametrize("kept", [False, True])
def test_a_query_is_answered_at_once(run, photos, tiny_model, tmp_path, kept):
    page = tmp_path / "page.html"
    options = ["--index", tmp_path / "photos.hnx"] if kept else []
    found = run.json(
        *("hash", photos, "--model", tiny_model, "--query", photos / "03.png", "--k", 5),
        *("--html", page, *options),
    )
    nearest = found["answers"][0]["neighbors"]
    assert len(nearest) == 5
    assert "03.png" in [one["key"] for one in nearest if one["distance"] == 0]
    assert page.read_text().count("<img") == 6


def test_more_neighbours_than_images_are_all_of_them(run, photos, tiny_model):
    found = run.json("hash", photos, "--model", tiny_model, "--query", photos / "03.png", "--k", 500)
    assert len(found["answers"][0]["neighbors"]) == N + 1


def test_an_interrupted_index_is_gone_on_with(photos, tiny_model, tmp_path, monkeypatch):
    images, output = open_images(photos), tmp_path / "photos.hnx"

    def interrupted(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(hashing, "build_index", interrupted)
    with pytest.raises(KeyboardInterrupt):
        hashing.hash_to_index(tiny_model, images, output)
    assert not output.exists()
    before = CodeStore.open(tmp_path / ".photos.hnx.codes").codes()
    monkeypatch.undo()
    monkeypatch.setattr(Encoder, "compute", interrupted)  # nothing is left to be encoded
    done = hashing.hash_to_index(tiny_model, images, output)
    assert np.array_equal(done.codes, before)
    assert [path.name for path in tmp_path.iterdir()] == ["photos.hnx"]


@pytest.mark.parametrize("option", ["--index", "--output"])
def test_what_exists_is_kept(run, photos, tiny_model, tmp_path, option):
    target = tmp_path / "taken.npy"
    target.write_text("mine")
    result = run("hash", photos, "--model", tiny_model, option, target)
    assert (result.exit_code, target.read_text()) == (2, "mine")


@pytest.mark.parametrize("option", [[], ["--index", "x.hnx"]])
def test_images_none_of_which_can_be_read_are_an_error(run, tiny_model, tmp_path, monkeypatch, option):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_text("no image")
    result = run("hash", "photos", "--model", tiny_model, *option)
    assert result.exit_code == 1
    assert "none of 1 images" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--k", 3], "give --query FILE"),
        (["--output", "a.npy", "--index", "a.hnx"], "not both"),
        (["--output", "codes.bin"], "must be an .npy file"),
        (["--query", "absent.png"], "does not exist"),
        (["--device", "quantum"], "cpu or cuda"),
    ],
)
def test_what_makes_no_sense_is_refused_before_any_work(run, photos, tiny_model, options, said):
    result = run("hash", photos, "--model", tiny_model, *options)
    assert result.exit_code == 2
    assert said in result.stderr
