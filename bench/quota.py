"""`python -m bench.quota`: are clients held to their quotas? Ends with 1 when one is off by more than 10 %.

A node of its own, and librdkafka clients that ask for as much as they get, several connections with one client id: by
the bytes acknowledged and read each second, once the second's worth that is free at the start is used up.

python -m bench.quota --rate-mib 2 --seconds 20 --clients 2
"""

import argparse
import tempfile
import time
from collections.abc import Awaitable
from pathlib import Path

from confluent_kafka import Consumer, Message, Producer, TopicPartition

from bench.run import make_topic
from bench.verdict import end_with
from cauce.admin import Admin
from cauce.cli.session import with_admin
from cauce.security_admin import SecurityAdmin
from cauce.testing import CauceProcess
from infra.security.quota import CLIENT_ID, CONSUME, PRODUCE, entity_of

MIB = 1 << 20
TOPIC = "limited"
ALLOWED_ERROR = 0.10
_CLIENT = "limited"
_SETTLE_SECONDS = 4.0  # not measured: what was free at the start, and what waits in the clients' queues
_RECORD_BYTES = 16_000


class Measure:
    """Bytes by the time they came; the rate leaves out the beginning."""

    def __init__(self, seconds: float) -> None:
        self.bytes = 0
        self._from = time.monotonic() + _SETTLE_SECONDS
        self.end = self._from + seconds

    @property
    def running(self) -> bool:
        """Whether the time is not over."""
        return time.monotonic() < self.end

    def count(self, size: int) -> None:
        """So many bytes have come."""
        if self._from <= time.monotonic() < self.end:
            self.bytes += size

    @property
    def rate(self) -> float:
        """Bytes a second."""
        return self.bytes / (self.end - self._from)


def measure_produce(bootstrap: str, clients: int, seconds: float) -> float:
    """Bytes of values acknowledged a second, of all clients together."""
    settings = {"client.id": _CLIENT, "acks": "all", "batch.size": 64_000, "queue.buffering.max.messages": 100}
    producers = [Producer({"bootstrap.servers": bootstrap, **settings}) for _ in range(clients)]
    measure, value = Measure(seconds), b"v" * _RECORD_BYTES

    def acknowledged(error: object, message: Message) -> None:
        if error is None:
            measure.count(_RECORD_BYTES)
        elif measure.running:  # what is left in the end is thrown away
            raise RuntimeError(str(error))

    while measure.running:
        for partition, producer in enumerate(producers):
            while len(producer) < 100:
                producer.produce(TOPIC, value, partition=partition, on_delivery=acknowledged)
            producer.poll(0)
        time.sleep(0.002)
    for producer in producers:
        producer.purge()
        producer.flush(10)
    return measure.rate


def measure_consume(bootstrap: str, clients: int, seconds: float) -> float:
    """Bytes of values read a second, of all clients together."""
    settings = {"client.id": _CLIENT, "group.id": "limited", "auto.offset.reset": "earliest"}
    consumers = [Consumer({"bootstrap.servers": bootstrap, **settings}) for _ in range(clients)]
    for partition, consumer in enumerate(consumers):
        consumer.assign([TopicPartition(TOPIC, partition, 0)])
    measure = Measure(seconds)
    while measure.running:
        for consumer in consumers:
            measure.count(sum(len(message.value() or b"") for message in consumer.consume(1000, 0.01)))
    for consumer in consumers:
        consumer.close()
    return measure.rate


def fill(bootstrap: str, partitions: int, size: int) -> None:
    """Something to read, by a client without quotas."""
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "queue.buffering.max.kbytes": 1 << 20})
    for number in range(size // _RECORD_BYTES):
        producer.produce(TOPIC, b"v" * _RECORD_BYTES, partition=number % partitions)
        producer.poll(0)
    producer.flush(120)


def main() -> None:
    """Measure both, and say so."""
    parser = argparse.ArgumentParser(description="Are clients held to their quotas?")
    parser.add_argument("--rate-mib", type=float, default=2.0, help="the quota, MiB a second")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long is measured")
    parser.add_argument("--clients", type=int, default=2, help="connections that share the quota")
    options = parser.parse_args()
    rate = int(options.rate_mib * MIB)
    wrong: list[str] = []

    def limit(admin: Admin) -> Awaitable[None]:
        entity = entity_of({CLIENT_ID: _CLIENT})
        return SecurityAdmin(admin.client).alter_quotas(entity, {PRODUCE: rate, CONSUME: rate})

    with tempfile.TemporaryDirectory(prefix="cauce-bench-") as folder, CauceProcess(Path(folder)) as node:
        make_topic(node.bootstrap, TOPIC, options.clients)
        with_admin(node.bootstrap, None, limit)
        produced = measure_produce(node.bootstrap, options.clients, options.seconds)
        fill(node.bootstrap, options.clients, round(rate * (options.seconds + 2 * _SETTLE_SECONDS)))
        consumed = measure_consume(node.bootstrap, options.clients, options.seconds)
    print("| | quota MiB/s | measured MiB/s | off by |\n|---|---|---|---|")
    for what, measured in (("produce", produced), ("consume", consumed)):
        off = measured / rate - 1
        print(f"| {what} | {rate / MIB:.2f} | {measured / MIB:.2f} | {off:+.1%} |")
        if abs(off) > ALLOWED_ERROR:
            wrong.append(f"{what} is off by {off:+.1%}")
    end_with(wrong, "both are held to their quota")


if __name__ == "__main__":
    main()
