"""A code file is mapped as what it is, or refused with what is wrong with it."""

from __future__ import annotations

import struct
import tracemalloc

import numpy as np
import pytest
from codesets import make_codes
from hypothesis import given, settings
from hypothesis import strategies as st

import hashnet
from hashnet.errors import DamagedError
from hashnet.index import open_codes


def write(path, codes):
    """Write ``codes`` in the form that the suffix of ``path`` names."""
    if path.suffix == ".npy":
        np.save(path, codes)
    elif path.suffix == ".u8bin":
        path.write_bytes(struct.pack("<II", *codes.shape) + codes.tobytes())
    else:
        path.write_bytes(codes.tobytes())
    return path


@pytest.fixture
def codes():
    return make_codes("uniform", 100, 64, np.random.default_rng(0))


@pytest.mark.parametrize("suffix", [".npy", ".u8bin", ".bin", ".raw"])
def test_every_form_gives_back_the_codes(tmp_path, codes, suffix):
    opened = open_codes(write(tmp_path / f"codes{suffix}", codes), n_bits=64)
    assert (opened.dtype, opened.flags.c_contiguous, opened.flags.writeable) == (np.uint8, True, False)
    assert np.array_equal(opened, codes)


@pytest.mark.parametrize("suffix", [".npy", ".u8bin"])
def test_a_header_tells_the_length_of_a_code(tmp_path, codes, suffix):
    path = write(tmp_path / f"codes{suffix}", codes)
    assert open_codes(str(path)).shape == (100, 8)
    with pytest.raises(ValueError, match="holds codes of 64 bits, but n_bits=128 was given"):
        open_codes(path, n_bits=128)


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_every_version_of_npy_is_read(tmp_path, codes, version):
    with (tmp_path / "codes.npy").open("wb") as file:
        np.lib.format.write_array(file, codes, version=version)
    assert np.array_equal(open_codes(tmp_path / "codes.npy"), codes)


@settings(deadline=None, max_examples=40)
@given(
    n_bits=st.sampled_from([8, 40, 64, 128]),
    n=st.integers(1, 300),
    suffix=st.sampled_from([".npy", ".u8bin", ".bin"]),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_file_added_is_the_array_added(tmp_path_factory, n_bits, n, suffix, seed):
    codes = make_codes("repeated", n, n_bits, np.random.default_rng(seed))
    path = write(tmp_path_factory.mktemp("file") / f"codes{suffix}", codes)
    mapped, plain = (hashnet.Index.in_memory(n_bits=n_bits) for _ in range(2))
    mapped.add(open_codes(path, n_bits=n_bits))
    plain.add(codes)
    for one, other in zip(mapped.export(), plain.export(), strict=True):
        assert np.array_equal(one, other)


def test_adding_a_file_allocates_nothing_of_its_size(tmp_path):
    n = 400_000
    codes = make_codes("uniform", n, 64, np.random.default_rng(1))
    path = write(tmp_path / "codes.u8bin", codes)
    with hashnet.Index.create(tmp_path / "i", n_bits=64) as index:
        tracemalloc.start()
        try:
            index.add(open_codes(path))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    # What Python and numpy allocate: neither the codes (8 bytes a row) nor ids (8 bytes a row).
    assert peak < n


HUGE = struct.pack("<II", 2**32 - 1, 2**32 - 1)


@pytest.mark.parametrize(
    ("name", "content", "n_bits", "error", "message"),
    [
        ("a.npy", b"", None, ValueError, "a.npy is empty"),
        ("a.bin", b"", 64, ValueError, "a.bin is empty"),
        ("a.txt", b"abc", None, ValueError, r"suffix '.txt', but a code file ends in .npy, .u8bin, .bin"),
        ("a", b"abc", None, ValueError, "suffix ''"),
        ("a.npy", b"no array at all", None, ValueError, "not an .npy file"),
        ("a.npy", b"\x93NUMPY\x01\x00\x10\x00{'descr':", None, DamagedError, "a.npy is damaged"),
        ("a.npy", b"\x93NUMPY\x09\x00\x10\x00" + b" " * 16, None, DamagedError, "a.npy is damaged"),
        ("a.u8bin", b"\x01\x00\x00", None, DamagedError, "has 3 bytes, the header alone takes 8"),
        ("a.u8bin", struct.pack("<II", 0, 8), None, ValueError, "holds no codes"),
        ("a.u8bin", struct.pack("<II", 1, 0), None, ValueError, "rows of 0 bytes: n_bits must be from 8"),
        ("a.u8bin", struct.pack("<II", 1, 129) + bytes(129), None, ValueError, "got 1032"),
        ("a.u8bin", HUGE, None, ValueError, "rows of 4294967295 bytes"),
        (
            "a.u8bin",
            struct.pack("<II", 2, 8) + bytes(15),
            None,
            DamagedError,
            "24 bytes, it has 23",
        ),
        ("a.u8bin", struct.pack("<II", 2, 8) + bytes(17), None, DamagedError, "24 bytes, it has 25"),
        ("a.bin", bytes(16), None, ValueError, r"no header .*; give n_bits"),
        ("a.bin", bytes(17), 64, ValueError, "whole codes of 8 bytes for n_bits=64, got 17 bytes"),
        ("a.bin", bytes(16), 12, ValueError, "multiple of 8, got 12"),
        ("a.raw", bytes(16), 64.0, TypeError, "n_bits must be an int"),
    ],
)
def test_what_is_no_code_file_is_refused(tmp_path, name, content, n_bits, error, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(error, match=message):
        open_codes(tmp_path / name, n_bits=n_bits)


@pytest.mark.parametrize(
    ("array", "error", "message"),
    [
        (np.zeros((2, 8), dtype=np.float32), TypeError, "must hold uint8 .* got float32"),
        (np.zeros((2, 8), dtype=np.int8), TypeError, "got int8"),
        (np.zeros((2, 8), dtype=[("a", np.uint8)]), TypeError, "must hold uint8"),
        (np.array([[None]]), TypeError, "got object"),
        (np.zeros(8, dtype=np.uint8), ValueError, r"shape \(n, n_bits / 8\), got \(8,\)"),
        (np.zeros((1, 2, 8), dtype=np.uint8), ValueError, r"got \(1, 2, 8\)"),
        (np.zeros((0, 8), dtype=np.uint8), ValueError, "holds no codes"),
        (np.zeros((8, 2), dtype=np.uint8).T, ValueError, "Fortran order"),
        (np.zeros((1, 200), dtype=np.uint8), ValueError, "from 8 to 1024, got 1600"),
    ],
)
def test_an_array_of_something_else_is_refused(tmp_path, array, error, message):
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises(error, match=message):
        open_codes(tmp_path / "a.npy")


def test_a_file_that_is_cut_off_is_named(tmp_path, codes):
    path = write(tmp_path / "codes.npy", codes)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(DamagedError, match=r"codes\.npy is damaged: its header tells of 100 codes"):
        open_codes(path)


def test_what_is_not_there_or_a_folder_is_said(tmp_path):
    (tmp_path / "folder.npy").mkdir()
    for name in ("absent.npy", "folder.npy"):
        with pytest.raises(FileNotFoundError, match=f"{name} does not exist or is not a file"):
            open_codes(tmp_path / name)


def test_a_mapped_file_cannot_be_changed(tmp_path, codes):
    opened = open_codes(write(tmp_path / "codes.npy", codes))
    with pytest.raises(ValueError, match="read-only"):
        opened[0, 0] = 1
