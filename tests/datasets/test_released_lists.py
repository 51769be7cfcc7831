"""The published list files in their layouts: reading, finding the images, and telling the faults."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from hashnet.datasets import open_images, open_protocol
from hashnet.datasets.released_lists import locate, open_released_lists


def line(path, *labels, n_classes=4):
    return f"{path} {' '.join('1' if i in labels else '0' for i in range(n_classes))}\n"


@pytest.fixture
def coco(tmp_path):
    """The layout and the faults of the COCO release: queries in the database, training images not."""
    folder = tmp_path / "coco"
    folder.mkdir()
    query = [line("./data/coco/val_images/COCO_val2014_1.jpg", 0, 1)]
    train = [
        line("./data/coco/train_images/dog/COCO_train2014_5.jpg", 2),
        line("./data/coco/train_images/cat/COCO_train2014_6.jpg", 0),
    ]
    database = [*query, line("./data/coco/train_images/dog/COCO_train2014_3.jpg", 2, 3)]
    (folder / "test.txt").write_text("".join(query))
    (folder / "train.txt").write_text("".join(train))
    (folder / "database.txt").write_text("".join(database))
    return folder


def test_lists_keep_their_order_and_share_rows(coco):
    lists = open_released_lists(coco)
    assert lists.database.tolist() == [0, 1]
    assert lists.query.tolist() == [0]
    assert lists.train.tolist() == [2, 3]
    assert lists.images.labels.tolist() == [[1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 0], [1, 0, 0, 0]]
    assert lists.names[2] == "COCO_train2014_5.jpg"


def test_the_faults_of_the_coco_release_are_told(coco):
    faults = " | ".join(open_protocol("coco", data=coco).faults)
    assert "1 of 1 queries are in the database as well" in faults
    assert "2 of 2 training images are not in the database" in faults
    assert "4 of 4 listed images are not below" in faults
    assert "the database list has 2 rows, the protocol has 112,218" in faults
    assert "the labels have 4 classes, the protocol has 80" in faults


def test_a_repaired_database_has_the_training_images_and_no_queries(coco):
    data = open_protocol("coco", data=coco).repair()
    assert data.database.tolist() == [1, 2, 3]
    assert not any("queries are in" in fault or "not in the database" in fault for fault in data.faults)
    assert data.describe()["repaired"] is True
    assert data.checksum != open_protocol("coco", data=coco).checksum


def test_parts_of_a_list_are_read_in_order(tmp_path):
    (tmp_path / "test").mkdir()
    for number in range(11):
        (tmp_path / f"test/database{number}.txt").write_text(line(f"/home/a/d/{number}.jpg", number % 4))
    (tmp_path / "test/test0.txt").write_text(line("q.jpg", 1))
    (tmp_path / "train.txt").write_text(line("3.jpg", 3))
    lists = open_released_lists(tmp_path)
    assert [lists.names[row] for row in lists.database] == [f"{i}.jpg" for i in range(11)]
    assert lists.train.tolist() == [3]


@pytest.mark.parametrize(
    ("name", "root", "n_classes"),
    [
        ("imagenet100", "/home/someone/dataset/imagenet/train_image", 100),
        ("nuswide81", "./data/nuswide_81/images", 81),
        ("nuswide21", "images", 21),
        ("coco", "./data/coco/val_images", 80),
    ],
)
def test_each_release_is_read_in_its_layout(tmp_path, name, root, n_classes):
    database = [line(f"{root}/{i}.jpg", i, 0, n_classes=n_classes) for i in range(1, 6)]
    (tmp_path / "database.txt").write_text("".join(database))
    (tmp_path / "test.txt").write_text(line(f"{root}/9.jpg", 2, n_classes=n_classes))
    (tmp_path / "train.txt").write_text(database[3] + database[1])
    (tmp_path / "images").mkdir()
    for i in (1, 2, 3, 4, 5, 9):
        Image.new("RGB", (4, 4), (i, 0, 0)).save(tmp_path / f"images/{i}.jpg", quality=100)
    data = open_protocol(name, data=tmp_path)
    assert data.database.tolist() == [0, 1, 2, 3, 4]
    assert (data.query.tolist(), data.train.tolist()) == ([5], [3, 1])
    assert data.labels.shape == (6, n_classes)
    assert np.flatnonzero(data.labels[3]).tolist() == [0, 4]
    assert data.images.load(int(data.query[0])).size == (4, 4)
    # Nothing is wrong with these lists but their size.
    assert all("rows, the protocol has" in fault for fault in data.faults)


def test_a_missing_part_is_named(tmp_path):
    for name in ("test.txt", "train.txt", "database0.txt", "database2.txt"):
        (tmp_path / name).write_text(line("a.jpg", 1))
    with pytest.raises(ValueError, match=r"parts \[0, 2\] of the database list; parts are missing"):
        open_released_lists(tmp_path)


def test_missing_lists_are_named_with_what_is_wanted(tmp_path):
    (tmp_path / "train.txt").write_text(line("a.jpg", 1))
    with pytest.raises(ValueError, match="has no database and no query list; wanted are"):
        open_released_lists(tmp_path)


def test_a_folder_of_lists_opened_as_images_names_the_way(coco):
    with pytest.raises(ValueError, match="published lists are opened by a protocol"):
        open_images(coco)


def test_rows_without_a_label_are_told(tmp_path):
    for name, labels in (("database", (1,)), ("test", ()), ("train", ())):
        (tmp_path / f"{name}.txt").write_text(line(f"{name}.jpg", *labels) + line(f"{name}2.jpg", 0))
    faults = " | ".join(open_protocol("nuswide81", data=tmp_path).faults)
    assert "1 of 2 rows of the query list carry no label" in faults
    assert "1 of 2 rows of the train list carry no label" in faults
    assert "rows of the database list carry no label" not in faults


def test_contradicting_labels_and_repeated_rows_are_told(tmp_path):
    (tmp_path / "database.txt").write_text(line("a/x.jpg", 1) + line("b/x.jpg", 1) + line("y.jpg", 2))
    (tmp_path / "test.txt").write_text(line("y.jpg", 3))
    (tmp_path / "train.txt").write_text(line("z.jpg", 0))
    data = open_protocol("coco", data=tmp_path)
    faults = " | ".join(data.faults)
    assert "1 rows give an image other labels than an earlier row" in faults
    assert "the database list repeats images in 1 rows" in faults
    assert data.database.tolist() == [0, 0, 1]
    assert data.labels[data.query].tolist() == [[0, 0, 1, 0]]


def test_lists_of_different_widths_are_refused(tmp_path):
    (tmp_path / "database.txt").write_text(line("x.jpg", 1, 2))
    (tmp_path / "test.txt").write_text(line("y.jpg", 3))
    (tmp_path / "train.txt").write_text(line("z.jpg", 0, 1, n_classes=5))
    with pytest.raises(ValueError, match="differ in their number of classes"):
        open_released_lists(tmp_path)


def test_class_numbers_need_not_reach_the_last_class_in_every_list(tmp_path):
    (tmp_path / "database.txt").write_text("x.jpg 4\nw.jpg 0\n")
    (tmp_path / "test.txt").write_text("y.jpg 2\n")
    (tmp_path / "train.txt").write_text("z.jpg 1\n")
    assert open_released_lists(tmp_path).images.labels.shape == (4, 5)


def test_images_are_found_by_name_wherever_they_lie(coco, tmp_path):
    root = tmp_path / "downloads"
    for place, shade in (("train2014/COCO_train2014_5.jpg", 50), ("val2014/COCO_val2014_1.jpg", 10)):
        (root / place).parent.mkdir(parents=True)
        Image.new("RGB", (4, 4), (shade,) * 3).save(root / place)
    data = open_protocol("coco", data=coco, image_root=root)
    assert np.asarray(data.images.load(2))[0, 0, 0] == 50
    assert np.asarray(data.images.load(0))[0, 0, 0] == 10
    assert any("2 of 4 listed images are not below" in fault for fault in data.faults)


def test_of_several_files_of_a_name_the_longest_common_tail_counts(tmp_path):
    for place in ("a/1.jpg", "b/1.jpg", "c/b/1.jpg"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).touch()
    assert locate(tmp_path, ["/home/me/c/b/1.jpg"]) == (["c/b/1.jpg"], 0)
    assert locate(tmp_path, ["x/a/1.jpg", "2.jpg"]) == (["a/1.jpg", "2.jpg"], 1)


def test_paths_that_hold_as_they_stand_are_not_searched(tmp_path):
    for place in ("a/1.jpg", "b/1.jpg"):
        (tmp_path / place).parent.mkdir()
        (tmp_path / place).touch()
    assert locate(tmp_path, ["./b/1.jpg", "a/1.jpg"]) == (["b/1.jpg", "a/1.jpg"], 0)
