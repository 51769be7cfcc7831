"""Image packs: what they hold is read, what they claim is checked."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from hashnet.datasets import open_images, split
from hashnet.datasets.npz import read_npz
from hashnet.errors import DamagedError, UnreadableImageError


def png(value):
    file = io.BytesIO()
    Image.new("RGB", (4, 3), (value, value, value)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def arrays():
    files = [png(i) for i in range(4)]
    return {
        "blob": np.frombuffer(b"".join(files), dtype=np.uint8),
        "offsets": np.cumsum([0, *map(len, files)]),
        "label": np.array([0, 1, 1, 0], dtype=np.uint8),
        "split": np.array([0, 0, 1, 1], dtype=np.uint8),
        "classes": np.array(["cat", "dog"]),
    }


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_pack_gives_images_labels_and_split(tmp_path, arrays, save):
    save(tmp_path / "pets.npz", **arrays)
    images = open_images(tmp_path / "pets.npz")
    assert len(images) == 4
    assert images.key(2) == "pets.npz#2"
    assert images.load(3).getpixel((0, 0)) == (3, 3, 3)
    assert images.classes == ("cat", "dog")
    assert images.labels.tolist() == [[1, 0], [0, 1], [0, 1], [1, 0]]
    assert [part.tolist() for part in split(images)] == [[0, 1], [2, 3]]


def test_packed_multi_hot_labels_are_unpacked(tmp_path, arrays):
    rows = np.random.default_rng(0).integers(0, 2, (4, 10), dtype=np.uint8)
    del arrays["label"], arrays["classes"]
    np.savez(tmp_path / "a.npz", **arrays, labels=np.packbits(rows, axis=1), n_class=10)
    images = open_images(tmp_path / "a.npz")
    assert np.array_equal(images.labels, rows)
    assert images.classes == tuple(map(str, range(10)))


def test_plain_multi_hot_labels_are_taken_as_they_are(tmp_path, arrays):
    del arrays["label"]
    np.savez(tmp_path / "a.npz", **arrays, labels=np.array([[1, 1], [0, 0], [0, 1], [1, 0]]))
    assert open_images(tmp_path / "a.npz").labels.tolist() == [[1, 1], [0, 0], [0, 1], [1, 0]]


def test_labels_and_split_are_optional(tmp_path, arrays):
    np.savez(tmp_path / "a.npz", blob=arrays["blob"], offsets=arrays["offsets"])
    images = open_images(tmp_path / "a.npz")
    assert (images.labels, images.splits, images.classes) == (None, None, ())


def test_a_truncated_image_in_a_pack_is_unreadable(tmp_path, arrays):
    arrays["offsets"][1] -= 30
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(UnreadableImageError, match=r"image a\.npz#0 cannot be read"):
        open_images(tmp_path / "a.npz").load(0)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("offsets", [0, 9, 5, 7, 8], "offsets of image 1 run backwards"),
        ("offsets", [0, 1, 2, 3, 10**9], "the blob has"),
        ("offsets", [-5, 1, 2, 3, 4], "offsets span -5"),
        ("offsets", np.array([0, 1, 2, 3, 2**64 - 1], dtype=np.uint64), "points beyond the blob"),
        ("offsets", [0.0, 1.0, 2.0, 3.0, 4.0], "offsets must be a vector"),
        ("offsets", [0], "offsets must be a vector"),
        ("blob", np.zeros(10, dtype=np.float32), "blob must be a vector of uint8"),
        ("label", [0, 1, 2, 0], "label 2 of row 2 is outside the 2 classes"),
        ("label", [0, 1], "for 4 images"),
        ("split", [0, 1, 2, 0], "splits must be 0"),
        ("classes", [1, 2], "class names must be a vector of strings"),
    ],
)
def test_a_pack_that_contradicts_itself_is_damaged(tmp_path, arrays, field, value, message):
    np.savez(tmp_path / "a.npz", **{**arrays, field: np.asarray(value)})
    with pytest.raises(DamagedError, match=message):
        open_images(tmp_path / "a.npz")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_pickled_objects_are_never_loaded(tmp_path, arrays, save):
    save(tmp_path / "a.npz", **{**arrays, "classes": np.array([{"a": 1}], dtype=object)})
    with pytest.raises(DamagedError, match="pickled objects, which are never loaded"):
        open_images(tmp_path / "a.npz")


def test_an_archive_without_images_says_what_a_pack_is(tmp_path):
    np.savez(tmp_path / "a.npz", label=np.zeros(3))
    with pytest.raises(ValueError, match="has no blob and no offsets"):
        open_images(tmp_path / "a.npz")


def test_a_file_that_is_no_archive_is_damaged(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"PK\x03\x04 not really")
    with pytest.raises(DamagedError, match=r"not a readable \.npz"):
        open_images(tmp_path / "a.npz")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_flipped_bit_anywhere_in_the_arrays_is_noticed_or_changes_nothing(tmp_path, arrays, save):
    path = tmp_path / "a.npz"
    save(path, **arrays)
    whole, data = read_npz(path), path.read_bytes()
    whole = {name: np.array(array) for name, array in whole.items()}
    rng = np.random.default_rng(0)
    for at in rng.integers(0, len(data), 300):
        broken = bytearray(data)
        broken[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(bytes(broken))
        try:
            read = read_npz(path)
        except DamagedError:
            continue
        for name, array in read.items():
            if name in whole:
                assert np.array_equal(array, whole[name])


def test_a_header_that_claims_terabytes_is_refused_without_allocating(tmp_path):
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (1099511627776,), }\n"
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr(
            "blob.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + b"xx"
        )
    with pytest.raises(DamagedError, match="claims shape"):
        open_images(tmp_path / "a.npz")


def test_the_real_packs_open(shared_data):
    images = open_images(shared_data / "tinyimagenet100_jpeg.npz")
    assert (len(images), len(images.classes)) == (16160, 101)
    assert images.load(16159).size == (64, 64)
    database, query = split(images)
    assert (len(database), len(query)) == (13130, 3030)
