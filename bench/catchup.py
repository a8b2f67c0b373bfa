"""`python -m bench.catchup`: how fast librdkafka reads a topic from the tail, from extents and from record segments.

Card transactions of about 200 bytes (`--orders`: JSON of about 1 KiB) are produced once. One consumer reads them all
while the node still has them in memory, then from a node that was started anew and finds extents, then from
one that finds record segments; each reading has a fresh consumer, and in the last two a fresh node. The consumer is
Python around librdkafka, which costs it about a microsecond a record; MB are of keys and values, uncompressed.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from confluent_kafka import Consumer, Producer, TopicPartition

from bench.case import GIB, MB
from bench.compacted import TOPIC, await_compaction, make_topic
from bench.history_ways import Place
from bench.load import run_together
from bench.orders import orders
from bench.run import node_cpu_seconds
from bench.transactions import transactions
from cauce.testing import CauceProcess

_IDLE_SECONDS = 60.0
_MIB = 1 << 20
_SMALL_BYTES, _ORDER_BYTES = 191, 1014
_NEVER = str(1 << 40)
_WAITING = {"cauce.compaction.interval.ms": "86400000"}  # longer than any run
_COMPACTING = {"cauce.compaction.interval.ms": "1000", "cauce.compaction.age.ms": "1000"}


def consume(bootstrap: str, partitions: int, expected: int, fetch_bytes: int, begin: Any, out: Any) -> None:
    """Read `expected` records from the beginning with one consumer; hands over seconds, own CPU seconds and records."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "bench-catchup",
            "enable.auto.commit": False,
            "fetch.message.max.bytes": fetch_bytes,
            "queued.max.messages.kbytes": 262_144,
        }
    )
    consumer.list_topics(TOPIC, 30)
    begin.wait()
    began, cpu = time.monotonic(), time.process_time()
    last = began
    consumer.assign([TopicPartition(TOPIC, number, 0) for number in range(partitions)])
    records = 0
    while records < expected and time.monotonic() - last < _IDLE_SECONDS:
        messages = consumer.consume(10_000, 0.2)
        if messages:
            if (error := messages[-1].error()) is not None:
                raise SystemExit(str(error))
            records += len(messages)
            last = time.monotonic()
    out.put((last - began, time.process_time() - cpu, records))
    consumer.close()


def _produce(bootstrap: str, partitions: int, each: int, large: bool) -> int:
    """Bytes of keys and values that were acknowledged."""
    producer = Producer(
        {"bootstrap.servers": bootstrap, "linger.ms": 20, "batch.size": 1_000_000, "compression.type": "lz4"}
    )
    size = 0
    for partition in range(partitions):
        for table in (orders if large else transactions)(1, partition, each):
            size += sum(pc.sum(pc.binary_length(table[name])).as_py() for name in ("key", "value"))
            _send(producer, partition, table)
    if left := producer.flush(120):
        raise SystemExit(f"{left} records without an answer")
    return size


def _send(producer: Producer, partition: int, table: pa.Table) -> None:
    for key, value in zip(table["key"].to_pylist(), table["value"].to_pylist(), strict=True):
        while True:
            try:
                producer.produce(TOPIC, value, key, partition)
                break
            except BufferError:
                producer.poll(0.05)
    producer.poll(0)


def _node(folder: Path, settings: dict[str, str]) -> CauceProcess:
    return CauceProcess(folder, options=[word for pair in settings.items() for word in ("--set", "=".join(pair))])


def _reading(node: CauceProcess, options: argparse.Namespace, records: int) -> tuple[float, float, float]:
    before = node_cpu_seconds(node.pid)
    arguments = (node.bootstrap, options.partitions, records, options.fetch_kib << 10)
    [(seconds, own_cpu, read)] = run_together(consume, [arguments])
    if read < records:
        raise SystemExit(f"only {read} of {records} records came")
    return seconds, node_cpu_seconds(node.pid) - before, own_cpu


def _row(what: str, readings: list[tuple[float, float, float]], records: int, size: int) -> None:
    seconds, node_cpu, own_cpu = (statistics.median(reading[at] for reading in readings) for at in range(3))
    print(
        f"| {what} | {size / MB / seconds:.0f} | {records / 1e3 / seconds:.0f} | {node_cpu / (size / GIB):.1f} "
        f"| {own_cpu / (size / GIB):.1f} |",
        flush=True,
    )


def _fresh(folder: Path, options: argparse.Namespace, records: int) -> Iterator[tuple[float, float, float]]:
    for _ in range(options.rounds):
        with _node(folder, _WAITING) as node:
            yield _reading(node, options, records)


def _run(folder: Path, options: argparse.Namespace) -> None:
    each = options.mib * _MIB // (_ORDER_BYTES if options.orders else _SMALL_BYTES) // options.partitions
    records = each * options.partitions
    with _node(folder, _WAITING | {"cauce.tail.bytes": _NEVER}) as node:
        make_topic(node.bootstrap, TOPIC, options.partitions)
        size = _produce(node.bootstrap, options.partitions, each, options.orders)
        print(f"{records:,} records of {size / records:.0f} bytes; medians of {options.rounds} rounds\n")
        print("| from | MB/s | k records/s | node CPU s/GiB | consumer CPU s/GiB |\n|---|---|---|---|---|")
        _row("the tail", [_reading(node, options, records) for _ in range(options.rounds)], records, size)
    _row("extents", list(_fresh(folder, options, records)), records, size)
    with _node(folder, _COMPACTING) as node:
        await_compaction(Place(node.bootstrap, folder), records)
        time.sleep(3.0)
    _row("record segments", list(_fresh(folder, options, records)), records, size)


def main() -> None:
    """One table."""
    parser = argparse.ArgumentParser(prog="python -m bench.catchup", description=__doc__)
    parser.add_argument("--mib", type=int, default=256, help="of records")
    parser.add_argument("--orders", action="store_true", help="records of about 1 KiB")
    parser.add_argument("--partitions", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--fetch-kib", type=int, default=1024, help="what the consumer asks of a partition at once")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cauce-bench-") as folder:
        _run(Path(folder), options)


if __name__ == "__main__":
    main()
