"""Which of my images look like this one: keys, distances, and a page of pictures."""

import re

import numpy as np
import oracle
import pytest

from hashnet.cli.grid import open_sources
from hashnet.cli.pictures import Pictures
from hashnet.cli.questions import draw_queries
from hashnet.datasets import open_images
from hashnet.encoding import CodeStore


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_an_image_finds_itself_first(index, picture, tiny_model, run):
    found = run.json("search", index, "--image", picture, "--model", tiny_model, "--k", 3)
    first = found["answers"][0]["neighbors"][0]
    assert first["distance"] == 0


def test_the_k_nearest_are_those_of_a_scan(index, codes, queries, run):
    found = run.json("search", index, "--queries", queries, "--k", 17)
    store = CodeStore.open(codes)
    distances, ids = oracle.search(np.load(queries), store.codes(), store.ids(), 17)
    got = [[(one["distance"], one["id"]) for one in answer["neighbors"]] for answer in found["answers"]]
    assert got == [
        list(zip(d.tolist(), i.tolist(), strict=True)) for d, i in zip(distances, ids, strict=True)
    ]


def test_a_ball_is_that_of_a_scan(index, codes, queries, run):
    found = run.json("search", index, "--queries", queries, "--radius", 5)
    store = CodeStore.open(codes)
    wanted = oracle.search_radius(np.load(queries), store.codes(), store.ids(), 5)
    got = [[one["id"] for one in answer["neighbors"]] for answer in found["answers"]]
    assert got == [ids.tolist() for _, ids in wanted]


def test_counts_are_the_sizes_of_the_balls(index, queries, run):
    asked = ("search", index, "--queries", queries, "--radius", 5)
    balls = run.json(*asked)["answers"]
    counts = run.json(*asked, "--count")
    assert (counts["radius"], counts["n_bits"], counts["k"]) == (5, 32, None)
    assert counts["answers"] == [{"query": ball["query"], "count": len(ball["neighbors"])} for ball in balls]


def test_a_count_is_a_line(index, queries, run):
    lines = run("search", index, "--queries", queries, "--radius", 32, "--count").stdout.splitlines()
    assert lines == [f"query {q}: 200 codes" for q in range(5)]


def test_an_image_is_counted_under_its_name_and_without_a_page(index, picture, tiny_model, run, tmp_path):
    result = run("search", index, "--image", picture, "--model", tiny_model, "--radius", 32, "--count")
    assert result.stdout == f"query {picture}: 200 codes\n"
    assert list(tmp_path.iterdir()) == []


def test_a_preloaded_index_answers_alike(index, queries, run):
    asked = ("search", index, "--queries", queries, "--k", 20)
    assert run.json(*asked, "--preload") == run.json(*asked)


def test_every_neighbour_has_its_key(index, queries, run):
    found = run.json("search", index, "--queries", queries, "--k", 50)
    assert all(
        one["key"] == f"digits/{one['id']:04d}" for answer in found["answers"] for one in answer["neighbors"]
    )


def test_the_table_shows_rank_distance_id_and_key(index, queries, run):
    lines = run("search", index, "--queries", queries, "--k", 1).stdout.splitlines()
    assert lines[0] == "query 0: 1 codes"
    assert lines[1].split() == ["rank", "distance", "id", "key"]
    assert re.fullmatch(r"\s+1\s+0\s+\d+\s+digits/\d{4}", lines[2])


def test_ten_neighbours_are_the_default(index, queries, run):
    found = run.json("search", index, "--queries", queries)
    assert [len(answer["neighbors"]) for answer in found["answers"]] == [10] * 5


def test_an_image_search_writes_a_page_and_says_where(index, picture, tiny_model, run, tmp_path):
    result = run("search", index, "--image", picture, "--model", tiny_model, "--k", 3)
    assert result.stdout.endswith("pictures: search.html\n")
    assert (tmp_path / "search.html").read_text().count("data:image/png") == 4


def test_the_page_needs_nothing_from_elsewhere(index, picture, tiny_model, run, tmp_path):
    run("search", index, "--image", picture, "--model", tiny_model, "--html", tmp_path / "pages" / "a.html")
    page = (tmp_path / "pages" / "a.html").read_text()
    assert re.findall(r'(?:src|href)="(?!data:)', page) == []


def test_a_page_without_the_images_says_how_to_get_them(codes, picture, tiny_model, run, tmp_path):
    from hashnet import Index

    store = CodeStore.open(codes)
    with Index.create(tmp_path / "a.hnx", n_bits=32, metadata={"source": "gone/folder"}) as index:
        index.add(store.codes(), ids=store.ids(), keys=store.keys())
    run("search", tmp_path / "a.hnx", "--image", picture, "--model", tiny_model, "--k", 3)
    assert "3 pictures were not found; name the image folder" in (tmp_path / "search.html").read_text()


def test_data_says_where_the_pictures_are(codes, queries, run, tmp_path):
    from hashnet import Index

    store = CodeStore.open(codes)
    with Index.create(tmp_path / "a.hnx", n_bits=32) as index:
        index.add(store.codes(), ids=store.ids(), keys=store.keys())
    run("search", tmp_path / "a.hnx", "--queries", queries, "--data", "digits", "--html", "page.html")
    assert "not found" not in (tmp_path / "page.html").read_text()


def test_a_picture_is_found_by_key_when_its_row_has_moved():
    images = open_images("digits")
    found = Pictures([images]).find(0, "digits/0077")
    assert np.array_equal(found, images.load(77))


@pytest.mark.parametrize("key", ["absent", None])
def test_a_picture_that_is_nowhere_is_none(key):
    assert Pictures([open_images("digits")]).find(5, key) is None


def test_a_source_that_is_gone_is_left_out(tmp_path):
    assert open_sources(["digits", str(tmp_path / "gone"), None])[0].name == "digits"


def test_drawn_queries_are_the_same_for_a_seed():
    codes = np.random.default_rng(0).integers(0, 256, (50, 4), dtype=np.uint8)
    np.testing.assert_array_equal(draw_queries(codes, 20, seed=3), draw_queries(codes, 20, seed=3))


def test_every_other_drawn_query_is_a_code_itself():
    codes = np.random.default_rng(0).integers(0, 256, (50, 4), dtype=np.uint8)
    drawn = draw_queries(codes, 20, seed=3)
    assert oracle.distances(drawn[::2], codes).min(axis=1).tolist() == [0] * 10
