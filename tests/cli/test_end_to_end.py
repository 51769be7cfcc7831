"""From images to answers through the commands alone, on a small training."""

import shutil

import pytest

BITS = 16


@pytest.fixture(scope="module")
def place(tmp_path_factory, run):
    """A folder in which a model was trained, all digits were encoded and an index was built."""
    folder = tmp_path_factory.mktemp("all")
    run.json(
        *("train", "--data", "digits", "--bits", BITS, "--output", folder / "model"),
        *("--iterations", 200, "--stages", 4, "--batch-size", 64),
    )
    run.json("encode", "--model", folder / "model", "--data", "digits", "--output", folder / "codes")
    run.json("build", folder / "codes", "--output", folder / "digits.hnx", "--shards", 2)
    return folder


def test_info_follows_the_fingerprint_through(place, run):
    facts = [run.json("info", place / name) for name in ("model", "codes", "digits.hnx")]
    assert [one["kind"] for one in facts] == ["model", "code store", "index"]
    assert len({one["fingerprint"] for one in facts}) == 1
    assert {one["n_bits"] for one in facts} == {BITS}


def test_every_image_is_in_the_index(place, run):
    assert run.json("info", place / "digits.hnx")["codes"] == 1797


def test_an_image_file_finds_its_own_row(place, run, tmp_path):
    from hashnet.datasets import open_images

    open_images("digits").load(1000).save(tmp_path / "query.png")
    found = run.json(
        *("search", place / "digits.hnx", "--image", tmp_path / "query.png", "--model", place / "model"),
        *("--radius", 0, "--html", tmp_path / "page.html"),
    )
    assert "digits/1000" in [one["key"] for one in found["answers"][0]["neighbors"]]


def test_evaluation_beats_chance_by_far(place, run, tmp_path):
    figures = run.json(
        *("evaluate", "--model", place / "model", "--data", "digits", "--at", 100),
        *("--report", tmp_path / "page.html"),
    )
    assert figures["map"] > 0.6
    assert (figures["n_queries"], figures["n_database"], figures["seed"]) == (359, 1438, 1)
    assert (tmp_path / "page.html").read_text().count("<svg") == 6


def test_figures_go_into_the_card_only_when_asked(place, run, tmp_path):
    model = tmp_path / "model"
    shutil.copytree(place / "model", model)
    before = {path.name: path.read_bytes() for path in model.iterdir()}
    run.json("evaluate", "--model", model, "--data", "digits", "--at", 100)
    assert {path.name: path.read_bytes() for path in model.iterdir()} == before
    figures = run.json("evaluate", "--model", model, "--data", "digits", "--at", 100, "--card")
    assert f"| MAP@100 | {figures['map']:.4f}" in (model / "README.md").read_text()
    after = {path.name: path.read_bytes() for path in model.iterdir()}
    assert sorted(name for name in after if after[name] != before[name]) == ["README.md", "metrics.json"]
    assert run.json("info", model)["fingerprint"] == run.json("info", place / "model")["fingerprint"]


def test_no_answer_differs_from_faiss_and_the_scan(place, run):
    report = run.json("crosscheck", place / "digits.hnx", "--radius", 3, "--k", 25, "--sample", 200)
    assert report["n_mismatches"] == 0
    assert {one["question"] for one in report["comparisons"]} == {"radius 3", "k=25"}


def test_one_side_of_the_split_is_what_evaluate_takes(place, run, tmp_path):
    facts = run.json(
        *("encode", "--model", place / "model", "--data", "digits", "--part", "query"),
        *("--output", tmp_path / "codes"),
    )
    assert facts["codes"] == 359


def test_a_finished_encode_is_not_done_again(place, run):
    before = (place / "codes" / "manifest.json").stat().st_mtime_ns
    run.json("encode", "--model", place / "model", "--data", "digits", "--output", place / "codes")
    assert (place / "codes" / "manifest.json").stat().st_mtime_ns == before


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
def test_workers_write_the_same_bytes(place, run, tmp_path):
    run.json(
        *("encode", "--model", place / "model", "--data", "digits", "--output", tmp_path / "codes"),
        *("--workers", 2),
    )
    local, workers = (
        {path.name: path.read_bytes() for path in folder.iterdir()}
        for folder in (place / "codes", tmp_path / "codes")
    )
    assert workers == local
