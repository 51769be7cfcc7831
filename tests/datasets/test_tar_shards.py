"""Tar shards: every image member is a row, and what is damaged or hostile is told."""

import io
import os
import struct
import tarfile

import numpy as np
import pytest
from streams import number, png, random_cuts, rows_of, write_tar

from hashnet.datasets import entries, open_source, tar_shards
from hashnet.errors import DamagedError, SourceChangedError, UnreadableImageError


@pytest.fixture
def shards(tmp_path):
    """700 images in two tar files, other members beside them."""
    for name, some in (("b.tar", range(600, 700)), ("a.tar", range(600))):
        members = []
        for i in some:
            members += [(f"{i:06d}.png", png(i)), (f"{i:06d}.json", b"{}"), (f"{i:06d}.cls", b"3")]
        write_tar(tmp_path / name, members)
    return tmp_path


def test_image_members_are_rows_in_the_order_of_files_and_members(shards):
    stream = open_source(shards)
    rows = rows_of(stream, [])
    assert len(stream) == 700
    assert [entry.row for entry in rows] == list(range(700))
    assert [number(entry) for entry in rows] == list(range(700))
    assert rows[0].key == "a.tar/000000.png"
    assert rows[650].key == "b.tar/000650.png"


@pytest.mark.parametrize("seed", range(5))
def test_parts_make_up_the_whole_wherever_it_is_cut(shards, seed):
    stream = open_source(shards)
    rows = rows_of(stream, random_cuts(700, seed))
    assert [(entry.row, number(entry)) for entry in rows] == [(i, i) for i in range(700)]


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_tar_format_is_read_and_long_names_are_whole(tmp_path, format):  # noqa: A002
    names = ["a.png", "ü.png", "d/" * 60 + "deep.png"]
    if format != tarfile.USTAR_FORMAT:
        names.append("n" * 180 + ".png")
    write_tar(tmp_path / "x.tar", [(name, png(i)) for i, name in enumerate(names)], format=format)
    rows = rows_of(open_source(tmp_path / "x.tar"), [1, 2, 3][: len(names) - 1])
    assert [entry.key for entry in rows] == [f"x.tar/{name}" for name in names]
    assert [number(entry) for entry in rows] == list(range(len(names)))


def test_what_is_no_image_file_is_no_row_and_links_are_bad_rows(tmp_path):
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        for kind, name in (
            (tarfile.DIRTYPE, "d.png"),
            (tarfile.SYMTYPE, "link.png"),
            (tarfile.FIFOTYPE, "pipe.png"),
        ):
            info = tarfile.TarInfo(name)
            info.type = kind
            info.linkname = "elsewhere"
            tar.addfile(info)
        for name in ("._a.png", "a.PNG", "a.txt", "png"):
            info = tarfile.TarInfo(name)
            info.size = len(png(7))
            tar.addfile(info, io.BytesIO(png(7)))
    rows = rows_of(open_source(tmp_path / "x.tar"), [])
    assert [entry.key for entry in rows] == ["x.tar/link.png", "x.tar/a.PNG"]
    with pytest.raises(UnreadableImageError, match="a link to another member"):
        rows[0].load()
    assert number(rows[1]) == 7


def test_equal_names_are_rows_of_their_own(tmp_path):
    write_tar(tmp_path / "x.tar", [("a.png", png(1)), ("a.png", png(2))])
    rows = rows_of(open_source(tmp_path / "x.tar"), [1])
    assert [(entry.row, entry.key, number(entry)) for entry in rows] == [
        (0, "x.tar/a.png", 1),
        (1, "x.tar/a.png", 2),
    ]


def test_bad_and_empty_images_are_found_when_they_are_decoded(tmp_path):
    write_tar(tmp_path / "x.tar", [("a.png", b"no image"), ("b.png", b""), ("c.png", png(3))])
    rows = rows_of(open_source(tmp_path / "x.tar"), [])
    for entry in rows[:2]:
        with pytest.raises(UnreadableImageError, match="not an image"):
            entry.load()
    assert number(rows[2]) == 3


def test_an_image_file_beyond_the_limit_is_a_bad_row(tmp_path, monkeypatch):
    for module in (entries, tar_shards):
        monkeypatch.setattr(module, "MAX_IMAGE_BYTES", 1000)
    write_tar(tmp_path / "x.tar", [("a.png", bytes(1001)), ("b.png", png(1))])
    rows = rows_of(open_source(tmp_path / "x.tar"), [])
    with pytest.raises(UnreadableImageError, match="1001 bytes are more than the limit of 1000"):
        rows[0].load()
    assert number(rows[1]) == 1


def header_at(whole, member):
    """Byte where the header of a member begins."""
    with tarfile.open(fileobj=io.BytesIO(whole)) as tar:
        return tar.getmember(member).offset


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda whole, at: whole[: at + 700], "member at byte .* bytes, of which"),
        (lambda whole, at: whole[:at], "without an end marker; it was cut off"),
        (lambda whole, at: whole[: at + 100], "header at byte .* is cut off"),
        (lambda whole, at: whole[:at] + b"x" + whole[at + 1 :], r"no tar header \(wrong checksum\)"),
        (lambda whole, at: whole + whole, "more behind its end marker"),
        (lambda whole, at: b"PK\x03\x04" + whole, "no tar header|has the number"),
        (lambda whole, at: b"", "without an end marker"),
    ],
)
def test_a_tar_file_that_is_not_whole_is_damaged(tmp_path, damage, message):
    write_tar(tmp_path / "x.tar", [(f"{i}.png", png(i) + bytes(900)) for i in range(4)])
    whole = (tmp_path / "x.tar").read_bytes()
    (tmp_path / "x.tar").write_bytes(damage(whole, header_at(whole, "2.png")))
    with pytest.raises(DamagedError, match=message):
        open_source(tmp_path / "x.tar")


def forged(kind, size, name=b"a.png"):
    """A header block with a right checksum that claims anything."""
    block = bytearray(struct.pack("100s8s8s8s12s12s8s1s", name, b"", b"", b"", size, b"", b" " * 8, kind))
    block += bytes(512 - len(block))
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (forged(b"x", b"77777777777\0"), "the limit is 1048576"),
        (forged(b"L", b"77777777777\0"), "the limit is 1048576"),
        (forged(b"0", b"\x80" + b"\xff" * 11), "of which 1024 are there"),
        (forged(b"0", b"-1\0"), "has the number"),
        (forged(b"S", b"0\0"), "is sparse"),
        (forged(b"x", b"12\0") + b"999 path=a\n".ljust(512, b"\0"), "pax header .* is damaged"),
        (forged(b"x", b"15\0") + b"13 size=-123\n".ljust(512, b"\0"), "has the size"),
        (forged(b"x", b"26\0") + b"22 GNU.sparse.major=1\n".ljust(512, b"\0"), "is sparse"),
        (forged(b"g", b"13\0") + b"11 path=ab\n".ljust(512, b"\0"), "global pax header"),
        (forged(b"L", b"0\0"), "ends between a long name and its member"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_headers_that_lie_are_damage_and_take_no_memory(tmp_path, block, message):
    (tmp_path / "x.tar").write_bytes(block + bytes(1024))
    with pytest.raises(DamagedError, match=message):
        open_source(tmp_path / "x.tar")


@pytest.mark.parametrize("seed", range(3))
def test_flipped_bytes_are_damage_or_change_no_number_of_rows_silently(tmp_path, seed):
    rng = np.random.default_rng(seed)
    write_tar(tmp_path / "x.tar", [(f"{i}.png", png(i)) for i in range(6)], format=tarfile.PAX_FORMAT)
    whole = (tmp_path / "x.tar").read_bytes()
    for _ in range(60):
        broken = bytearray(whole)
        broken[int(rng.integers(len(whole)))] ^= 1 << int(rng.integers(8))
        (tmp_path / "x.tar").write_bytes(bytes(broken))
        try:
            stream = open_source(tmp_path / "x.tar")
        except DamagedError:
            continue
        assert len(stream) == 6
        assert [entry.row for entry in rows_of(stream, [3])] == list(range(6))


def test_compressed_tars_say_what_to_do(tmp_path):
    (tmp_path / "x.tar.gz").write_bytes(b"\x1f\x8b")
    with pytest.raises(ValueError, match=r"is compressed.*unpack it to \.tar"):
        open_source(tmp_path / "x.tar.gz")


def test_another_file_of_equal_size_is_another_version(shards):
    before = open_source(shards).version()
    assert open_source(shards).version() == before
    path = shards / "a.tar"
    whole = bytearray(path.read_bytes())
    whole[600] ^= 1
    times = path.stat().st_mtime_ns
    path.write_bytes(bytes(whole))
    os.utime(path, ns=(times, times + 1))
    assert open_source(shards).version() != before


def test_a_file_that_is_replaced_after_it_was_indexed_is_not_read(shards):
    stream = open_source(shards)
    os.utime(shards / "b.tar", ns=(0, 0))
    assert len(list(stream.part(0, 600).entries())) == 600
    with pytest.raises(SourceChangedError, match=r"b\.tar changed since"):
        list(stream.part(590, 601).entries())


def test_a_file_that_shrinks_while_it_is_read_rejects_nothing(shards):
    rows = open_source(shards).part(0, 600).entries()
    assert number(next(rows)) == 0
    with (shards / "a.tar").open("r+b") as file:
        file.truncate(200_000)
    with pytest.raises(SourceChangedError, match="shrank to 200000 bytes"):
        list(map(number, rows))


@pytest.mark.parametrize(("start", "stop"), [(-1, 3), (3, 2), (0, 701)])
def test_rows_that_are_not_there_are_refused(shards, start, stop):
    with pytest.raises(ValueError, match="outside the 700"):
        open_source(shards).part(start, stop)
