"""Object storage on this machine: an S3 server whose requests can be made to fail, and one like Google's."""

import io
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from contextlib import contextmanager
from threading import Thread

import pytest

BUCKET = "photos"
EMULATOR = """
import sys, threading
from gcp_storage_emulator.server import create_server
create_server("127.0.0.1", int(sys.argv[1]), in_memory=True, default_bucket=sys.argv[2]).start()
threading.Event().wait()
"""


class S3Server:
    """A moto server in threads of this process, with a bucket; ``failures`` answers 503 instead.

    ``failures`` maps a pattern of ``METHOD /path`` to how often requests that match it fail.
    """

    def __init__(self):
        pytest.importorskip("moto.server", reason="moto[s3,server] is not installed")
        from moto.server import DomainDispatcherApplication, create_backend_app
        from werkzeug.serving import WSGIRequestHandler, make_server

        class Quiet(WSGIRequestHandler):
            def log_request(self, *arguments):
                pass

        self._app = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self, threaded=True, request_handler=Quiet)
        self.port = self._server.server_port
        self.failures = {}
        self.failed = []
        Thread(target=self._server.serve_forever, daemon=True).start()
        self._put("")

    def __call__(self, environ, start_response):
        asked = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}"
        for pattern, left in self.failures.items():
            if left > 0 and re.fullmatch(pattern, asked):
                self.failures[pattern] -= 1
                self.failed.append(asked)
                start_response("503 Slow Down", [("Content-Type", "application/xml")])
                return [b"<Error><Code>SlowDown</Code><Message>Slow down</Message></Error>"]
        answer = self._app(environ, start_response)
        if "list-type=2" not in environ["QUERY_STRING"]:
            return answer
        # As some servers do it, and Amazon's does not: with milliseconds, which single objects never have.
        return [re.sub(rb"(?<=<LastModified>)([^<.]*)\.\d+Z", rb"\1.789Z", b"".join(answer))]

    @property
    def endpoint(self):
        """Where the server answers."""
        return f"http://127.0.0.1:{self.port}"

    def address(self, key):
        """What a user writes for an object or a prefix."""
        query = f"region=us-east-1&scheme=http&endpoint_override=127.0.0.1:{self.port}"
        return f"s3://{BUCKET}/{urllib.parse.quote(key)}?{query}"

    def put(self, key, data):
        """Store an object."""
        self._put(f"/{urllib.parse.quote(key)}", data)

    def delete(self, key):
        """Remove an object."""
        request = urllib.request.Request(
            f"{self.endpoint}/{BUCKET}/{urllib.parse.quote(key)}", method="DELETE"
        )
        self._ask(request)

    def close(self):
        """Stop answering."""
        self._server.shutdown()

    def _put(self, path, data=b""):
        self._ask(urllib.request.Request(f"{self.endpoint}/{BUCKET}{path}", data=data, method="PUT"))

    def _ask(self, request):
        request.add_header("Content-Type", "application/octet-stream")
        # Moto takes any signature.
        request.add_header(
            "Authorization", "AWS4-HMAC-SHA256 Credential=k/20260101/us-east-1/s3/aws4_request"
        )
        with urllib.request.urlopen(request) as answer:
            answer.read()


class GoogleServer:
    """The storage emulator in a process of its own, for its threads would wait for those of pyarrow here."""

    def __init__(self):
        pytest.importorskip("gcp_storage_emulator", reason="gcp-storage-emulator is not installed")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._process = subprocess.Popen(
            [sys.executable, "-c", EMULATOR, str(self.port), BUCKET], stderr=subprocess.DEVNULL
        )
        end = time.monotonic() + 30
        while time.monotonic() < end:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                    return
            except OSError:
                time.sleep(0.05)
        raise TimeoutError("the storage emulator did not start")

    def address(self, key):
        """What a user writes for an object or a prefix."""
        query = f"scheme=http&endpoint_override=127.0.0.1:{self.port}&retry_limit_seconds=5"
        return f"gs://anonymous@{BUCKET}/{urllib.parse.quote(key)}?{query}"

    def put(self, key, data):
        """Store an object."""
        asked = urllib.parse.urlencode({"uploadType": "media", "name": key})
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/upload/storage/v1/b/{BUCKET}/o?{asked}",
            data=data,
            headers={"Content-Type": "application/octet-stream"},
        )
        with urllib.request.urlopen(request) as answer:
            answer.read()

    def close(self):
        """End the process."""
        self._process.kill()
        self._process.wait()


@contextmanager
def credentials():
    """Keys of nobody in the environment, and no search for others."""
    wanted = {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    yield
    for name, value in before.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value


def fill(server, images):
    """Store images as a folder, in tar shards, in Parquet and as a list; return the address of each.

    ``images`` maps paths to image files. The list names the objects of the folder.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq
    from streams import write_tar_to

    paths = sorted(images, key=str.encode)
    for path in paths:
        server.put(f"folder/{path}", images[path])
    for shard, some in enumerate((paths[: len(paths) // 3], paths[len(paths) // 3 :])):
        file = io.BytesIO()
        write_tar_to(file, [(path, images[path]) for path in some])
        server.put(f"tars/{shard}.tar", file.getvalue())
    file = io.BytesIO()
    pq.write_table(
        pa.table({"key": paths, "image": [images[path] for path in paths]}), file, row_group_size=7
    )
    server.put("table/a.parquet", file.getvalue())
    server.put("lists/a.txt", "\n".join(server.address(f"folder/{path}") for path in paths).encode())
    return {
        "folder": server.address("folder"),
        "tar": server.address("tars"),
        "parquet": server.address("table/a.parquet"),
        "list": server.address("lists/a.txt"),
    }
