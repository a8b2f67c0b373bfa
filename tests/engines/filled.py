"""A topic with records in record segments, in extents and in the tail, and what was produced to it, exactly."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from cauce.testing import CauceProcess
from reader.engines.topic_source import TopicSource
from reader.engines.wanted import Wanted
from reader.engines.work import Work
from reader.replay.request import BYTES

EVERYTHING = Wanted()
FIRST_MS = 1_700_000_000_000
_SECONDS = 60.0
_EAGER = {"cauce.compaction.interval.ms": "100", "cauce.compaction.bytes": "1", "cauce.compaction.age.ms": "0"}
EAGER = [word for name, value in _EAGER.items() for word in ("--set", f"{name}={value}")]


@dataclass
class FilledTopic:
    """What somebody who reads the topic has to find."""

    bootstrap: str
    topic: str
    partitions: int
    rows: dict[tuple[int, int], dict[str, Any]] = field(default_factory=dict)

    def table(self, passes: Callable[[dict[str, Any]], bool] = lambda row: True) -> pa.Table:
        """The records that pass, by partition and offset, as `BYTES`."""
        return pa.Table.from_pylist([self.rows[at] for at in sorted(self.rows) if passes(self.rows[at])], BYTES)

    def ends(self) -> dict[int, int]:
        """The end of each partition."""
        return {one: max((at[1] + 1 for at in self.rows if at[0] == one), default=0) for one in range(self.partitions)}

    def create(self) -> None:
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        kept = {"retention.ms": "-1"}  # however old the records are
        admin.create_topics([NewTopic(self.topic, self.partitions, config=kept)])[self.topic].result(_SECONDS)

    def produce(self, count: int, partitions: Sequence[int] | None = None) -> None:
        """Records of every kind: without key, without value, with headers, of many sizes."""
        producer = Producer({"bootstrap.servers": self.bootstrap, "linger.ms": 5, "enable.idempotence": True})
        chosen = range(self.partitions) if partitions is None else partitions
        first = len(self.rows)
        for number in range(first, first + count):
            key = None if number % 7 == 0 else b"key-%d" % (number % 40)
            value = None if number % 11 == 0 else b'{"n":%d,"fill":"%s"}' % (number, b"x" * (number % 300))
            headers = [("h", b"%d" % number), ("empty", None)] if number % 5 == 0 else []
            row = {
                "timestamp": FIRST_MS + number,
                "key": key,
                "value": value,
                "headers": [{"key": name.encode(), "value": content} for name, content in headers],
            }
            producer.produce(
                self.topic,
                value,
                key,
                partition=chosen[number % len(chosen)],
                timestamp=row["timestamp"],
                headers=headers,
                on_delivery=self._keeper(row),
            )
            producer.poll(0)
        assert producer.flush(_SECONDS) == 0

    def works(self, wanted: Wanted = EVERYTHING, **options: Any) -> list[Work]:
        """The work of reading all of it."""
        with TopicSource(self.topic, self.bootstrap) as source:
            return source.works(source.spans(), wanted, **options)

    def await_compacted(self) -> None:
        """Until all of it lies in record segments."""
        deadline = time.monotonic() + _SECONDS
        with TopicSource(self.topic, self.bootstrap) as source:
            while not all(work.from_bucket for work in source.works(source.spans(), EVERYTHING)):
                assert time.monotonic() < deadline, "not compacted in time"
                time.sleep(0.1)

    def _keeper(self, row: dict[str, Any]) -> Callable[[Any, Any], None]:
        def keep(error: Any, message: Any) -> None:
            assert error is None, error
            place = (message.partition(), message.offset())
            self.rows[place] = {"partition": place[0], "offset": place[1], **row}

        return keep


@contextmanager
def filled_topic(folder: Path, options: Sequence[str] = ()) -> Iterator[FilledTopic]:
    """Partitions 0 and 1: two record segments and more with the leader; 2: record segments only; 3: empty."""
    topic = FilledTopic("", "filled", 4)
    with CauceProcess(folder, options=[*EAGER, *options]) as node:
        topic.bootstrap = node.bootstrap
        topic.create()
        topic.produce(900, (0, 1, 2))
        topic.await_compacted()
        topic.produce(600, (0, 1, 2))
        topic.await_compacted()
    with CauceProcess(folder, node.bootstrap, options) as node:  # compacts no more
        topic.produce(400, (0, 1))
        yield topic
