"""Transactional clients of the tests: producers that are quick to say what went wrong, readers of what is committed."""

import logging
from collections.abc import Iterable
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from tests.cauce.cluster import eventually

SECONDS = 40.0
Value = tuple[int, bytes]  # partition, value


def producer(bootstrap: str, transactional_id: str, **settings: Any) -> Producer:
    """A producer that has fenced those before it."""
    options = {"bootstrap.servers": bootstrap, "transactional.id": transactional_id, "linger.ms": 1, **settings}
    made = Producer({**options, "logger": _quiet()})
    made.init_transactions(SECONDS)
    return made


def write(made: Producer, topic: str, values: Iterable[Value], *, commit: bool = True) -> None:
    """One whole transaction; what it wrote is in the log also when it is aborted."""
    made.begin_transaction()
    for partition, value in values:
        made.produce(topic, value, partition=partition)
    if commit:
        made.commit_transaction(SECONDS)
    else:
        assert made.flush(SECONDS) == 0
        made.abort_transaction(SECONDS)


def committed(bootstrap: str, topic: str, partitions: int, isolation: str = "read_committed") -> list[Value]:
    """What readers get of a topic up to its end, in the order of each partition."""
    settings: dict[str, Any] = {"group.id": "nobody", "enable.partition.eof": True, "isolation.level": isolation}
    consumer = Consumer({"bootstrap.servers": bootstrap, "logger": _quiet(), **settings})
    consumer.assign([TopicPartition(topic, number, 0) for number in range(partitions)])
    found: list[Value] = []
    ended: set[int | None] = set()

    def whole() -> bool:
        for message in consumer.consume(1000, 0.5):
            error = message.error()
            if error is None:
                found.append((message.partition() or 0, message.value() or b""))
            elif error.code() == KafkaError._PARTITION_EOF:
                ended.add(message.partition())
        return len(ended) == partitions

    try:
        eventually(f"{topic} is read to its ends", whole)
    finally:
        consumer.close()
    return sorted(found)


def refusal(action: Any, *arguments: Any) -> KafkaError:
    """The error that an action fails with."""
    try:
        action(*arguments)
    except KafkaException as failure:
        error = failure.args[0]
        assert isinstance(error, KafkaError)
        return error
    raise AssertionError("it went well")


def _quiet() -> logging.Logger:
    """For clients of nodes that are killed: what they say of it would bury a failure."""
    logger = logging.getLogger("tests.transactions.client")
    logger.setLevel(logging.CRITICAL + 1)
    return logger
