"""Commands that find no node, and nodes that cannot start: one sentence each that says what to do."""

import socket
import threading
from pathlib import Path

import pytest

from tests.cauce.commands import fails, fails_to_start, run
from tests.servers import closed_port


@pytest.mark.parametrize("command", ["topic list", "topic create t", "group list", "produce t", "consume t"])
def test_no_node_listens(command: str) -> None:
    words = command.split()
    says = fails(*words, "-b", f"127.0.0.1:{closed_port()}", stdin="x\n")
    assert "Connection refused; start a node with `cauce up`, or name one that runs with --bootstrap" in says


def test_somebody_else_listens() -> None:
    """Who accepts connections and closes them is no node."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        closing = threading.Thread(target=lambda: server.accept()[0].close())
        closing.start()
        says = fails("topic", "list", "-b", f"127.0.0.1:{server.getsockname()[1]}")
        closing.join()
    assert "closed the connection" in says
    assert "start a node with `cauce up`" in says


def test_an_address_that_is_none() -> None:
    assert fails("topic", "list", "-b", "nonsense") == "--bootstrap 'nonsense': 'nonsense' is not host:port"
    assert "is not host:port" in fails("consume", "t", "-b", "h:1,h")


def test_settings_that_are_wrong(tmp_path: Path) -> None:
    up = ("up", "--data", str(tmp_path / "data"))
    assert fails(*up, "--set", "foo") == "--set 'foo' is not NAME=VALUE, for example --set num.partitions=6"
    assert "did you mean num.partitions" in fails(*up, "--set", "num.partition=3")
    assert "must be between 1 and 10000" in fails(*up, "--set", "num.partitions=0")
    assert "write NAME://HOST:PORT" in fails(*up, "--listen", "nonsense")
    assert "cannot be read: No such file" in fails(*up, "--config", str(tmp_path / "none.toml"))
    assert not (tmp_path / "data").exists()


def test_parts_that_cannot_be_had(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    any_port = ("--listen", "127.0.0.1:0")
    assert "the data folder" in fails_to_start("up", "--data", str(file), *any_port)
    up = ("up", "--data", str(tmp_path / "data"))
    assert "gopher" in fails_to_start(*up, *any_port, "--set", "cauce.bucket=gopher://x")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"127.0.0.1:{port}" in fails_to_start(*up, "--listen", f"127.0.0.1:{port}")
        assert "cannot be listened on" in fails_to_start(*up, *any_port, "--set", f"cauce.http=127.0.0.1:{port}")
    node = ("node", "--data", str(tmp_path / "data"), "--bucket", (tmp_path / "b").as_uri())
    assert "share a Redis: give --redis" in fails_to_start(*node)
    assert "redis" in fails_to_start(*node, "--redis", f"redis://127.0.0.1:{closed_port()}", *any_port).lower()
    assert "redis" in fails_to_start(*node, "--redis", "nonsense", *any_port).lower()


def test_there_is_no_bucket(tmp_path: Path) -> None:
    assert "name one with --bucket" in fails("bucket", "ls", "--data", str(tmp_path / "none"))
    assert "gopher" in fails("bucket", "ls", "--bucket", "gopher://x")
    says = fails("bucket", "ls", "--bucket", (tmp_path / "none").as_uri())
    assert "there is no folder file:///" in says
    assert not (tmp_path / "none").exists()
    assert "there is no bucket of a cluster at file:///" in fails("bucket", "ls", "--bucket", tmp_path.as_uri())


def test_help_without_a_node() -> None:
    for words in ((), ("topic",), ("group",), ("bucket",)):
        done = run(*words)
        assert "Usage: " in done.out + done.err
        assert "Traceback" not in done.err
