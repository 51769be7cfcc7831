"""Named protocols: the splits they make, the checksums they carry, and what is stored with a figure."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hashnet.datasets import PROTOCOLS, ArrayImages, open_protocol
from hashnet.datasets.protocol import label_checksum

NAMES = [
    "imagenet100",
    "nuswide81",
    "nuswide21",
    "coco",
    "cifar10-1",
    "cifar10-2",
    "cifar10",
    "tinyimagenet100",
    "mosaic",
]
SMALL = replace(PROTOCOLS["cifar10-1"], query_per_class=2, train_per_class=3)


def images(label, splits=None, n_classes=4):
    label = np.asarray(label)
    return ArrayImages(
        np.zeros((len(label), 2, 2), np.uint8), label, classes=tuple("abcdefgh"[:n_classes]), splits=splits
    )


def test_the_names_are_these():
    assert sorted(PROTOCOLS) == sorted(NAMES)
    assert all(name == protocol.name for name, protocol in PROTOCOLS.items())


@given(
    counts=st.lists(st.integers(5, 12), min_size=2, max_size=4),
    seed=st.integers(0, 99),
    order=st.randoms(use_true_random=False),
)
@settings(max_examples=50, deadline=None)
def test_a_draw_by_class_gives_each_class_its_share_and_no_query_away(counts, seed, order):
    label = [c for c, n in enumerate(counts) for _ in range(n)]
    order.shuffle(label)
    data = open_protocol(replace(SMALL, seed=seed), data=images(label, n_classes=len(counts)))
    label = np.array(label)
    assert np.bincount(label[data.query]).tolist() == [2] * len(counts)
    assert np.bincount(label[data.train]).tolist() == [3] * len(counts)
    assert sorted([*data.database.tolist(), *data.query.tolist()]) == list(range(len(label)))
    assert set(data.train) <= set(data.database)


def test_the_seed_decides_the_draw():
    data = images(np.arange(40) % 4)
    one, same, other = (open_protocol(replace(SMALL, seed=seed), data=data) for seed in (1, 1, 2))
    assert np.array_equal(one.query, same.query)
    assert not np.array_equal(one.query, other.query)
    assert one.checksum == same.checksum != other.checksum


def test_a_class_that_is_too_small_is_named():
    with pytest.raises(ValueError, match="draws 5 images a class, and class 'd' of array has 4"):
        open_protocol(SMALL, data=images([0] * 9 + [1] * 9 + [2] * 9 + [3] * 4))


def test_several_labels_cannot_be_drawn_by_class():
    several = ArrayImages(np.zeros((3, 2, 2), np.uint8), np.ones((3, 2), np.uint8))
    with pytest.raises(ValueError, match="needs one label an image"):
        open_protocol(SMALL, data=several)


def test_the_split_of_the_data_is_taken_as_it_is():
    data = open_protocol("cifar10-2", data=images([0, 1, 2, 3, 0], splits=np.array([0, 1, 0, 1, 0])))
    assert data.database.tolist() == data.train.tolist() == [0, 2, 4]
    assert data.query.tolist() == [1, 3]
    assert data.at == 3  # the whole database
    assert "the database list has 3 rows, the protocol has 50,000" in data.faults
    assert not data.is_known()


def test_data_without_a_split_are_refused_where_the_protocol_takes_it():
    with pytest.raises(ValueError, match="takes the split of the data, and array has none"):
        open_protocol("tinyimagenet100", data=images([0, 1, 2]))


def test_unlabelled_data_are_refused():
    with pytest.raises(ValueError, match="needs labels"):
        open_protocol("cifar10", data=ArrayImages(np.zeros((3, 2, 2), np.uint8)))


def test_an_unknown_protocol_names_the_known_ones():
    with pytest.raises(ValueError, match="no protocol 'cifar-10'; known are cifar10, cifar10-1"):
        open_protocol("cifar-10", data="digits")


def test_published_lists_need_a_folder(tmp_path):
    with pytest.raises(ValueError, match="reads published lists; give the path of their folder"):
        open_protocol("coco", data=images([0, 1]))
    with pytest.raises(ValueError, match="is no folder of them"):
        open_protocol("coco", data=tmp_path / "nowhere")


def test_what_is_stored_with_a_figure_is_json_and_complete():
    data = open_protocol(replace(SMALL, n_database=36, n_query=4), data=images(np.arange(40) % 4))
    stored = json.loads(json.dumps(data.describe()))
    assert stored["protocol"] == "cifar10-1"
    assert (stored["R"], stored["seed"], stored["similarity"]) == (32, 0, "at least one shared label")
    assert (stored["n_database"], stored["n_query"], stored["n_train"]) == (32, 8, 12)
    assert stored["checksum"].startswith("sha256:")
    assert stored["faults"] == list(data.faults)
    assert len(data.faults) == 4  # three counts and the number of classes


def test_the_checksum_changes_with_rows_labels_and_r():
    label = np.arange(40) % 4
    sums = {open_protocol(SMALL, data=images(label)).checksum}
    sums.add(open_protocol(replace(SMALL, seed=3), data=images(label)).checksum)
    sums.add(open_protocol(replace(SMALL, at=7), data=images(label)).checksum)
    sums.add(open_protocol(SMALL, data=images(np.r_[label, 0])).checksum)
    assert len(sums) == 4


@given(st.lists(st.lists(st.booleans(), min_size=9, max_size=9), min_size=1, max_size=6))
def test_a_label_checksum_tells_every_bit(rows):
    labels = np.array(rows, dtype=np.uint8)
    for place in np.ndindex(labels.shape):
        changed = labels.copy()
        changed[place] ^= 1
        assert label_checksum(changed) != label_checksum(labels)


def picture_folder(folder, n_train=6, n_test=3):
    """CIFAR-10 as folders of image files: train and test, a folder a class in each."""
    for side, n in (("train", n_train), ("test", n_test)):
        for name in ("cat", "dog"):
            (folder / side / name).mkdir(parents=True)
            for i in range(n):
                Image.new("RGB", (4, 4), (i, 0, 0)).save(folder / side / name / f"{i:04d}.png")
    return folder


def test_a_folder_with_train_and_test_serves_the_protocols_of_cifar(tmp_path):
    folder = picture_folder(tmp_path / "cifar")
    second = open_protocol("cifar10-2", data=folder)
    assert (len(second.database), len(second.query)) == (12, 6)
    assert all(second.images.key(int(row)).startswith("test/") for row in second.query)
    first = open_protocol(SMALL, data=folder)
    assert (len(first.database), len(first.query), len(first.train)) == (14, 4, 6)
    # Queries are drawn from all images, whatever side they came from.
    sides = {first.images.key(int(row)).split("/")[0] for row in first.database}
    assert sides == {"train", "test"}


def test_mosaic_rows_keep_tiles_of_queries_out_of_the_database():
    base = images(np.arange(40) % 5, splits=np.arange(40) // 20, n_classes=5)
    recipe = replace(PROTOCOLS["mosaic"], n_database=30, n_query=6, n_train=10)
    data = open_protocol(recipe, data=base)
    assert (data.database.tolist(), data.query.tolist()) == (list(range(30)), list(range(30, 36)))
    assert data.train.tolist() == list(range(10))
    assert not set(data.images.tiles[data.database].ravel()) & set(data.images.tiles[data.query].ravel())
    assert data.faults == ()


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("tinyimagenet100", "tinyimagenet100_jpeg.npz"),
        ("cifar10", "cifar10_jpeg.npz"),
        ("cifar10-1", "cifar10_jpeg.npz"),
        ("cifar10-2", "cifar10_jpeg.npz"),
        ("mosaic", "tinyimagenet100_jpeg.npz"),
        ("mosaic", "cifar10_jpeg.npz"),
    ],
)
def test_the_packs_are_known_to_their_protocols(shared_data, name, pack):
    data = open_protocol(name, data=shared_data / pack)
    assert data.faults == ()
    assert data.is_known()
    assert data.images.load(int(data.query[0])).mode == "RGB"
