"""Settings are checked at the start, and a service without keys stays on this machine."""

import pytest
from hashnet.distributed.serving.keys import Keys, parse_keys
from hashnet.distributed.serving.settings import ServiceSettings, check_host, is_loopback


@pytest.mark.parametrize("name", ["max_body_bytes", "max_queries", "max_k", "max_concurrent", "workers"])
def test_a_limit_of_nothing_is_refused(name):
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        ServiceSettings(**{name: 0})


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
def test_a_timeout_is_a_positive_time(value):
    with pytest.raises(ValueError, match="timeout_s"):
        ServiceSettings(timeout_s=value)


def test_what_may_be_zero_may():
    ServiceSettings(max_radius=0, explain_every=0, code_table=0, timeout_s=0.1)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.9.1", "::1", "[::1]"])
def test_loopback_is_known(host):
    assert is_loopback(host)
    assert check_host(host, Keys()) == host


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "example.org", "localhost.example.org", ""])
def test_others_need_a_key(host):
    assert not is_loopback(host)
    with pytest.raises(ValueError, match="there is no key"):
        check_host(host, Keys())
    assert check_host(host, parse_keys("read " + "k" * 22, source="test")) == host
