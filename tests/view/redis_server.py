"""A real Valkey for tests, kept running on an event loop of its own, so that each test can use another loop."""

import asyncio
import contextlib
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any

import redis

from infra.errors import Unavailable
from infra.view.embedded import EmbeddedRedis, find_server


def flush(url: str) -> None:
    """Forget everything."""
    with contextlib.closing(redis.Redis.from_url(url)) as client:
        client.flushall()


class RunningRedis:
    """An embedded server as plain test functions use it."""

    def __init__(self, server: EmbeddedRedis) -> None:
        self.server = server
        self.url = ""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="embedded-redis", daemon=True)

    def begin(self) -> None:
        self._thread.start()
        self.url = self.call(self.server.start())

    def call(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def end(self) -> None:
        self.call(self.server.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@contextlib.contextmanager
def running_redis() -> Iterator[RunningRedis]:
    """A server over a folder that goes away with it."""
    with tempfile.TemporaryDirectory(prefix="cauce-") as folder:
        running = RunningRedis(EmbeddedRedis(folder))
        running.begin()
        try:
            yield running
        finally:
            running.end()


@contextlib.contextmanager
def running_cluster() -> Iterator[str]:
    """The address (host:port) of a Redis Cluster of one server that has all slots."""
    with tempfile.TemporaryDirectory(prefix="cauce-") as folder:
        port, bus = free_ports()
        flags = {"port": port, "cluster-port": bus, "bind": "127.0.0.1", "dir": folder, "cluster-enabled": "yes"}
        words = [word for name, value in flags.items() for word in (f"--{name}", str(value))]
        server = subprocess.Popen([find_server(), *words, "--save", ""], stdout=subprocess.DEVNULL)
        try:
            with contextlib.closing(redis.Redis(port=port)) as connection:
                client: Any = connection
                wait_for(lambda: client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383))
                wait_for(lambda: client.cluster("INFO")["cluster_state"] == "ok")
            yield f"127.0.0.1:{port}"
        finally:
            server.kill()
            server.wait()


async def until(done: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what a view says; it may be away meanwhile."""
    async with asyncio.timeout(30):
        while True:
            with contextlib.suppress(Unavailable):
                if await done():
                    return
            await asyncio.sleep(0.02)


def free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        return one.getsockname()[1], two.getsockname()[1]


def wait_for(done: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with contextlib.suppress(redis.RedisError):
            if done():
                return
        time.sleep(0.02)
    raise AssertionError("the cluster does not come up")
