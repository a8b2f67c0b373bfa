"""The load: producers and consumers on librdkafka, each a process of its own, told when to begin."""

import multiprocessing
import os
import time
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

from bench.case import Case

_SAMPLE = 97  # every so many records carries a callback for its latency: a callback a record would measure Python
_FLUSH_SECONDS = 300.0
_IDLE_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Produced:
    """What one producer process did; times on the machine's monotonic clock."""

    records: int
    began: float
    ended: float
    latencies_ms: list[float]
    error: str | None


def produce(bootstrap: str, topic: str, case: Case, records: int, begin: Any, out: Any) -> None:
    """Send `records` records as fast as they are taken, then wait for every acknowledgement."""
    value = os.urandom(case.record_bytes)
    latencies: list[float] = []
    errors: list[str] = []

    def sampled(error: Any, message: Any) -> None:
        if error is not None:
            errors.append(str(error))
        else:
            latencies.append(message.latency() * 1000)

    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "acks": case.acks,
            "linger.ms": 5,
            "batch.size": 1_000_000,
            "queue.buffering.max.messages": 200_000,
            "queue.buffering.max.kbytes": 262_144,
        }
    )
    producer.list_topics(topic, 30)
    begin.wait()
    began = time.monotonic()
    send = producer.produce
    for number in range(records):
        callback = sampled if number % _SAMPLE == 0 else None
        while True:
            try:
                send(topic, value, on_delivery=callback)
                break
            except BufferError:
                producer.poll(0.01)
        if number % 5000 == 0:
            producer.poll(0)
    left = producer.flush(_FLUSH_SECONDS)
    if left:
        errors.append(f"{left} records without an answer")
    out.put(Produced(records, began, time.monotonic(), latencies, errors[0] if errors else None))


def consume(bootstrap: str, topic: str, partitions: list[int], expected: int, begin: Any, out: Any) -> None:
    """Read `expected` records of the given partitions from the beginning; hands over (began, ended, records, bytes)."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "bench",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "fetch.message.max.bytes": 8_388_608,
            "queued.max.messages.kbytes": 262_144,
            "check.crcs": False,
        }
    )
    consumer.list_topics(topic, 30)
    begin.wait()
    began = time.monotonic()
    consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
    records = size = 0
    last = began
    while records < expected and time.monotonic() - last < _IDLE_SECONDS:
        for message in consumer.consume(10_000, 0.2):
            error = message.error()
            if error is None:
                records += 1
                size += len(message.value() or b"")
                last = time.monotonic()
            elif error.code() != KafkaError._PARTITION_EOF:
                raise SystemExit(error.str())
    out.put((began, last, records, size))
    consumer.close()


def run_together(target: Any, argument_lists: list[tuple[Any, ...]]) -> list[Any]:
    """Run processes that all begin at one moment and answer what each handed over."""
    context = multiprocessing.get_context("spawn")
    begin, out = context.Event(), context.Queue()
    processes = [context.Process(target=target, args=(*arguments, begin, out)) for arguments in argument_lists]
    for process in processes:
        process.start()
    time.sleep(1.5)  # imports and the first metadata of every process; nothing is measured yet
    begin.set()
    results = [out.get(timeout=600) for _ in processes]
    for process in processes:
        process.join()
    return results
