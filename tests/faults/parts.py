"""One node with a proxy or a server of the test's own between it and what it stands on."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from cauce.testing import CauceProcess
from tests.cauce.commands import works
from tests.chaos.proxy import ProxyLoop
from tests.chaos.store_proxy import StoreProxy, Weather, in_front_of
from tests.servers import S3Server

TOPICS = ("object", "wal")  # by their durability, a partition each


class Sky:
    """The weather between a node and its store."""

    def __init__(self, loop: ProxyLoop, proxy: StoreProxy) -> None:
        self._loop = loop
        self._proxy = proxy

    @contextlib.contextmanager
    def weather(self, weather: Weather) -> Iterator[None]:
        """Bad while it lasts, then fair."""
        self._loop.call(self._proxy.set_weather(self, weather))
        try:
            yield
        finally:
            self._loop.call(self._proxy.clear())

    def count(self, name: str) -> int:
        """What the proxy counted."""
        return self._proxy.counts[name]


@contextlib.contextmanager
def under_a_sky(folder: Path, store: S3Server, prefix: str) -> Iterator[tuple[CauceProcess, Sky]]:
    """A node whose store is behind a proxy, with the topics."""
    loop = ProxyLoop()
    try:
        proxy, through = in_front_of(store, loop, prefix, StoreProxy)
        with node(folder, {"cauce.bucket": through.url(prefix)}) as running:
            yield running, Sky(loop, proxy)
    finally:
        loop.close()


@contextlib.contextmanager
def node(folder: Path, settings: Mapping[str, str], command: str = "up") -> Iterator[CauceProcess]:
    """A node with the topics, that flushes quickly and does not compact."""
    given = {"cauce.flush.interval.ms": "50", "cauce.roles": "ingest,reader", **settings}
    options = [word for name, value in given.items() for word in ("--set", f"{name}={value}")]
    with CauceProcess(folder, options=options, command=command) as running:
        for topic in TOPICS:
            works("topic", "create", topic, "-c", f"cauce.durability={topic}", "-b", running.bootstrap)
        yield running
