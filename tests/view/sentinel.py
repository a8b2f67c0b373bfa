"""A master, a replica and a Sentinel as processes, with passwords: to fail over to a replica that has forgotten."""

import contextlib
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import redis

from infra.view.embedded import find_server
from tests.view.redis_server import free_ports, wait_for

PASSWORD = "a@b/c:d"
_IN_URL = "a%40b%2Fc%3Ad"
_DOWN_AFTER_MS = 1000


class SentinelSet:
    """Two servers and who watches over them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._first, self._second = free_ports()
        self._sentinel, self._nobody = free_ports()
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    @property
    def url(self) -> str:
        """As `cauce.redis` takes it; nobody answers at the first of its addresses."""
        hosts = f"127.0.0.1:{self._nobody},127.0.0.1:{self._sentinel}"
        return f"redis+sentinel://default:{_IN_URL}@{hosts}/main?sentinel_password={_IN_URL}"

    def start(self) -> None:
        """Start all three, and wait until the replica follows."""
        self._serve(self._first)
        self._serve(self._second, replicaof=f"127.0.0.1 {self._first}")
        self._wait_for_replica()
        config = self._folder / "sentinel.conf"
        config.write_text(
            f"port {self._sentinel}\nbind 127.0.0.1\ndir {self._folder}\nrequirepass {PASSWORD}\n"
            f"sentinel monitor main 127.0.0.1 {self._first} 1\nsentinel auth-pass main {PASSWORD}\n"
            f"sentinel down-after-milliseconds main {_DOWN_AFTER_MS}\nsentinel failover-timeout main 6000\n"
        )
        self._run(self._sentinel, [str(config), "--sentinel"])
        with self._client(self._sentinel) as client:
            wait_for(lambda: client.sentinel_masters()["main"]["num-slaves"] == 1)

    def forget_from_now_on(self) -> None:
        """The replica hears no more of the master: what is written from now on it will not know."""
        with self._client(self._second) as replica, self._client(self._first) as master:
            replica.config_set("masterauth", "wrong")
            master.execute_command("CLIENT", "KILL", "TYPE", "replica")
            wait_for(lambda: replica.info("replication")["master_link_status"] == "down")

    def kill_master(self) -> None:
        """End the master as `kill -9` does, and wait until the replica is the master."""
        self._end(self._first)
        with self._client(self._second) as replica:
            wait_for(lambda: replica.info("replication")["role"] == "master")

    def stop(self) -> None:
        """End what runs."""
        for port in list(self._processes):
            self._end(port)

    def _serve(self, port: int, **more: str) -> None:
        folder = self._folder / str(port)
        folder.mkdir()
        flags = {"port": port, "bind": "127.0.0.1", "dir": folder, "save": "", "requirepass": PASSWORD}
        flags |= {"masterauth": PASSWORD, "repl-diskless-sync-delay": 0, **more}
        self._run(port, [word for name, value in flags.items() for word in (f"--{name}", str(value))])

    def _run(self, port: int, words: list[str]) -> None:
        self._processes[port] = subprocess.Popen([find_server(), *words], stdout=subprocess.DEVNULL)
        with self._client(port) as client:
            wait_for(client.ping)

    def _end(self, port: int) -> None:
        process = self._processes.pop(port)
        process.kill()
        process.wait()

    def _wait_for_replica(self) -> None:
        with self._client(self._second) as replica:
            wait_for(lambda: replica.info("replication")["master_link_status"] == "up")

    def _client(self, port: int) -> Any:
        return contextlib.closing(redis.Redis(port=port, password=PASSWORD))


@contextlib.contextmanager
def running_sentinel() -> Iterator[SentinelSet]:
    """The three, running; they end with the block."""
    with tempfile.TemporaryDirectory(prefix="cauce-") as folder:
        found = SentinelSet(Path(folder))
        try:
            found.start()
            yield found
        finally:
            found.stop()
