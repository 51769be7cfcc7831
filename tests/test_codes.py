"""Packed codes: the layout of numpy.packbits, and nothing converted silently."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hashnet


@given(st.integers(0, 20), st.sampled_from([8, 24, 64, 1024]), st.integers(0, 2**32 - 1))
def test_unpack_inverts_pack(n, n_bits, seed):
    bits = np.random.default_rng(seed).integers(0, 2, (n, n_bits)).astype(bool)
    codes = hashnet.pack(bits)
    assert codes.dtype == np.uint8
    assert codes.shape == (n, n_bits // 8)
    assert np.array_equal(hashnet.unpack(codes), bits)


def test_a_bit_is_set_where_the_relaxed_code_is_positive_and_the_first_is_most_significant():
    relaxed = np.array([[0.5, 0.0, -0.1, 1e-30, -1, -1, -1, 2]], dtype=np.float32)
    assert hashnet.pack(relaxed).tolist() == [[0b10010001]]


def test_codes_of_a_transposed_array_are_rows():
    relaxed = np.random.default_rng(0).standard_normal((16, 5)).T
    codes = hashnet.pack(relaxed)
    assert codes.flags.c_contiguous
    assert np.array_equal(codes, hashnet.pack(np.ascontiguousarray(relaxed)))
    assert np.array_equal(hashnet.unpack(codes), relaxed > 0)


def test_nan_has_no_sign():
    relaxed = np.zeros((3, 8))
    relaxed[1, 4] = np.nan
    with pytest.raises(ValueError, match="relaxed code 1 has NaN"):
        hashnet.pack(relaxed)


@pytest.mark.parametrize(
    ("relaxed", "error", "message"),
    [
        ([[1.0] * 8], TypeError, "numpy array"),
        (np.zeros((2, 12)), ValueError, "multiple of 8, got 12; pad the codes with zero bits"),
        (np.zeros(8), ValueError, r"shape \(n, n_bits\), got \(8,\)"),
        (np.zeros((1, 8), dtype=complex), TypeError, "real numbers"),
    ],
)
def test_what_cannot_be_packed_is_refused(relaxed, error, message):
    with pytest.raises(error, match=message):
        hashnet.pack(relaxed)


def test_unpack_refuses_what_is_not_packed():
    with pytest.raises(ValueError, match="shape"):
        hashnet.unpack(np.zeros(8, dtype=np.uint8))
    with pytest.raises(TypeError, match="dtype uint8"):
        hashnet.unpack(np.zeros((1, 8), dtype=np.int16))
