"""Where a Ray is to be found: options, the environment, and an answer within a bounded time."""

import socket
import threading
import time

import pytest
from hashnet.distributed.addresses import (
    Address,
    check_reachable,
    chosen_address,
    parse_address,
    why_not_joined,
)


@pytest.mark.parametrize(
    ("address", "environment", "chosen"),
    [
        (None, {}, "local"),
        (None, {"RAY_ADDRESS": ""}, "local"),
        (None, {"RAY_ADDRESS": "10.0.0.1:6379"}, "10.0.0.1:6379"),
        (None, {"RAY_ADDRESS": "auto"}, "auto"),
        ("auto", {}, "auto"),
        ("auto", {"RAY_ADDRESS": "10.0.0.1:6379"}, "10.0.0.1:6379"),
        ("local", {"RAY_ADDRESS": "10.0.0.1:6379"}, "local"),
        ("head:6379", {"RAY_ADDRESS": "10.0.0.1:6379"}, "head:6379"),
    ],
)
def test_an_option_goes_before_the_environment(address, environment, chosen):
    assert chosen_address(address, environment) == chosen


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("head:6379", Address("head", 6379)),
        ("10.0.0.1:1", Address("10.0.0.1", 1)),
        ("[::1]:65535", Address("::1", 65535)),
    ],
)
def test_an_address_is_host_and_port(text, address):
    assert parse_address(text) == address
    assert str(address) == text


@pytest.mark.parametrize("text", ["", "head", "head:", ":6379", "head:0", "head:65536", "::1:80", "Auto"])
def test_what_is_no_address_is_refused_with_the_rule(text):
    with pytest.raises(ValueError, match=r"--ray is .*auto \(the cluster of this machine\), local"):
        chosen_address(text, {})


def test_the_environment_is_blamed_for_what_it_says():
    with pytest.raises(ValueError, match="RAY_ADDRESS is 'nonsense'"):
        chosen_address(None, {"RAY_ADDRESS": "nonsense"})


def test_a_ray_client_address_is_refused_with_the_remedy():
    with pytest.raises(ValueError, match=r"'ray://head:10001'.*run the command on a machine of the cluster"):
        chosen_address("ray://head:10001", {})


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def test_a_port_where_nothing_listens_is_told_at_once(listener):
    port = listener.getsockname()[1]
    listener.close()
    with pytest.raises(ConnectionError, match=rf"127\.0\.0\.1:{port} \(.*refused.*--ray local"):
        check_reachable(Address("127.0.0.1", port))


def test_a_service_that_stays_silent_is_given_up_in_time(listener):
    began = time.monotonic()
    with pytest.raises(ConnectionError, match=r"no answer within 0\.2 s"):
        check_reachable(Address(*listener.getsockname()), timeout_s=0.2)
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    ("greeting", "is_ray"),
    [
        (b"\0\0\x06\x04\0\0\0\0\0" + b"\0" * 6, True),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", False),
        (b"", False),
    ],
)
def test_only_a_grpc_server_counts_as_a_cluster(listener, greeting, is_ray):
    def answer():
        connection, _ = listener.accept()
        with connection:
            connection.recv(100)
            connection.sendall(greeting)

    server = threading.Thread(target=answer)
    server.start()
    try:
        if is_ray:
            check_reachable(Address(*listener.getsockname()))
        else:
            with pytest.raises(ConnectionError, match="what answers is another service"):
                check_reachable(Address(*listener.getsockname()))
    finally:
        server.join()


def test_a_cluster_that_is_not_there_is_told_before_ray_tries(listener, monkeypatch):
    ray = pytest.importorskip("ray")
    from hashnet.distributed import ray_cluster

    # Another test may have left a Ray in this process, which would be used as it is.
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    port = listener.getsockname()[1]
    listener.close()
    began = time.monotonic()
    with pytest.raises(ConnectionError, match="no Ray cluster answers"), ray_cluster(f"127.0.0.1:{port}"):
        pass
    assert time.monotonic() - began < 5


def caused(message, cause):
    error = ConnectionError(message)
    error.__cause__ = RuntimeError(cause)
    return error


@pytest.mark.parametrize(
    ("chosen", "error", "told"),
    [
        # As Ray 2.58 words it where a token is missing or wrong.
        (
            "head:1",
            caused("Failed to connect", "Unauthenticated: RPC error: InvalidAuthToken: ..."),
            "RAY_AUTH_TOKEN to what",
        ),
        ("auto", ConnectionError("Could not find any running Ray instance."), "ray start --head"),
        ("head:1", caused("Failed to connect", "UNIMPLEMENTED"), "is no Ray cluster that can be joined"),
    ],
)
def test_a_cluster_that_cannot_be_joined_is_told_with_the_remedy(chosen, error, told):
    assert told in why_not_joined(chosen, error)
