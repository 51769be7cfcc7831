"""Parts of an index know what they are made of, wherever they are opened."""

import shutil

import numpy as np
import pytest
from hashnet.distributed.parts import check_signature, describe

from hashnet import Index, open_index
from hashnet.errors import HashnetError


def make(path, seed=0, sizes=(30, 20, 10)):
    rng = np.random.default_rng(seed)
    with Index.create(path, n_bits=32, fingerprint="sha256:abc") as index:
        for size in sizes:
            index.add(rng.integers(0, 256, (size, 4), dtype=np.uint8))
    return path


def test_parts_have_all_segments_and_codes(tmp_path):
    found = describe(make(tmp_path / "a.hnx"), 2)
    assert (found.n_bits, found.fingerprint) == (32, "sha256:abc")
    assert sorted(segment for part in found.parts for segment in part.segments) == [0, 1, 2]
    assert [part.n_codes for part in found.parts] == [30, 30]
    assert all(part.n_bytes > 0 for part in found.parts)


def test_a_copy_has_the_same_signature(tmp_path):
    found = describe(make(tmp_path / "a.hnx"), 2)
    shutil.copytree(tmp_path / "a.hnx", tmp_path / "b.hnx")
    for part in found.parts:
        check_signature(tmp_path / "b.hnx", part.segments, part.signature)


def test_later_additions_change_no_signature(tmp_path):
    found = describe(make(tmp_path / "a.hnx"), 2)
    with open_index(tmp_path / "a.hnx", mode="w") as index:
        index.add(np.zeros((5, 4), dtype=np.uint8))
    for part in found.parts:
        check_signature(tmp_path / "a.hnx", part.segments, part.signature)


@pytest.mark.parametrize("sizes", [(30, 20, 10), (60,)], ids=["other codes", "fewer segments"])
def test_another_index_is_no_copy(tmp_path, sizes):
    part = describe(make(tmp_path / "a.hnx"), 1).parts[0]
    other = make(tmp_path / "b.hnx", seed=1, sizes=sizes)
    with pytest.raises(HashnetError, match=r"b\.hnx does not list the segments .*swap"):
        check_signature(other, part.segments, part.signature)
