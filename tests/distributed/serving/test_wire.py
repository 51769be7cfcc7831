"""Codes come back from their texts, and nothing else is taken for a code."""

import base64

import numpy as np
import pytest
from hashnet.distributed.serving.problems import ApiError
from hashnet.distributed.serving.wire import base64_of, decode_codes, hex_of
from hypothesis import given
from hypothesis import strategies as st

WRITERS = {"hex": hex_of, "base64": base64_of, "array": lambda codes: codes.tolist()}


@pytest.mark.parametrize("encoding", WRITERS)
@given(n=st.integers(1, 5), n_bytes=st.integers(1, 128), seed=st.integers(0, 2**32 - 1))
def test_codes_survive_the_wire(encoding, n, n_bytes, seed):
    codes = np.random.default_rng(seed).integers(0, 256, (n, n_bytes), dtype=np.uint8)
    decoded = decode_codes(WRITERS[encoding](codes), encoding, n_bits=8 * n_bytes)
    assert (decoded.dtype, decoded.shape) == (codes.dtype, codes.shape)
    np.testing.assert_array_equal(decoded, codes)


def test_the_first_bit_is_the_highest_of_the_first_byte():
    assert np.unpackbits(decode_codes(["80"], "hex", n_bits=8)).tolist() == [1, 0, 0, 0, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("encoding", "text", "message"),
    [
        ("hex", "0" * 15, "must have 16 hex digits for n_bits=64, got 15"),
        ("hex", "0" * 17, "got 17"),
        ("hex", "0" * 14 + " 0", "is not hex"),
        ("hex", "0" * 14 + "0x", "is not hex"),
        ("hex", "0" * 15 + "ß", "is not hex"),
        ("hex", [0] * 8, "must be a string"),
        ("base64", "AAAAAAAAAA", "must have 12 characters of base64"),
        ("base64", "AAAAAAAAAAA!", "is not base64"),
        # Nine and seven bytes have as many characters as eight.
        ("base64", base64.b64encode(bytes(9)).decode(), "is not base64"),
        ("base64", base64.b64encode(bytes(7)).decode(), "is not base64"),
        ("array", [0] * 7, "must have 8 bytes"),
        ("array", [0] * 7 + [256], "is not a list of bytes"),
        ("array", [0] * 7 + [-1], "is not a list of bytes"),
        ("array", "00000000", "must be a list of bytes"),
    ],
)
def test_what_is_no_code_is_refused_with_its_place(encoding, text, message):
    good = WRITERS[encoding](np.zeros((1, 8), dtype=np.uint8))
    with pytest.raises(ApiError, match=message) as caught:
        decode_codes([*good, text], encoding, n_bits=64)
    assert caught.value.code == "invalid_codes"
    assert caught.value.message.startswith("codes[1]")


def test_one_byte_is_not_spread_over_two():
    # As many characters as two bytes have.
    with pytest.raises(ApiError):
        decode_codes([base64.b64encode(b"a").decode()], "base64", n_bits=16)
