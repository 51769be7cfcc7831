"""Label lists without images: reading them, and what is damaged in them."""

from __future__ import annotations

import numpy as np
import pytest

from hashnet.datasets import ImageSet, open_label_lists, open_protocol
from hashnet.errors import DamagedError


def rows(n, n_classes, seed=0):
    return (np.random.default_rng(seed).random((n, n_classes)) < 0.3).astype(np.uint8)


def write(path, n_class=10, **lists):
    np.savez_compressed(path, n_class=np.int64(n_class), **lists)
    return path


@pytest.mark.parametrize("packed", [True, False])
def test_lists_are_read_plain_and_bit_packed(tmp_path, packed):
    lists = {"train": rows(5, 10), "test": rows(3, 10, 1), "database": rows(7, 10, 2)}
    stored = {name: np.packbits(x, axis=1) if packed else x for name, x in lists.items()}
    found = open_label_lists(write(tmp_path / "a.npz", **stored))
    assert np.array_equal(found.train, lists["train"])
    assert np.array_equal(found.query, lists["test"])
    assert np.array_equal(found.database, lists["database"])


def test_a_list_that_is_missing_is_empty_if_it_is_the_database(tmp_path):
    found = open_label_lists(write(tmp_path / "a.npz", train=rows(5, 10), query=rows(3, 10)))
    assert found.database.shape == (0, 10)


def test_a_protocol_of_labels_alone_has_rows_and_labels_and_no_images(tmp_path):
    path = write(tmp_path / "a.npz", 81, train=rows(5, 81), query=rows(3, 81), database=rows(7, 81))
    data = open_protocol("nuswide81", data=path)
    assert isinstance(data.images, ImageSet)
    assert np.array_equal(data.labels[data.train], rows(5, 81))
    assert [len(data.database), len(data.query), len(data.train)] == [7, 3, 5]
    assert "labels without images" in data.faults[0]
    with pytest.raises(ValueError, match="holds labels and no images"):
        data.images.load(0)


@pytest.mark.parametrize(
    ("lists", "error", "message"),
    [
        ({"train": rows(5, 10)}, ValueError, r"has no query list, it holds \['n_class', 'train'\]"),
        (
            {"train": rows(5, 10), "test": rows(5, 9)},
            DamagedError,
            "test list has 9 columns|query list has 9",
        ),
        ({"train": rows(5, 10), "test": np.zeros(5, np.uint8)}, DamagedError, "must be rows of uint8"),
        ({"train": rows(5, 10), "test": rows(5, 10) * 3}, DamagedError, "labels must be 0 or 1"),
        (
            {"train": np.full((5, 2), 255, np.uint8), "test": np.zeros((5, 2), np.uint8)},
            DamagedError,
            "labels beyond its 10 classes",
        ),
    ],
)
def test_lists_that_contradict_themselves_are_refused(tmp_path, lists, error, message):
    with pytest.raises(error, match=message):
        open_label_lists(write(tmp_path / "a.npz", **lists))


@pytest.mark.parametrize(
    ("name", "file", "n", "bare"),
    [
        ("imagenet100", "labels_imagenet.npz", (128_503, 5_000, 13_000), (0, 0, 0)),
        ("coco", "labels_coco.npz", (112_218, 5_000, 10_000), (0, 0, 0)),
        ("nuswide81", "labels_nuswide81_train_test.npz", (0, 5_000, 10_000), (0, 1_131, 2_185)),
    ],
)
def test_the_lists_of_the_release_are_known(shared_data, name, file, n, bare):
    data = open_protocol(name, data=shared_data / file)
    lists = (data.database, data.query, data.train)
    assert tuple(map(len, lists)) == n
    assert tuple(int((~data.labels[x].any(axis=1)).sum()) for x in lists) == bare
    assert data.is_known()
    assert any("1,131 of 5,000 rows of the query list carry no label" in f for f in data.faults) == (
        name == "nuswide81"
    )


@pytest.mark.parametrize("file", ["labels_mirflickr.npz", "labels_voc2012.npz"])
def test_lists_without_a_named_protocol_are_read_as_well(shared_data, file):
    lists = open_label_lists(shared_data / file)
    assert len(lists.train) == 4000
    assert lists.train.shape[1] == lists.database.shape[1] == lists.query.shape[1]
