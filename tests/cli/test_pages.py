"""Reports show queries of every class, and mark neighbours by shared labels."""

import numpy as np
import pytest

from hashnet.cli.pages import add_training, method_of
from hashnet.datasets import ArrayImages
from hashnet.evaluation import Page, evaluate
from hashnet.evaluation.sections import add_classes, neighbour_rows, short, similar, spread, tsne_caption
from hashnet.results import Neighbors


def one_hot(classes):
    return np.eye(10, dtype=np.uint8)[classes]


def test_the_first_of_each_class_is_shown_before_the_second():
    labels = one_hot([0, 0, 0, 2, 1, 1])
    assert spread(np.arange(6), labels, 4).tolist() == [0, 4, 3, 1]


def test_no_more_are_shown_than_there_are():
    assert sorted(spread(np.array([1, 3]), one_hot([5, 5, 5, 5]), 10).tolist()) == [1, 3]


@pytest.mark.parametrize(("a", "b", "shared"), [(0, 1, True), (0, 2, False)])
def test_images_are_similar_if_they_share_a_label(a, b, shared):
    labels = np.array([[1, 0, 1], [0, 0, 1], [0, 1, 0]], dtype=np.uint8)
    images = ArrayImages(np.zeros((3, 8, 8), dtype=np.uint8), labels)
    assert similar(images, a, b) is shared


def test_without_labels_nobody_knows():
    assert similar(ArrayImages(np.zeros((2, 8, 8), dtype=np.uint8)), 0, 1) is None


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("bee", "bee"),
        ("mantis, mantid", "mantis"),
        ("a name of more than twenty characters", "a name of more than…"),
    ],
)
def test_class_names_fit_beside_a_map(name, shown):
    assert short(name) == shown


STAGES = [{"beta": b, "loss_relaxed": 0.4, "loss_sgn": 0.5, "gap": 0.1} for b in (1.0, 8.0)]


def training_page(method, stages):
    metrics = {"training": {"identity": {"method": method}}, "stages": stages}
    page = Page("t")
    add_training(page, metrics)
    return page.to_html()


def test_a_report_tells_of_continuation_only_where_there_was_one():
    assert "raises β stage by stage" in training_page("hashnet", STAGES)
    without = training_page("dhn", [{**stage, "beta": 1.0} for stage in STAGES])
    assert "DHN is trained on relaxed codes without continuation" in without
    assert "β at the end" not in without


@pytest.mark.parametrize(("method", "line"), [("hashnet-w", True), ("dhn", False)])
def test_ln_2_stands_for_nothing_learned_only_in_hashnet(method, line):
    assert (">ln 2<" in training_page(method, STAGES)) is line


def test_a_model_without_recorded_training_has_no_such_section():
    assert method_of({}) == "HashNet"
    page = Page("t")
    add_training(page, {})
    assert "<h2>" not in page.to_html()


@pytest.mark.parametrize(("n", "shown"), [(1, 0), (5, 5), (30, 30), (31, 31), (80, 31)])
def test_of_many_classes_the_best_and_the_worst_are_shown(n, shown):
    labels = one_hot_of(np.arange(2 * n) % n, n)
    codes = np.random.default_rng(0).integers(0, 256, (2 * n, 1), dtype=np.uint8)
    evaluation = evaluate(codes[:n], labels[:n], codes[n:], labels[n:], resamples=5)
    page = Page("t")
    add_classes(page, evaluation)
    assert page.to_html().count('<th scope="row">') == shown
    assert (f"… {n - 30} more" in page.to_html()) is (n > 30)


def one_hot_of(numbers, n):
    return np.eye(n, dtype=np.uint8)[numbers]


def test_neighbours_are_captioned_by_key_or_by_class():
    labels = np.array([[1, 0, 1], [0, 0, 1], [0, 0, 0]], dtype=np.uint8)
    images = ArrayImages(np.zeros((3, 8, 8), dtype=np.uint8), labels, classes=("cat, felis", "dog", "sofa"))
    nearest = Neighbors(np.array([[2, 5]], np.int32), np.array([[1, 2]]))
    (row,) = neighbour_rows(images, np.array([0]), nearest, by_class=True)
    assert row.query.caption == "cat, sofa"
    assert [one.caption for one in row.neighbours] == ["distance 2: sofa", "distance 5: no label"]
    assert [one.relevant for one in row.neighbours] == [True, False]
    (keyed,) = neighbour_rows(images, np.array([0]), nearest)
    assert keyed.neighbours[0].caption == f"distance 2: {images.key(1)}"


def test_a_map_of_images_with_several_labels_says_which_one_is_shown():
    assert tsne_caption(20, one_hot(np.arange(20) % 10)).endswith("colour and shape are the class.")
    assert tsne_caption(20, np.ones((20, 3), np.uint8)).endswith("are the first of its classes.")
