"""Amounts of memory are read as people write them."""

import pytest

from hashnet.cli.sources import parse_memory


@pytest.mark.parametrize(
    ("text", "n"),
    [
        ("4096", 4096),
        ("512M", 512 * 2**20),
        ("4G", 4 * 2**30),
        ("4g", 4 * 2**30),
        ("4GiB", 4 * 2**30),
        ("1.5 GiB", 3 * 2**29),
        ("4GB", 4 * 10**9),
        ("100 B", 100),
        ("1T", 2**40),
    ],
)
def test_an_amount_is_a_number_of_bytes(text, n):
    assert parse_memory(text) == n


@pytest.mark.parametrize("text", ["", "G", "4X", "-4G", "4Gib4", "1e9", "4,5G", "٤G", "inf", "1" * 400])
def test_anything_else_is_refused(text):
    with pytest.raises(ValueError, match=r"--memory must be an amount of memory like 512M, 4G or 4GiB"):
        parse_memory(text)


def test_no_amount_is_none():
    assert parse_memory(None) is None
