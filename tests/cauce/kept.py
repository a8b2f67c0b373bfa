"""What a node must still have after it was started again: written, committed and read back by an ordinary client."""

import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from cauce.testing import CauceProcess

_SECONDS = 60.0
Row = tuple[int, int, bytes | None, bytes | None]  # partition, offset, key, value


def write(bootstrap: str, topic: str, values: Sequence[str], **options: Any) -> list[Row]:
    """Produce records with acks=all, each under its own value as the key; what was acknowledged, sorted."""
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 2, **options})
    written: list[Row] = []

    def on_delivery(error: KafkaError | None, message: Any) -> None:
        assert error is None, error
        written.append((message.partition(), message.offset(), message.key(), message.value()))

    for value in values:
        producer.produce(topic, value.encode(), value.encode(), on_delivery=on_delivery)
    assert producer.flush(_SECONDS) == 0
    return sorted(written)


def read(bootstrap: str, topic: str) -> list[Row]:
    """Every record of a topic, sorted."""
    consumer = _consumer(bootstrap, "nobody", **{"enable.partition.eof": True})
    partitions = consumer.list_topics(topic, _SECONDS).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions])
    found: list[Any] = []
    ended: set[int | None] = set()
    deadline = time.monotonic() + _SECONDS
    while len(ended) < len(partitions):
        assert time.monotonic() < deadline, f"{topic} has no end"
        for message in consumer.consume(1000, 0.1):
            error = message.error()
            if error is None:
                found.append((message.partition(), message.offset(), message.key(), message.value()))
            elif error.code() == KafkaError._PARTITION_EOF:
                ended.add(message.partition())
            else:
                assert error.retriable(), error
    consumer.close()
    return sorted(found)


def commit(bootstrap: str, group: str, topic: str, offsets: Mapping[int, int]) -> None:
    """Commit offsets of a group without members."""
    consumer = _consumer(bootstrap, group)
    consumer.commit(offsets=[TopicPartition(topic, *place) for place in offsets.items()], asynchronous=False)
    consumer.close()


def committed(bootstrap: str, group: str, topic: str, partitions: int) -> dict[int, int]:
    """Partition → committed offset."""
    consumer = _consumer(bootstrap, group)
    rows = consumer.committed([TopicPartition(topic, number) for number in range(partitions)], _SECONDS)
    consumer.close()
    return {row.partition: row.offset for row in rows if row.offset >= 0}


def cluster_id(bootstrap: str) -> str:
    """Whose bucket this is."""
    found = AdminClient({"bootstrap.servers": bootstrap}).list_topics(timeout=_SECONDS).cluster_id
    assert found
    return str(found)


def node_id(node: CauceProcess) -> int:
    """As the node told when it started last."""
    return int(re.findall(r"Cauce (\d+) listening on", node.output)[-1])


def _consumer(bootstrap: str, group: str, **options: Any) -> Consumer:
    return Consumer(
        {"bootstrap.servers": bootstrap, "group.id": group, "enable.auto.commit": False, "fetch.wait.max.ms": 50}
        | options
    )
