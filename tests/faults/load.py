"""Producers that never stop while a fault is made; afterwards every topic holds what they were promised, once."""

import contextlib
from collections.abc import Iterator
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from tests.cauce.cluster import eventually, read_all
from tests.cauce.steady_producer import SteadyProducer


@contextlib.contextmanager
def load(bootstrap: str, partitions: int, *topics: str, pause_seconds: float = 0.002) -> Iterator[list[SteadyProducer]]:
    """One idempotent producer (acks=all) a topic, under way. In the end no record was refused, what was acknowledged
    stands at its offset beside what was there before, and nothing else does."""
    already = {topic: read_all(bootstrap, topic, partitions) for topic in topics}
    with contextlib.ExitStack() as stack:
        # A node that is paused answers nothing: whoever asked it asks elsewhere before long.
        impatient = {"socket__timeout__ms": 3000, "request__timeout__ms": 3000, "reconnect__backoff__max__ms": 500}
        producers = [
            stack.enter_context(SteadyProducer(bootstrap, topic, pause_seconds, **impatient)) for topic in topics
        ]
        for producer in producers:
            producer.await_each(range(partitions))
        yield producers
    for topic, producer in zip(topics, producers, strict=True):
        assert producer.refused == []
        stands = read_all(bootstrap, topic, partitions)
        assert stands == already[topic] | producer.promised(stands)


def still_reads(bootstrap: str, topic: str, producer: SteadyProducer) -> None:
    """What was acknowledged by now is read from the beginning, in a topic of one partition that may be written on."""
    known = producer.acknowledged.copy()
    found: dict[tuple[int, int], bytes] = {}
    settings = {"bootstrap.servers": bootstrap, "group.id": "not-used", "enable.auto.commit": False}
    consumer = Consumer({**settings, "log_level": 0, "auto.offset.reset": "error"})
    consumer.assign([TopicPartition(topic, 0, 0)])

    def everything() -> bool:
        batch: list[Any] = consumer.consume(1000, 0.2)
        found.update({(one.partition(), one.offset()): one.value() for one in batch if one.error() is None})
        return known.keys() <= found.keys()

    try:
        eventually(f"{len(known)} records of {topic} are read", everything)
    finally:
        consumer.close()
    assert known.items() <= found.items()
