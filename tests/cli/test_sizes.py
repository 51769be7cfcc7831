"""Amounts of memory are read as people write them."""

import pytest

from hashnet.cli.sizes import parse_bytes


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
    assert parse_bytes(text, name="--memory") == n


@pytest.mark.parametrize("text", ["", "G", "4X", "-4G", "4Gib4", "1e9", "4,5G", "٤G", "inf"])
def test_anything_else_is_refused(text):
    with pytest.raises(ValueError, match=r"--memory must be an amount of memory like 512M, 4G or 4GiB"):
        parse_bytes(text, name="--memory")
