"""Two leading nodes and a reader node as processes, and what they and their clients say of where bytes come from."""

import re
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from cauce.testing import CauceProcess
from tests.cauce.cluster import eventually, shared_redis
from tests.cauce.kept import Row

_SETTINGS = {
    "cauce.durability": "object",
    "cauce.flush.interval.ms": "20",
    "cauce.session.timeout.ms": "2000",
    "group.initial.rebalance.delay.ms": "0",
}
NO_TAIL = {"cauce.tail.bytes": "0"}  # what is published is cold at once


@dataclass
class ReaderCluster:
    """The nodes."""

    leaders: list[CauceProcess]
    reader: CauceProcess

    @property
    def bootstrap(self) -> str:
        """The leading nodes."""
        return ",".join(node.bootstrap for node in self.leaders)

    def create_topic(self, topic: str, partitions: int, **configs: str) -> None:
        """Create it, and wait until every node names its leaders and the reader as a replica."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        admin.create_topics([NewTopic(topic, partitions, config=configs)])[topic].result(30)
        for node in (*self.leaders, self.reader):
            eventually("the reader is a replica", lambda node=node: self._named(node, topic))

    def _named(self, node: CauceProcess, topic: str) -> bool:
        found = AdminClient({"bootstrap.servers": node.bootstrap}).list_topics(topic, timeout=10).topics[topic]
        reader_id = node_id(self.reader)
        return all(reader_id in row.isrs and row.leader >= 0 for row in found.partitions.values())


@contextmanager
def reader_cluster(
    *, of_leaders: Mapping[str, str] = NO_TAIL, of_reader: Mapping[str, str] | None = None
) -> Iterator[ReaderCluster]:
    """The cluster, running; what is left of it is stopped in the end."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cauce-")))
        redis = stack.enter_context(shared_redis(folder))
        shared = ["--bucket", (folder / "bucket").as_uri(), "--redis", redis, *words(_SETTINGS)]
        leading = [*shared, "--roles", "ingest", *words(of_leaders)]
        leaders = [CauceProcess(folder / f"leader-{at}", options=leading, command="node") for at in range(2)]
        reading = [*shared, "--roles", "reader", *words(of_reader or {})]
        reader = CauceProcess(folder / "reader", options=reading, command="node")
        for node in (*leaders, reader):
            stack.enter_context(node)
        yield ReaderCluster(leaders, reader)


def words(settings: Mapping[str, str]) -> list[str]:
    """Settings as words of a command line."""
    return [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]


def node_id(node: CauceProcess) -> int:
    """As the node told when it started last."""
    return int(re.findall(r"Cauce (\d+) ", node.output)[-1])


def scrape(node: CauceProcess, metric: str) -> float:
    """The sum over a metric's labels."""
    [http] = re.findall(r"health and metrics on (http://\S+)", node.output)[-1:]
    text = urllib.request.urlopen(f"{http}/metrics").read().decode()
    return sum(map(float, re.findall(rf"^{metric}(?:\{{.*\}})? (\S+)$", text, re.MULTILINE)))


class Reading:
    """A librdkafka consumer of some partitions from their beginning; everything it got, in the order it came."""

    def __init__(self, bootstrap: str, topic: str, partitions: int, **options: Any) -> None:
        self.got: list[Row] = []
        self.errors: list[Any] = []
        settings: dict[str, Any] = {"group.id": "nobody", "enable.auto.commit": False, "fetch.wait.max.ms": 50}
        # Small answers, so that an end in the middle is one.
        settings |= {"fetch.message.max.bytes": 20_000, "queued.max.messages.kbytes": 64}
        self._consumer = Consumer({"bootstrap.servers": bootstrap} | settings | options)
        self._consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in range(partitions)])

    def take(self, most: int = 500, seconds: float = 0.2) -> None:
        """Consume once."""
        for message in self._consumer.consume(most, seconds):
            if message.error() is None:
                self.got.append((message.partition(), message.offset(), message.key(), message.value()))
            else:
                self.errors.append(message.error())

    def until(self, count: int) -> None:
        """Consume until so many records came in all."""

        def enough() -> bool:
            self.take()
            return len(self.got) >= count

        eventually(f"{count} records come", enough)

    def close(self) -> None:
        """Give up the connections."""
        self._consumer.close()


def values(name: str, count: int, size: int = 200) -> list[str]:
    """Values that differ, all longer than `size`."""
    return [f"{name}-{number:06}-".ljust(size, "x") for number in range(count)]


def in_order(rows: Sequence[Row]) -> bool:
    """Whether each partition's offsets came ascending, each once."""
    last: dict[int, int] = {}
    for partition, offset, *_ in rows:
        if offset <= last.get(partition, -1):
            return False
        last[partition] = offset
    return True
