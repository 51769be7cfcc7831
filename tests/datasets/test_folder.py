"""Image folders: a class per sub-folder, or flat."""

import numpy as np
import pytest
from PIL import Image

from hashnet.datasets import ImageSet, open_images, read_batch


def save(path, colour=(1, 2, 3)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4), colour).save(path)


def test_sub_folders_are_classes_in_sorted_order(tmp_path):
    for name in ("dog/2.png", "cat/1.png", "dog/deep/3.png"):
        save(tmp_path / name)
    images = open_images(tmp_path)
    assert isinstance(images, ImageSet)
    assert images.classes == ("cat", "dog")
    assert [images.key(i) for i in range(3)] == ["cat/1.png", "dog/2.png", "dog/deep/3.png"]
    assert images.labels.tolist() == [[1, 0], [0, 1], [0, 1]]
    assert images.splits is None


def test_a_flat_folder_has_no_labels(tmp_path):
    save(tmp_path / "b.png")
    save(tmp_path / "a.png")
    images = open_images(str(tmp_path))
    assert [images.key(i) for i in range(2)] == ["a.png", "b.png"]
    assert images.labels is None
    assert images.classes == ()


def test_one_image_outside_the_sub_folders_makes_it_flat(tmp_path):
    save(tmp_path / "a.png")
    save(tmp_path / "album/b.png")
    images = open_images(tmp_path)
    assert len(images) == 2
    assert images.labels is None


@pytest.mark.parametrize("sides", [("train", "test"), ("database", "query"), ("Train", "Val")])
def test_a_train_and_a_test_folder_are_the_split_and_not_the_classes(tmp_path, sides):
    for place in ("0/dog/1.png", "0/cat/2.png", "1/cat/3.png"):
        save(tmp_path / sides[int(place[0])] / place[2:])
    images = open_images(tmp_path)
    assert images.classes == ("cat", "dog")
    split = {images.key(i): (int(images.splits[i]), images.labels[i].tolist()) for i in range(3)}
    assert split[f"{sides[0]}/dog/1.png"] == (0, [0, 1])
    assert split[f"{sides[0]}/cat/2.png"] == (0, [1, 0])
    assert split[f"{sides[1]}/cat/3.png"] == (1, [1, 0])


def test_sides_without_class_folders_are_a_split_without_labels(tmp_path):
    save(tmp_path / "train/1.png")
    save(tmp_path / "test/2.png")
    images = open_images(tmp_path)
    assert images.labels is None
    assert images.splits.tolist() == [1, 0]


@pytest.mark.parametrize("folders", [("train", "cat"), ("train",), ("train", "database")])
def test_folders_that_are_no_two_sides_are_classes(tmp_path, folders):
    for folder in folders:
        save(tmp_path / folder / "deep/1.png")
    images = open_images(tmp_path)
    assert images.classes == tuple(sorted(folders))
    assert images.splits is None


def test_three_sides_are_refused_with_a_remedy(tmp_path):
    for folder in ("train", "val", "test"):
        save(tmp_path / folder / "cat/1.png")
    with pytest.raises(ValueError, match="has the folders test, train, val, and a split has two sides"):
        open_images(tmp_path)


def test_hidden_files_and_other_files_are_left_out(tmp_path):
    save(tmp_path / "cat/a.png")
    save(tmp_path / "cat/.hidden.png")
    save(tmp_path / ".thumbnails/b.png")
    (tmp_path / "cat/notes.txt").write_text("x")
    assert len(open_images(tmp_path)) == 1


def test_an_empty_folder_says_what_is_wanted(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(ValueError, match=r"holds no images; wanted are files ending in .*\.jpg"):
        open_images(tmp_path)


def test_a_file_name_that_is_not_utf8_has_a_printable_key(tmp_path):
    save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "\udcff.png")
    images = open_images(tmp_path)
    assert images.key(0) == "\\xff.png"
    assert images.load(0).size == (4, 4)


def test_identity_changes_with_the_files_and_not_with_their_place(tmp_path):
    for folder in ("x", "y"):
        save(tmp_path / folder / "cat/a.png")
    same = open_images(tmp_path / "x").identity()
    assert open_images(tmp_path / "y").identity() == same
    save(tmp_path / "y/cat/b.png")
    assert open_images(tmp_path / "y").identity() != same


def test_a_batch_keeps_order_and_sets_the_unreadable_apart(tmp_path):
    for i in range(4):
        save(tmp_path / f"{i}.png", (i, i, i))
    (tmp_path / "2.png").write_bytes(b"no image")
    batch = read_batch(open_images(tmp_path), [3, 2, 0])
    assert batch.rows == [3, 0]
    assert [np.asarray(image)[0, 0, 0] for image in batch.images] == [3, 0]
    assert [(reject.row, reject.key) for reject in batch.rejects] == [(2, "2.png")]
