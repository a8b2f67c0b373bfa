"""A node whose store can go away: SeaweedFS behind the faulty proxy, a Valkey, and a thread that watches budgets."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from cauce.testing import CauceProcess
from tests.chaos.proxy import ProxyLoop
from tests.chaos.redis_party import RedisParty
from tests.chaos.store_proxy import FAIR, Outage, StoreProxy, Weather, in_front_of
from tests.servers import credentials, seaweed

MIB = 1 << 20
_VOLUME_MIB = 4096  # twenty of them hold what ten minutes bring, and what compaction makes of it
_LOOK_SECONDS = 0.25


@dataclass(frozen=True)
class OutagePlace:
    """Everything that runs."""

    node: CauceProcess
    loop: ProxyLoop
    store: StoreProxy

    def set_outage(self, outage: Outage) -> None:
        """From now on the store is away in this way; back with the empty one."""
        self.loop.call(self.store.set_weather("bench", Weather(outage=outage) if outage else FAIR))


@contextmanager
def outage_place(folder: Path, settings: Sequence[str]) -> Iterator[OutagePlace]:
    """One node, started. `settings`: NAME=VALUE."""
    with credentials(), seaweed(_VOLUME_MIB) as server:
        loop, redis = ProxyLoop(), RedisParty(folder)
        try:
            redis.start()
            store, through = in_front_of(server, loop, "outage", StoreProxy)
            options = ["--bucket", through.url("outage"), "--redis", f"redis://127.0.0.1:{redis.port}"]
            options += [word for one in settings for word in ("--set", one)]
            with CauceProcess(folder / "node", options=options, command="node") as node:
                yield OutagePlace(node, loop, store)
        finally:
            redis.kill()
            loop.close()


class Budgets:
    """The greatest RSS of the node and of its compactor, and the greatest size of its WAL, in bytes."""

    def __init__(self, node: CauceProcess) -> None:
        self._process = psutil.Process(node.pid)
        self._wal = node.data / "wal"
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.now: dict[str, int] = {}
        self.greatest: dict[str, int] = {}
        self._thread.start()

    def close(self) -> None:
        """Look no more."""
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._end.wait(_LOOK_SECONDS):
            try:
                self._note("node", self._process.memory_info().rss)
                for child in self._process.children(recursive=True):
                    self._note("compactor", child.memory_info().rss)
            except psutil.NoSuchProcess:
                continue
            self._note("WAL", self._wal_bytes())

    def _wal_bytes(self) -> int:
        size = 0
        for file in self._wal.rglob("*"):
            try:
                status = file.stat()
            except FileNotFoundError:  # trimmed meanwhile
                continue
            size += status.st_blocks * 512
        return size

    def _note(self, name: str, size: int) -> None:
        self.now[name] = size
        self.greatest[name] = max(self.greatest.get(name, 0), size)


def sleep_until(moment: float) -> None:
    """On the monotonic clock."""
    time.sleep(max(0.0, moment - time.monotonic()))
