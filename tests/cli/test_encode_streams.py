"""``hashnet encode`` from streams, and a search that shows their pictures."""

import pytest
from streams import png, write_parquet, write_tar

from hashnet.cli.grid import open_sources
from hashnet.cli.pictures import Pictures
from hashnet.datasets import open_images, split
from hashnet.encoding import CodeStore


@pytest.fixture
def place(tmp_path):
    write_tar(tmp_path / "x.tar", [(f"{i}.png", png(i)) for i in range(30)])
    write_parquet(tmp_path / "x.parquet", [png(i) for i in range(30)], thumbnail=[png(0)] * 30)
    (tmp_path / "x.txt").write_text("\n".join(f"file://{tmp_path}/{i}.png" for i in range(30)))
    for i in range(30):
        (tmp_path / f"{i}.png").write_bytes(png(i))
    return tmp_path


def test_every_stream_gives_the_codes_of_the_folder(place, tiny_model, run):
    whole = run.json("encode", "--model", tiny_model, "--data", place / "x.txt", "--output", place / "a")
    assert (whole["codes"], whole["unreadable"]) == (30, 0)
    for name, more in (("x.tar", ()), ("x.parquet", ("--image-column", "image"))):
        output = place / f"{name}.codes"
        run.json("encode", "--model", tiny_model, "--data", place / name, "--output", output, *more)
        assert CodeStore.open(output).codes().tobytes() == CodeStore.open(place / "a").codes().tobytes()


def test_one_side_of_the_split_of_a_folder_has_the_rows_of_its_image_set(tmp_path, tiny_model, run):
    for i in range(20):
        (tmp_path / "images" / f"{i % 2}").mkdir(parents=True, exist_ok=True)
        (tmp_path / "images" / f"{i % 2}" / f"{i}.png").write_bytes(png(i))
    whole = ("encode", "--model", tiny_model, "--data", tmp_path / "images", "--output")
    run.json(*whole, tmp_path / "all")
    run.json(*whole, tmp_path / "queries", "--part", "query", "--seed", 3)
    everything, queries = CodeStore.open(tmp_path / "all"), CodeStore.open(tmp_path / "queries")
    expected = split(open_images(tmp_path / "images"), seed=3).query
    assert queries.ids().tolist() == expected.tolist()
    assert queries.keys() == [everything.keys()[row] for row in expected]
    assert queries.codes().tobytes() == everything.codes()[expected].tobytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--data", "x.parquet"), "2 columns that may hold image bytes"),
        (("--data", "x.tar", "--part", "query"), "is a stream and has no split; leave --part out"),
        (("--data", "x.tar", "--key-column", "key"), "x.tar holds none; leave them out"),
        (("--data", "digits", "--device", "tpu"), "--device must be cpu or cuda"),
        (("--data", "digits", "--decoders", "2"), "give --workers N as well"),
        (("--data", "digits", "--ray", "auto"), "give --workers N as well"),
        (("--data", "http://example.org/x.tar"), "download the files first"),
    ],
)
def test_what_cannot_be_encoded_is_told(place, tiny_model, run, monkeypatch, arguments, message):
    monkeypatch.chdir(place)
    result = run("encode", "--model", tiny_model, "--output", "codes", *arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert not (place / "codes").exists()


def test_an_empty_stream_is_refused(place, tiny_model, run):
    write_tar(place / "empty.tar", [("readme.txt", b"")])
    result = run("encode", "--model", tiny_model, "--data", place / "empty.tar", "--output", place / "codes")
    assert result.exit_code == 2
    assert "holds no images" in " ".join(result.stderr.split())


def test_pictures_of_a_stream_are_found_at_their_row_under_their_key(place):
    pictures = Pictures(open_sources([str(place / "x.tar")]))
    found = pictures.find(7, "x.tar/7.png")
    assert found is not None
    assert found.getpixel((0, 0)) == (7, 0, 0)
    assert pictures.find(7, "x.tar/8.png") is None
    assert pictures.find(99, "x.tar/99.png") is None


def test_a_source_whose_columns_nobody_names_costs_pictures_only(place):
    assert open_sources([str(place / "x.parquet")]) == []
