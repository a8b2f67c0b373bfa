"""Produces the seeded transactions of a whole topic from two processes, and digests what they must be."""

import multiprocessing

import pyarrow as pa
from confluent_kafka import Producer

from bench.digest import Digest
from bench.transactions import transactions

_PROCESSES = 2
_FLUSH_SECONDS = 600.0


def expected_digest(seed: int, partitions: int, each: int) -> Digest:
    """What every reading of the topic must give: offsets count from 0 in each partition."""
    digest = Digest()
    for partition in range(partitions):
        for rows in transactions(seed, partition, each):
            digest.add(rows.append_column("partition", pa.array([partition] * len(rows), pa.int32())))
    return digest


def produce_all(bootstrap: str, topic: str, seed: int, partitions: int, each: int) -> None:
    """Produce `each` records to every partition, in order. Raises `SystemExit` when one is not acknowledged."""
    context = multiprocessing.get_context("spawn")
    shares = [range(first, partitions, _PROCESSES) for first in range(min(_PROCESSES, partitions))]
    processes = [context.Process(target=_produce, args=(bootstrap, topic, seed, list(share), each)) for share in shares]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        raise SystemExit("a producer failed")


def _produce(bootstrap: str, topic: str, seed: int, partitions: list[int], each: int) -> None:
    refused: list[str] = []
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "enable.idempotence": True,
            "compression.type": "lz4",
            "linger.ms": 20,
            "batch.size": 1_000_000,
            "queue.buffering.max.messages": 500_000,
            "error_cb": lambda error: refused.append(str(error)) if error.fatal() else None,
        }
    )
    for partition in partitions:
        for rows in transactions(seed, partition, each):
            _send(producer, topic, partition, rows)
    if producer.flush(_FLUSH_SECONDS) or refused:
        raise SystemExit(f"records were not acknowledged: {refused[:1]}")


def _send(producer: Producer, topic: str, partition: int, rows: pa.Table) -> None:
    times = rows["timestamp"].cast(pa.int64()).to_pylist()
    for key, value, time_ms in zip(rows["key"].to_pylist(), rows["value"].to_pylist(), times, strict=True):
        while True:
            try:
                producer.produce(topic, value, key, partition, timestamp=time_ms)
                break
            except BufferError:
                producer.poll(0.05)
    producer.poll(0)
