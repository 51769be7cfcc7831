"""Sorted listings on disk: the order, the rows and the changes of a list in memory."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashnet.datasets import listing as module
from hashnet.datasets.listing import changes, saved_files, sorted_listing
from hashnet.datasets.walking import FoundFile

numbers = st.integers(-(2**63), 2**63 - 1)
found = st.builds(FoundFile, st.binary(min_size=1, max_size=40), numbers, numbers)
unique = st.lists(found, max_size=80, unique_by=lambda one: one.path)


@given(unique, st.integers(1, 3000), st.integers(2, 4))
def test_runs_that_are_merged_are_the_sorted_files(files, run_bytes, fan_in):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "FAN_IN", fan_in)
        listing = sorted_listing(iter(files), run_bytes=run_bytes)
    assert len(listing) == len(files)
    assert list(listing.files()) == sorted(files)


@given(unique, st.integers(0, 80), st.integers(1, 9))
def test_rows_are_found_from_any_start(files, start, step):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "INDEX_STEP", step)
        listing = sorted_listing(files, run_bytes=1000)
        assert list(listing.files(start)) == sorted(files)[start:]


def test_records_longer_than_what_is_read_at_once_are_whole(monkeypatch):
    monkeypatch.setattr(module, "_BLOCK_BYTES", 50)
    files = [FoundFile(bytes([65 + i]) * (10 + i), i, -i) for i in range(40)]
    assert list(sorted_listing(reversed(files), run_bytes=500).files()) == files


@given(unique, unique)
def test_changes_are_those_of_sets(before, after):
    old, new = {one.path: one for one in before}, {one.path: one for one in after}
    found = changes(sorted(before), sorted(after), shown=1000)
    assert found.added == len(new.keys() - old.keys())
    assert found.removed == len(old.keys() - new.keys())
    assert found.changed == sum(new[path] != old[path] for path in new.keys() & old.keys())
    assert len(found.examples) == found.added + found.removed + found.changed


def test_changes_are_told_with_examples():
    before = [FoundFile(b"a", 1, 1), FoundFile(b"b", 1, 1), FoundFile(b"c", 1, 1)]
    after = [FoundFile(b"b", 2, 1), FoundFile(b"c", 1, 1), FoundFile(b"d", 1, 1)]
    assert str(changes(before, after)) == "1 added, 1 removed, 1 changed: a (removed), b (changed), d (added)"
    assert changes(before, after, shown=1).examples == ("a (removed)",)


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: data[:30] + b"x" + data[31:], bytes])
def test_a_saved_listing_is_read_only_if_it_is_the_one_that_was_saved(tmp_path, damage):
    files = [FoundFile(f"{i:04d}.png".encode(), i, i) for i in range(1000)]
    listing = sorted_listing(files)
    listing.save(tmp_path / "list")
    version = listing.version()
    assert list(saved_files(tmp_path / "list", version)) == files
    data = damage((tmp_path / "list").read_bytes())
    if damage is bytes:
        version = "sha256:0"
    (tmp_path / "list").write_bytes(data)
    with pytest.raises(ValueError, match="list"):
        list(saved_files(tmp_path / "list", version))


def peak(n):
    """Bytes of memory that listing ``n`` files takes at most."""
    tracemalloc.start()
    try:
        names = ((i * 7919) % n for i in range(n))
        listing = sorted_listing(
            (FoundFile(b"folder-%03d/%08d.jpg" % (i % 100, i), 0, 0) for i in names), run_bytes=2**20
        )
        listing.version()
        assert len(listing) == n
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_four_times_the_files_take_the_same_memory():
    few, many = peak(10_000), peak(40_000)
    # A run of 1 MiB is sorted, and then each is read in blocks.
    assert max(few, many) < 3 * 2**20
