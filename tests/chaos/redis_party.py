"""The Redis of a chaos run: a real Valkey on a port; it can be killed, wiped, and set back to an older copy."""

import contextlib
import shutil
import subprocess
import time
from pathlib import Path

import redis

from infra.view.embedded import find_server
from tests.servers import kept_ports

_START_SECONDS = 30.0
_COPIES = 12  # kept at most


class RedisParty:
    """One server; its append-only file survives a kill up to the last second, as a managed one's does."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "redis"
        self._copies = folder / "redis-copies"
        for each in (self._folder, self._copies):
            each.mkdir()
        [self.port] = kept_ports(1)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        flags = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "dir": str(self._folder),
            "save": "",
            "appendonly": "yes",
            "appendfsync": "everysec",
            "aof-load-truncated": "yes",
            "auto-aof-rewrite-percentage": "0",  # a copy is taken file by file: none may go meanwhile
            "maxmemory-policy": "noeviction",
        }
        words = [word for name, value in flags.items() for word in (f"--{name}", value)]
        with (self._folder.parent / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(
                [find_server(), *words], stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if time.monotonic() > deadline:
                raise RuntimeError("the Valkey does not answer")
            time.sleep(0.02)  # polls with a deadline

    def kill(self) -> None:
        """End it as `kill -9` does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def wipe(self) -> None:
        """FLUSHALL."""
        self._client().flushall()

    def keep_copy(self) -> None:
        """Copy what stands on its disk now, to go back to later."""
        target = self._copies / f"{time.monotonic():015.3f}"
        try:
            shutil.copytree(self._folder / "appendonlydir", target)
        except (OSError, shutil.Error):  # it is being started: the next copy is whole
            shutil.rmtree(target, ignore_errors=True)
        for old in sorted(self._copies.iterdir())[:-_COPIES]:
            shutil.rmtree(old, ignore_errors=True)

    def go_back(self, seconds: float) -> float:
        """Kill it and start it from the copy that is nearest to so many seconds old; answers how old that was."""
        wanted = time.monotonic() - seconds
        copies = {path: float(path.name) for path in self._copies.iterdir()}
        if not copies:
            raise RuntimeError("there is no copy yet")
        copy = min(copies, key=lambda path: abs(copies[path] - wanted))
        self.kill()
        shutil.rmtree(self._folder / "appendonlydir", ignore_errors=True)
        shutil.copytree(copy, self._folder / "appendonlydir")
        self.start()
        return time.monotonic() - copies[copy]

    def _client(self) -> "redis.Redis":
        return redis.Redis(port=self.port, socket_timeout=5, protocol=2)

    def _answers(self) -> bool:
        with contextlib.suppress(redis.RedisError):
            client = self._client()
            try:
                return bool(client.ping())
            finally:
                client.close()
        return False
