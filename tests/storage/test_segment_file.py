"""A segment file as something that may have been damaged, or made to mislead."""

from __future__ import annotations

import numpy as np
import pytest
from codesets import flip, make_codes
from segment_file import Kind, SegmentFile

from hashnet import _core


def build(path, n_bits, n_long):
    """A file of 20,000 codes, 2,000 of which come twice and one n_long times."""
    rng = np.random.default_rng(0)
    single = make_codes("clustered", 20_000, n_bits, rng)
    codes = np.concatenate([single, single[:2000], np.repeat(single[:1], n_long, 0)])
    _core.Segment.build(codes, None, 0, str(path), 1)
    return codes


@pytest.fixture(params=[64, 128])
def n_bits(request):
    return request.param


def sections_of(path):
    return {Kind(s.kind) for s in SegmentFile(path).sections}


@pytest.mark.parametrize(
    ("n_long", "present"),
    [(10_000, {Kind.RUN_BITS, Kind.RUN_SAMPLES, Kind.RUN_RANKS}), (1_000_000, {Kind.RUN_STARTS})],
)
def test_starts_of_runs_take_the_smaller_form(tmp_path, n_bits, n_long, present):
    path = tmp_path / "a.seg"
    build(path, n_bits, n_long)
    runs = {Kind.RUN_STARTS, Kind.RUN_BITS, Kind.RUN_SAMPLES, Kind.RUN_RANKS}
    assert sections_of(path) & runs == present


def test_a_segment_of_another_version_is_named(tmp_path):
    path = tmp_path / "a.seg"
    build(path, 64, 0)
    file = SegmentFile(path)
    file.header[1] = 1
    file.write(path)
    with pytest.raises(_core.DamagedSegmentError, match=r"version 1.* reads version 2; build the index"):
        _core.Segment.open(str(path), False, False)


@pytest.mark.parametrize(
    ("n_bits", "kind", "at", "value", "message"),
    [
        (64, Kind.RUN_BITS, 0, b"\x00", "runs contradict"),
        (128, Kind.RUN_BITS, 1000, b"\x12", "runs contradict"),
        (64, Kind.RUN_SAMPLES, 8, b"\xff\xff\xff\xff", "runs contradict"),
        (64, Kind.RUN_RANKS, 8, b"\xff\xff\xff\x7f", "runs contradict"),
        (64, Kind.DIRECTORY, 8, b"\xff\xff\xff\x7f", "directory entries contradict"),
        (128, Kind.POSITIONS, 8, b"\xff\xff\xff\x7f", "positions contradict"),
        (64, Kind.BLOCK_CELLS, 8, b"\xff\xff\xff\x7f", "block cells contradict"),
    ],
)
def test_sections_with_right_checksums_that_contradict_each_other_are_refused(
    tmp_path, n_bits, kind, at, value, message
):
    path = tmp_path / "a.seg"
    build(path, n_bits, 10_000)
    file = SegmentFile(path)
    section = file.section(kind)
    file.data[section.offset + at : section.offset + at + len(value)] = value
    file.write(path)
    with pytest.raises(_core.DamagedSegmentError, match=message):
        _core.Segment.open(str(path), False, True)


@pytest.mark.parametrize("n_long", [10_000, 1_000_000])
def test_searching_any_altered_section_never_reads_outside_the_file(tmp_path, n_bits, n_long):
    path = tmp_path / "a.seg"
    codes = build(path, n_bits, n_long)
    rng = np.random.default_rng(1)
    queries = np.concatenate([codes[:3], flip(codes[5:8], 0.05, rng)])
    for section in SegmentFile(path).sections:
        for fill in (0, 255, None):
            file = SegmentFile(path)
            noise = rng.bytes(section.size) if fill is None else bytes([fill]) * section.size
            file.data[section.offset : section.offset + section.size] = noise
            altered = tmp_path / "altered.seg"
            file.write(altered)
            segment = _core.Segment.open(str(altered), False, False)
            searcher = _core.Searcher([segment])
            searcher.search(queries, 3, 1)
            searcher.search_radius(queries, 4, 1)
            segment.export_rows()


def test_codes_come_out_in_the_order_of_dimensions_whatever_order_they_have_inside(tmp_path, n_bits):
    path = tmp_path / "a.seg"
    codes = build(path, n_bits, 10)
    inside, ids = _core.Segment.open(str(path), False, True).export_rows()
    assert np.array_equal(inside, codes[ids])
    order = np.random.default_rng(2).permutation(n_bits).astype(np.uint16)
    file = SegmentFile(path)
    file.append(Kind.BIT_ORDER, order.tobytes())
    file.write(path)
    segment = _core.Segment.open(str(path), True, True)
    assert np.array_equal(segment.bit_order, order)
    outside = np.empty((len(codes), n_bits), np.uint8)
    outside[:, order] = np.unpackbits(inside, axis=1)
    assert np.array_equal(segment.export_rows()[0], np.packbits(outside, axis=1))


def test_an_order_of_bits_must_have_each_once(tmp_path, n_bits):
    path = tmp_path / "a.seg"
    build(path, n_bits, 10)
    for wrong in (np.zeros(n_bits, np.uint16), np.arange(1, n_bits + 1, dtype=np.uint16)):
        file = SegmentFile(path)
        file.append(Kind.BIT_ORDER, wrong.tobytes())
        file.write(tmp_path / "b.seg")
        with pytest.raises(_core.DamagedSegmentError, match="bit order must hold each of"):
            _core.Segment.open(str(tmp_path / "b.seg"), False, False)
