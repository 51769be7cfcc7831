"""Settings of a served index are refused with the value, the rule and the remedy."""

from pathlib import Path

import pytest
from hashnet.distributed.replicas import Watch
from hashnet.distributed.settings import Settings, all_paths, check_shard

RIGHT = {
    "replicas": 2,
    "threads": 1,
    "cpus": 0.0,
    "timeout_s": 5.0,
    "hedge_after_s": "auto",
    "watch": Watch(),
}


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"replicas": 0}, ValueError, "replicas must be at least 1, got 0"),
        ({"replicas": 1.5}, TypeError, "replicas must be an int, got float"),
        ({"threads": 0}, ValueError, "threads must be at least 1, got 0"),
        ({"threads": "2"}, TypeError, "threads must be an int, got str"),
        ({"cpus": -1}, ValueError, "cpus_per_shard must be at least 0, got -1"),
        ({"timeout_s": 0}, ValueError, "timeout_s must be more than 0, or None for no bound, got 0"),
        ({"timeout_s": float("nan")}, ValueError, "timeout_s must be more than 0"),
        ({"hedge_after_s": "soon"}, TypeError, "hedge_after_s must be seconds"),
        ({"watch": 5}, TypeError, "watch must be a Watch, got int"),
    ],
)
def test_a_wrong_setting_is_refused(wrong, error, message):
    Settings(**RIGHT)
    with pytest.raises(error, match=message):
        Settings(**{**RIGHT, **wrong})


@pytest.mark.parametrize(
    ("shard", "error"), [(-1, ValueError), (2, ValueError), (True, TypeError), ("0", TypeError)]
)
def test_a_shard_that_is_none_is_refused(shard, error):
    assert check_shard(1, 2) == 1
    with pytest.raises(error, match="shard must be"):
        check_shard(shard, 2)


def test_paths_are_absolute_and_a_single_copy_is_not_taken_for_letters():
    assert all_paths("a", ["/b"]) == (Path.cwd() / "a", Path("/b"))
    with pytest.raises(TypeError, match="copies must be a list of directories"):
        all_paths("a", "b")
