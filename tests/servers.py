"""Servers that tests run against, each started once a session on ports of its own and stopped by its process.

Import the fixtures that a room needs into its conftest.py:

    from tests.servers import moto_server, seaweed_server  # noqa: F401
"""

import contextlib
import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

BUCKET = "cauce-tests"
_KEY = "test-key"
_SECRET = "test-secret"
_START_SECONDS = 60.0


@dataclass(frozen=True)
class S3Server:
    """A running server that speaks S3 and has a bucket."""

    endpoint: str
    bucket: str = BUCKET

    def url(self, prefix: str) -> str:
        """A bucket URL for `open_store`, below a prefix of the test's own."""
        return f"s3://{self.bucket}/{prefix}?endpoint={quote(self.endpoint, safe='')}&region=us-east-1"


@pytest.fixture(scope="session")
def aws_credentials() -> Iterator[None]:
    """Credentials that the test servers take, in the usual AWS chain."""
    with credentials():
        yield


@contextlib.contextmanager
def credentials() -> Iterator[None]:
    """The environment as `aws_credentials` has it."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        patch.setenv("AWS_ACCESS_KEY_ID", _KEY)
        patch.setenv("AWS_SECRET_ACCESS_KEY", _SECRET)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("AWS_CONFIG_FILE", os.devnull)
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        yield


@pytest.fixture
def mocked_aws(aws_credentials: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """boto3 answered within this process; it opens no connection."""
    monkeypatch.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")  # many seconds for what nobody asks here
    from moto import mock_aws

    mocking = mock_aws()
    mocking.start(reset=False)  # the moto server of other tests is in this process, and has its buckets there too
    try:
        yield
    finally:
        mocking.stop(remove_data=False)


@pytest.fixture(scope="session")
def moto_server(aws_credentials: None) -> Iterator[S3Server]:
    """The everyday S3: in memory, in this process."""
    with moto() as server:
        yield server


@contextlib.contextmanager
def moto() -> Iterator[S3Server]:
    """A moto server of the caller's own; credentials stand in the environment."""
    from moto.s3.responses import S3Response
    from moto.server import ThreadedMotoServer
    from werkzeug.serving import WSGIRequestHandler

    protocol = WSGIRequestHandler.protocol_version
    WSGIRequestHandler.protocol_version = "HTTP/1.1"  # S3 keeps connections open
    # It looks whether an object is there, and writes it, with other threads in between: S3 does both at once.
    put_object, one_at_a_time = S3Response.put_object, threading.Lock()

    def put_at_once(response: S3Response) -> Any:
        with one_at_a_time:
            return put_object(response)

    S3Response.put_object = put_at_once
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        found = S3Server(f"http://{host}:{port}")
        _make_bucket(found)
        yield found
    finally:
        server.stop()
        S3Response.put_object = put_object
        WSGIRequestHandler.protocol_version = protocol


@pytest.fixture(scope="session")
def seaweed_server(aws_credentials: None) -> Iterator[S3Server]:
    """A real, persistent store: SeaweedFS on a temporary folder."""
    with seaweed() as server:
        yield server


@contextlib.contextmanager
def seaweed(volume_mib: int = 64) -> Iterator[S3Server]:
    """A SeaweedFS of the caller's own with room for 20 volumes; credentials stand in the environment."""
    with tempfile.TemporaryDirectory(prefix="seaweed-") as folder:
        ports = free_ports(8)
        log = Path(folder) / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                _weed_command(Path(folder), ports, volume_mib),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env={**os.environ, "HOME": folder},
            )
        try:
            found = S3Server(f"http://127.0.0.1:{ports[0]}")
            _make_bucket(found, process, log)
            yield found
        finally:
            process.kill()  # its folder goes too, and a gentle stop takes ten seconds
            process.wait()


def free_ports(count: int) -> list[int]:
    """Ports of the loopback address that nobody listens on now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def kept_ports(count: int) -> list[int]:
    """Free ports that nobody gets by chance while who listens there is away: below those of outgoing connections."""
    chance, found = random.SystemRandom(), set[int]()
    while len(found) < count:
        port = chance.randrange(15_000, 32_000)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            found.add(port)
    return list(found)


def closed_port() -> int:
    """A port on which connections are refused."""
    return free_ports(1)[0]


def _weed_command(folder: Path, ports: list[int], volume_mib: int) -> list[str]:
    names = ("s3.port", "s3.port.grpc", "master.port", "master.port.grpc", "volume.port", "volume.port.grpc")
    flags = [f"-{name}={port}" for name, port in zip((*names, "filer.port", "filer.port.grpc"), ports, strict=True)]
    weed = Path(sys.executable).parent / "weed"
    return [
        str(weed) if weed.exists() else "weed",
        "server",
        "-s3",
        f"-dir={folder}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-s3.iam=false",
        "-master.telemetry=false",
        f"-master.volumeSizeLimitMB={volume_mib}",
        "-volume.max=20",
        *flags,
    ]


def _make_bucket(server: S3Server, process: "subprocess.Popen[bytes] | None" = None, log: Path | None = None) -> None:
    """Create the bucket as soon as the server lets us; fail with what it printed when it ends or takes too long."""
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    config = Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=10)
    client: Any = boto3.client("s3", endpoint_url=server.endpoint, region_name="us-east-1", config=config)
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            client.create_bucket(Bucket=server.bucket)
            client.put_object(Bucket=server.bucket, Key="ready", Body=b"ready")
            return
        except (BotoCoreError, ClientError) as error:
            ended = process is not None and process.poll() is not None
            if ended or time.monotonic() > deadline:
                printed = log.read_text(errors="replace")[-2000:] if log else ""
                raise RuntimeError(f"the server did not start: {error}\n{printed}") from error
            time.sleep(0.1)  # polls with a deadline
