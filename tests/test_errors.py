"""Errors say what they are about, also after the way from another process."""

from __future__ import annotations

import copy

import pytest

from hashnet.errors import DamagedError, FingerprintError, IncompleteError, UnreadableImageError


@pytest.mark.parametrize(
    "error",
    [
        DamagedError("a.seg", "too short"),
        FingerprintError("sha256:a", "sha256:b", what="queries"),
        IncompleteError([1, 2], "gone"),
        UnreadableImageError("cat.jpg", "truncated"),
    ],
)
def test_an_error_is_rebuilt_whole(error):
    # copy takes an object apart and together again by the protocol that processes use.
    again = copy.copy(error)
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)
