"""Three nodes as processes on one bucket and one Valkey, and consumers that keep what they were given."""

import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from cauce.testing import CauceProcess
from infra.view.embedded import find_server
from tests.patience import PATIENCE

T = TypeVar("T")

_SETTINGS = {"cauce.durability": "object", "cauce.flush.interval.ms": "20", "group.initial.rebalance.delay.ms": "0"}
_ANSWER_SECONDS = 10.0 * PATIENCE
WAIT_SECONDS = 120.0 * PATIENCE  # far above a session time-out: what is late has failed
_NODES = 3


def eventually(what: str, probe: Callable[[], T]) -> T:
    """Poll until the probe gives something true."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not (found := probe()):
        assert time.monotonic() < deadline, f"{what}: not within {WAIT_SECONDS:.0f} s"
        time.sleep(0.05)
    return found


@contextmanager
def shared_redis(folder: Path) -> Iterator[str]:
    """A Valkey that belongs to no node; its URL."""
    socket = folder / "redis.sock"
    flags = {"port": "0", "unixsocket": str(socket), "dir": str(folder), "save": "", "maxmemory-policy": "noeviction"}
    words = [word for name, value in flags.items() for word in (f"--{name}", value)]
    process = subprocess.Popen([find_server(), *words], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        eventually("the Valkey has a socket", socket.exists)
        yield f"unix://{socket}"
    finally:
        process.kill()
        process.wait()


class ThreeNodes:
    """A cluster whose nodes can be stopped, killed and started again one by one."""

    def __init__(self, nodes: list[CauceProcess]) -> None:
        self.nodes = nodes

    @property
    def bootstrap(self) -> str:
        """All nodes, with commas."""
        return ",".join(node.bootstrap for node in self.nodes)

    @property
    def living(self) -> list[CauceProcess]:
        """Nodes whose process runs."""
        return [node for node in self.nodes if node.running]

    def create_topic(self, topic: str, partitions: int, **configs: str) -> None:
        """Create it, and wait until all living nodes know a leader of each partition; configs with __ for dots."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        given = {name.replace("__", "."): value for name, value in configs.items()}
        admin.create_topics([NewTopic(topic, partitions, config=given)])[topic].result(WAIT_SECONDS)
        self.await_leaders(topic)

    def await_leaders(self, topic: str) -> dict[int, int]:
        """Partition → node id, once every living node leads something and each bootstrap says the same of it."""

        def agreed() -> dict[int, int] | None:
            told = [_leaders(node, topic) for node in self.living]
            settled = all(each == told[0] for each in told) and len(set(told[0].values())) == len(self.living)
            return told[0] if settled and -1 not in told[0].values() else None

        found = eventually(f"{topic} is led by {len(self.living)} nodes", agreed)
        assert found is not None
        return found

    def leaders(self, topic: str) -> dict[int, int]:
        """Partition → node id, as one living node tells now; -1 where nobody leads."""
        return eventually(f"a node tells of {topic}", lambda: _leaders(self.living[0], topic))

    def coordinator(self, group: str) -> CauceProcess:
        """The node that coordinates a group."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        found = admin.describe_consumer_groups([group])[group].result(WAIT_SECONDS).coordinator
        return next(node for node in self.nodes if node.bootstrap == f"{found.host}:{found.port}")


def _leaders(node: CauceProcess, topic: str) -> dict[int, int]:
    admin = AdminClient({"bootstrap.servers": node.bootstrap, "log_level": 0})  # a new one has met no other node yet
    try:
        partitions = admin.list_topics(topic, timeout=_ANSWER_SECONDS).topics[topic].partitions
    except KafkaException:  # librdkafka can wait for all of its time when the node goes as it asks: ask again
        return {}
    return {number: row.leader for number, row in partitions.items()}


@contextmanager
def three_nodes() -> Iterator[ThreeNodes]:
    """The cluster on a folder, running; what is left of it is stopped in the end."""
    with tempfile.TemporaryDirectory(prefix="cauce-") as name, shared_redis(Path(name)) as redis:
        with nodes_on(Path(name), (Path(name) / "bucket").as_uri(), redis, _SETTINGS) as cluster:
            yield cluster


@contextmanager
def nodes_on(
    folder: Path,
    bucket: str,
    redis: str,
    settings: Mapping[str, str],
    count: int = _NODES,
    *,
    process: type[CauceProcess] = CauceProcess,
    environment: Mapping[str, str] | None = None,
) -> Iterator[ThreeNodes]:
    """Nodes on the URLs of a bucket and a Redis; their data folders are made in `folder`."""
    options = ["--bucket", bucket, "--redis", redis]
    options += [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    nodes = [
        process(folder / f"node-{number}", options=options, command="node", environment=environment)
        for number in range(count)
    ]
    with ExitStack() as stack:
        for node in nodes:
            stack.enter_context(node)
        yield ThreeNodes(nodes)


class GroupMember:
    """One member of a consumer group, polling in the background."""

    def __init__(self, bootstrap: str, group: str, topic: str) -> None:
        self.got: dict[tuple[int, int], bytes] = {}
        settings: dict[str, Any] = {"group.id": group, "auto.offset.reset": "earliest", "log_level": 0}
        settings["auto.commit.interval.ms"] = 200
        self._consumer = Consumer({"bootstrap.servers": bootstrap, **settings})
        self._consumer.subscribe([topic])
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end.set()
        self._thread.join()
        self._consumer.close()

    def _run(self) -> None:
        while not self._end.is_set():
            batch: list[Any] = self._consumer.consume(500, 0.1)
            for message in batch:
                if message.error() is None:
                    self.got[message.partition(), message.offset()] = message.value()


def read_all(bootstrap: str, topic: str, partitions: int) -> dict[tuple[int, int], bytes]:
    """Everything that stands in a topic, by (partition, offset)."""
    settings: dict[str, Any] = {"group.id": "not-used", "enable.partition.eof": True, "auto.offset.reset": "earliest"}
    settings["enable.auto.commit"] = False  # a consumer that has to commit does not close while the store is away
    consumer = Consumer({"bootstrap.servers": bootstrap, **settings})
    consumer.assign([TopicPartition(topic, number, 0) for number in range(partitions)])
    found: dict[tuple[int, int], bytes] = {}
    ended: set[int] = set()

    def whole() -> bool:
        batch: list[Any] = consumer.consume(1000, 0.5)
        for message in batch:
            if message.error() is None:
                found[message.partition(), message.offset()] = message.value()
            elif message.error().code() == KafkaError._PARTITION_EOF:
                ended.add(message.partition())
        return len(ended) == partitions

    try:
        eventually(f"{topic} is read to its ends", whole)
    finally:
        consumer.close()
    return found
