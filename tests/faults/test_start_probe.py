"""A node does not start on a store that lets two writers win one key: by overwriting, or only when they race."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType

import pytest

from cauce.testing import CauceProcess
from infra.clock import SYSTEM_CLOCK
from tests.cauce.commands import fails_to_start, runs
from tests.servers import S3Server

_RACE_SECONDS = 0.1


class _CarelessStore(ThreadingHTTPServer):
    """As much of S3 as the probe needs; the condition of a create is not what it should be."""

    request_queue_size = 64

    def __init__(self, *, looks_first: bool) -> None:
        """`looks_first`: it refuses to overwrite what it sees, looks too early and writes too late."""
        super().__init__(("127.0.0.1", 0), _Handler)
        self.looks_first = looks_first
        self.objects: dict[str, bytes] = {}
        self.headers: dict[str, dict[str, str]] = {}  # x-amz-meta-… of each
        self.conditions = 0


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _CarelessStore

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.conditions += self.headers["if-none-match"] == "*"
        if self.server.looks_first and self.path in self.server.objects:
            return self._say(412, b"<Error><Code>PreconditionFailed</Code></Error>")
        if self.server.looks_first:
            time.sleep(_RACE_SECONDS)
        key = self.path.partition("?")[0]
        self.server.objects[key] = body
        self.server.headers[key] = {name: text for name, text in self.headers.items() if name.startswith("x-amz-meta")}
        return self._say(200, b"")

    def do_GET(self) -> None:
        key = self.path.partition("?")[0]
        found = self.server.objects.get(key)
        if found is None:
            return self._say(404, b"<Error><Code>NoSuchKey</Code></Error>")
        return self._say(200, found, self.server.headers[key])

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self._say(200, b"<DeleteResult></DeleteResult>")

    def do_DELETE(self) -> None:
        self._say(204, b"")

    def log_message(self, *arguments: object) -> None:
        return

    def _say(self, status: int, body: bytes, headers: Mapping[str, str] = MappingProxyType({})) -> None:
        self.send_response(status)
        for name, text in headers.items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@contextmanager
def _careless_store(*, looks_first: bool) -> Iterator[_CarelessStore]:
    store = _CarelessStore(looks_first=looks_first)
    thread = threading.Thread(target=store.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield store
    finally:
        store.shutdown()
        thread.join()
        store.server_close()


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("aws_credentials")
@pytest.mark.parametrize("looks_first", [False, True], ids=["overwrites", "races"])
def test_a_store_that_does_not_keep_writers_apart(tmp_path: Path, looks_first: bool) -> None:
    with _careless_store(looks_first=looks_first) as store:
        bucket = S3Server(f"http://127.0.0.1:{store.server_port}", "careless").url("x")
        says = fails_to_start(
            "up", "--data", str(tmp_path), "--listen", "127.0.0.1:0", "--set", f"cauce.bucket={bucket}"
        )
    assert "does not keep two writers apart" in says
    assert "Use a store that honours conditional writes" in says
    assert store.conditions >= 32
    assert {path.split("/")[3] for path in store.objects} == {"probe"} or len(
        store.objects
    ) == 1  # nothing else was written


@pytest.mark.timeout(300)
def test_a_store_that_makes_a_bucket_at_its_first_write(tmp_path: Path, seaweed_server: S3Server) -> None:
    """Until then it says of each read that there is no such bucket."""
    bucket = S3Server(seaweed_server.endpoint, f"made-at-{SYSTEM_CLOCK.token()}").url("x")
    node = CauceProcess(tmp_path, options=["--set", f"cauce.bucket={bucket}"])
    node.start()
    try:
        runs("topic", "create", "t", "-b", node.bootstrap)
    finally:
        assert node.stop() == 0
