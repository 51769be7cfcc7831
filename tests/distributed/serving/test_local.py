"""``hashnet serve`` without Ray: a process that listens on this machine, answers, and ends when asked."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
from serving_samples import N_CODES, READ_KEY, bearer, hexed

from hashnet import Index


@pytest.fixture(scope="module")
def directory(data, tmp_path_factory):
    path = tmp_path_factory.mktemp("local") / "photos.hnx"
    with Index.create(path, n_bits=64) as index:
        index.add(data[0], ids=data[1])
    return path


@pytest.fixture
def start(directory):
    """Start the command; return the process and its URL."""
    running = []

    def run(*arguments, environment=None):
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "hashnet", "serve", directory, "--shards", "0", "--port", "0"),
                *("--json", *arguments),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **(environment or {})},
        )
        running.append(process)
        line = process.stdout.readline()
        assert line, process.stderr.read()
        return process, json.loads(line)["url"]

    yield run
    for process in running:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def listening(process):
    """Addresses that a process listens on, from the kernel."""
    proc = Path(f"/proc/{process.pid}")
    sockets = {str(fd.readlink()) for fd in (proc / "fd").iterdir()}
    lines = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in (proc / "net" / table).read_text().splitlines()[1:]
    ]
    return [one[1].split(":")[0] for one in lines if one[3] == "0A" and f"socket:[{one[9]}]" in sockets]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_answers_and_ends_well(start, data, number):
    process, url = start()
    assert listening(process) == ["0100007F"]  # 127.0.0.1 as the kernel writes it
    asked = {"codes": hexed(data[2][:1]), "k": 1}
    answer = httpx2.post(f"{url}search", json=asked, trust_env=False).json()
    assert answer["answers"][0]["distances"] == [0]
    process.send_signal(number)
    assert (process.wait(15), process.stderr.read()) == (0, "")


def test_a_stream_that_has_begun_is_ended_before_the_process(start, data):
    process, url = start()
    asked = {"codes": hexed(data[2][:1]) * 1000, "radius": 64}
    headers = {"accept": "application/x-ndjson"}
    with httpx2.stream(
        "POST", f"{url}search_radius", json=asked, headers=headers, trust_env=False
    ) as response:
        lines = response.iter_lines()
        # Far more is to come than the buffers of a connection hold.
        assert json.loads(next(lines))["counts"] == [N_CODES] * 1000
        process.send_signal(signal.SIGTERM)
        *_, last = lines
    assert json.loads(last)["neighbors"] == 1000 * N_CODES
    assert process.wait(15) == 0


def test_keys_come_from_the_environment(start):
    _, url = start(environment={"HASHNET_KEYS": f"read {READ_KEY}"})
    assert httpx2.get(f"{url}info", trust_env=False).status_code == 401
    assert httpx2.get(f"{url}info", headers=bearer(READ_KEY), trust_env=False).status_code == 200


@pytest.fixture
def refused(directory):
    """Run the command, which must end by itself; return its exit code and message."""

    def run(*arguments):
        done = subprocess.run(
            [sys.executable, "-m", "hashnet", "serve", directory, *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.stdout == ""
        return done.returncode, done.stderr

    return run


def test_others_are_not_served_without_a_key(refused):
    code, message = refused("--host", "0.0.0.0", "--shards", "0")
    assert (code, message.count("\n")) == (2, 1)
    assert "there is no key" in message


def test_a_port_that_is_taken_is_named(refused):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        for shards in ("0", "1"):
            code, message = refused("--port", str(port), "--shards", shards)
            assert code == 1
            assert f"cannot listen on 127.0.0.1:{port}" in message


def test_the_wrong_model_is_refused_before_anything_starts(refused, tiny_model):
    code, message = refused("--model", tiny_model)
    assert (code, "codes of 32 bits, the index holds codes of 64" in message) == (2, True)
