"""All parties of a chaos run: nodes, Redis, store, and the proxies between them."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Literal

from tests.chaos.evidence import Evidence
from tests.chaos.node_party import NodeParty
from tests.chaos.proxy import ProxyLoop
from tests.chaos.redis_party import RedisParty
from tests.chaos.store_proxy import Weather
from tests.chaos.topics import ChaosTopic, admin_client, create
from tests.servers import S3Server, credentials, seaweed

Durability = Literal["object", "wal"]

_COPY_SECONDS = 3.0
_LOOK_SECONDS = 1.0
_START_SECONDS = 120.0

_SETTINGS = {
    "group.initial.rebalance.delay.ms": "0",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "4",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "2000",
    "cauce.compaction.bytes": "262144",
    "cauce.compaction.age.ms": "10000",
    "cauce.compaction.interval.ms": "3000",
    "cauce.garbage.grace.ms": "60000",
    "cauce.garbage.interval.ms": "10000",
    "cauce.topic.undelete.ms": "20000",
    "cauce.view.repair.interval.ms": "10000",
}
_FLUSH = {"object": "250", "wal": "1000"}  # milliseconds; the former is the default of object stores


class World:
    """A running cluster that faults can get at."""

    def __init__(
        self,
        folder: Path,
        store: S3Server,
        *,
        topics: Sequence[ChaosTopic],
        seed: int,
        durability: Durability,
        session_seconds: float,
        planted: str = "",
        nodes: int = 3,
    ) -> None:
        self.folder = folder
        self.durability = durability
        self._topics = topics
        self.evidence = Evidence()
        self.loop = ProxyLoop()
        self.redis = RedisParty(folder)
        settings = {
            **_SETTINGS,
            "cauce.session.timeout.ms": str(round(session_seconds * 1000)),
            "cauce.durability": durability,
            "cauce.flush.interval.ms": _FLUSH[durability],
        }
        everybody = [
            NodeParty(number, folder, self.loop, store, self.redis.port, seed=seed, settings=settings, planted=planted)
            for number in range(nodes + 1)
        ]
        self.nodes, self.guest = everybody[:-1], everybody[-1]  # the guest joins and leaves again
        self._healed = False
        self._ending = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="watcher", daemon=True)

    @property
    def everybody(self) -> list[NodeParty]:
        """The nodes, and the one that comes and goes."""
        return [*self.nodes, self.guest]

    @property
    def bootstrap(self) -> str:
        """The nodes, with commas."""
        return ",".join(node.bootstrap for node in self.nodes)

    def start(self) -> None:
        """Redis, nodes, topics."""
        self.redis.start()
        for node in self.nodes:
            node.up()
        for node in self.nodes:
            if not node.await_up(_START_SECONDS):
                raise RuntimeError(f"{node.name} does not start:\n{node.process.output}")
        create(self.bootstrap, self._topics)
        self._watcher.start()

    def set_weather(self, nodes: list[NodeParty], cause: object, weather: Weather) -> None:
        """Between these nodes and the store, beside the weather of other causes."""
        for node in nodes:
            self.loop.call(node.store.set_weather(cause, weather))

    def heal(self) -> None:
        """Everything is as it should be again, and every node up, the guest too: at `wal` its disk may be needed."""
        for node in self.everybody:
            self.loop.call(node.store.clear())
            node.disk.free(node.process)
            node.set_clock(0)
            node.resume()
            for proxy in (node.redis, node.clients):
                self.loop.call(proxy.heal())
        for node in self.everybody:
            node.up()
        self._healed = True

    def await_well(self, seconds: float) -> str | None:
        """Wait until every node is up and each tells a leader of every partition; what is missing then."""
        deadline = time.monotonic() + seconds
        while (problem := self._problem()) is not None and time.monotonic() < deadline:
            time.sleep(0.3)  # polls with a deadline
        return problem

    def close(self) -> None:
        """End everything."""
        self._ending.set()
        if self._watcher.ident is not None:
            self._watcher.join()
        self._carry_out([node.close for node in self.everybody])
        self.redis.kill()
        self.evidence.look(self.everybody)
        self.loop.close()

    @staticmethod
    def _carry_out(endings: list[Callable[[], None]]) -> None:
        """Carry each out, whatever another raises."""
        with ExitStack() as stack:
            for ending in endings:
                stack.callback(ending)

    def _problem(self) -> str | None:
        for node in self.everybody if self._healed else self.nodes:
            if not node.await_up(0) or not node.process.running:
                return f"{node.name} is not up"
            told = admin_client(node.bootstrap)
            try:
                topics = told.list_topics(timeout=10).topics
            except Exception as error:  # noqa: BLE001 (whatever it is, the node does not answer)
                return f"{node.name} does not answer: {error}"
            for topic in topics.values():
                for partition in topic.partitions.values():
                    if partition.leader < 0:
                        return f"{node.name} knows no leader of {topic.topic}-{partition.id}"
        return None

    def _watch(self) -> None:
        copied = 0.0
        while not self._ending.wait(_LOOK_SECONDS):
            self.evidence.look(self.everybody)
            if time.monotonic() > copied + _COPY_SECONDS:
                copied = time.monotonic()
                self.redis.keep_copy()


@contextmanager
def running(
    folder: Path, topics: Sequence[ChaosTopic], seed: int, durability: Durability, session_seconds: float, planted: str
) -> Iterator[World]:
    """A world that is started, and ended in the end."""
    with credentials(), seaweed() as store:
        world = World(
            folder,
            store,
            topics=topics,
            seed=seed,
            durability=durability,
            session_seconds=session_seconds,
            planted=planted,
        )
        try:
            world.start()
            yield world
        finally:
            world.close()
