"""A real Valkey for tests, kept running on an event loop of its own, so that each test can use another loop."""

import asyncio
import contextlib
import tempfile
import threading
from collections.abc import Coroutine, Iterator
from typing import Any

import redis

from infra.view.embedded import EmbeddedRedis


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

    def flush(self) -> None:
        """Forget everything."""
        with contextlib.closing(redis.Redis.from_url(self.url)) as client:
            client.flushall()

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
