"""`cauce doctor`: says that all is well where it is, names what is not, and what to do about it."""

import asyncio
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from cauce.doctor.bucket import check_bucket, check_credentials
from cauce.doctor.disk import check_disk
from cauce.doctor.finding import Finding
from cauce.doctor.ports import check_ports
from cauce.doctor.redis import check_redis
from cauce.testing import CauceProcess
from infra.clock import SYSTEM_CLOCK, Clock
from infra.settings import ListenerAddress
from tests.cauce.cluster import shared_redis
from tests.cauce.commands import ends, fails
from tests.servers import S3Server, aws_credentials, closed_port, moto_server

__all__ = ["aws_credentials", "moto_server"]


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with shared_redis(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture
def server(valkey: str) -> Iterator[Any]:
    """A client of the Valkey, whose settings are as they were afterwards."""
    client = redis.Redis(unix_socket_path=valkey.removeprefix("unix://"))
    yield client
    client.config_set("maxmemory-policy", "noeviction")
    client.config_set("maxmemory", "0")
    client.replicaof("NO", "ONE")
    client.acl_setuser("default", enabled=True, nopass=True, keys=["*"], channels=["*"], commands=["+@all"])


def _bad(findings: list[Finding]) -> dict[str, tuple[str, str]]:
    return {one.check: (one.state, one.mend) for one in findings if one.state != "ok"}


def _redis(url: str, clock: Clock = SYSTEM_CLOCK) -> list[Finding]:
    return asyncio.run(check_redis(url, clock))


def test_all_is_well(tmp_path: Path, valkey: str, moto_server: S3Server) -> None:
    words = ["--bucket", moto_server.url("doctor"), "--redis", valkey, "--data", str(tmp_path / "data"), "--json"]
    done = ends("doctor", *words, "--listen", f"127.0.0.1:{closed_port()}")
    states = {row["check"]: row["state"] for row in done.json}
    assert done.code == 0, done
    assert {"bucket: write", "bucket: read", "bucket: list", "bucket: delete"} <= states.keys()
    assert states["bucket: conditional writes"] == states["redis: rights"] == states["clock"] == "ok"
    assert not (tmp_path / "data").exists()


def test_a_table_for_people_and_a_code_for_programs(tmp_path: Path) -> None:
    words = ["--redis", f"redis://:word@127.0.0.1:{closed_port()}", "--data", str(tmp_path), "--listen", "127.0.0.1:0"]
    done = ends("doctor", *words)
    assert done.code == 1
    assert "check address, login and TLS" in " ".join(done.out.split())
    assert "word" not in done.out
    assert "did you mean" in fails("doctor", "--set", "cauce.bukket=x")


def test_a_bucket_that_is_not_there(moto_server: S3Server) -> None:
    url = moto_server.url("doctor").replace(moto_server.bucket, "another-bucket")
    [one] = asyncio.run(check_bucket(url, SYSTEM_CLOCK))
    assert (one.check, one.state) == ("bucket: write", "failed")
    assert "there is no such bucket" in one.found
    assert "s3:PutObject" in one.mend


def test_a_bucket_that_is_a_folder(tmp_path: Path) -> None:
    assert not _bad(asyncio.run(check_bucket(tmp_path.as_uri(), SYSTEM_CLOCK)))
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == []
    assert not _bad(asyncio.run(check_bucket((tmp_path / "none").as_uri(), SYSTEM_CLOCK)))
    assert not (tmp_path / "none").exists()
    assert _bad(asyncio.run(check_bucket("gopher://x", SYSTEM_CLOCK))).keys() == {"bucket"}


def test_who_we_are_is_asked_of_aws_alone(moto_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    assert asyncio.run(check_credentials(moto_server.url("x"))) == []
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_server.endpoint)
    [one] = asyncio.run(check_credentials("s3://bucket?region=eu-central-1"))
    assert one.state == "ok"
    assert one.found.startswith("arn:aws:")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    [one] = asyncio.run(check_credentials("s3://bucket?region=eu-central-1"))
    assert one.state == "failed"


def test_settings_of_redis(valkey: str, server: Any) -> None:
    server.config_set("maxmemory-policy", "allkeys-lru")
    assert _bad(_redis(valkey)).keys() == {"redis: eviction"}
    server.config_set("maxmemory-policy", "noeviction")
    for share, state in ((1.1, "warning"), (0.9, "failed")):
        server.config_set("maxmemory", str(int(share * server.info("memory")["used_memory"])))
        assert _bad(_redis(valkey))["redis: memory"][0] == state
    server.config_set("maxmemory", "0")
    server.replicaof("127.0.0.1", closed_port())
    assert _bad(_redis(valkey))["redis: role"] == ("failed", "name the primary endpoint")


def test_rights_in_redis(valkey: str, server: Any) -> None:
    rights = ["+@all", "-eval", "-evalsha"]
    server.acl_setuser("node", enabled=True, passwords=["+word"], keys=["*"], channels=["*"], commands=rights)
    url = valkey.replace("unix://", "unix://node:word@")
    assert _bad(_redis(url)).keys() == {"redis: rights"}
    assert _bad(_redis(url.replace("word", "other"))).keys() == {"redis"}
    server.acl_deluser("node")
    assert _bad(_redis("redis://")).keys() == {"redis"}
    assert not _bad(_redis(""))


def test_a_clock_that_is_wrong(valkey: str) -> None:
    class Late(Clock):
        seconds = 10

        def now_ms(self) -> int:
            return super().now_ms() - 1000 * self.seconds

    assert _bad(_redis(valkey, Late()))["clock"][0] == "warning"
    Late.seconds = 100
    assert _bad(_redis(valkey, Late()))["clock"][0] == "failed"
    Late.seconds = -100
    assert "ahead of" in next(one for one in _redis(valkey, Late()) if one.check == "clock").found


def test_the_disk(tmp_path: Path) -> None:
    assert _bad(check_disk(tmp_path / "data", 1 << 62, SYSTEM_CLOCK))["disk: room"][0] == "warning"
    file = tmp_path / "file"
    file.write_text("")
    assert _bad(check_disk(file / "data", 0, SYSTEM_CLOCK))["disk"][0] == "failed"
    if sys.platform == "linux" and os.access("/dev/shm", os.W_OK):
        assert "disk: kind" in _bad(check_disk(Path("/dev/shm/none"), 0, SYSTEM_CLOCK))


def test_ports(cauce_node: CauceProcess) -> None:
    def checked(port: int, told: str) -> list[Finding]:
        listener = ListenerAddress("PLAINTEXT", "127.0.0.1", port)
        return asyncio.run(check_ports([listener], {"PLAINTEXT": ListenerAddress("PLAINTEXT", told, 1)}, ""))

    node = int(cauce_node.bootstrap.rpartition(":")[2])
    assert "a node answers" in checked(node, "192.0.2.1")[0].found
    assert _bad(checked(closed_port(), "127.0.0.1")) == {
        "advertised PLAINTEXT": ("warning", "tell clients an address that they can reach")
    }
    assert _bad(checked(closed_port(), "no-such-host.invalid"))["advertised PLAINTEXT"][0] == "failed"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert _bad(checked(taken.getsockname()[1], "192.0.2.1")).keys() == {"listener PLAINTEXT"}
