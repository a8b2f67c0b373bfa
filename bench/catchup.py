"""`python -m bench.catchup`: how fast librdkafka reads old records, from a node that holds none of them in memory.

Card transactions are produced (values of about 200 bytes; `--record-bytes` fills them up with noise), the node compacts
them, is started again, and one consumer reads all partitions twice: from the bucket, and then from the node's cache as
far as it reaches. The bucket is a folder on this machine.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition

from bench.load import run_together
from bench.run import make_topic, node_cpu_seconds
from bench.transactions import transactions
from cauce.testing import CauceProcess

_TOPIC = "history"
_IDLE_SECONDS = 60.0
_MIB = 1 << 20
_FILLING = 4096  # values of noise, used in turn: more than one row group of them holds no second copy


def consume(bootstrap: str, partitions: int, expected: int, fetch_bytes: int, begin: Any, out: Any) -> None:
    """Read `expected` records from the beginning with one consumer; hands over seconds, records and bytes."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "bench-catchup",
            "enable.auto.commit": False,
            "fetch.message.max.bytes": fetch_bytes,
            "queued.max.messages.kbytes": 262_144,
        }
    )
    consumer.list_topics(_TOPIC, 30)
    begin.wait()
    began = last = time.monotonic()
    consumer.assign([TopicPartition(_TOPIC, number, 0) for number in range(partitions)])
    records = size = 0
    while records < expected and time.monotonic() - last < _IDLE_SECONDS:
        for message in consumer.consume(10_000, 0.2):
            if message.error() is None:
                records += 1
                size += len(message.value()) + len(message.key())
                last = time.monotonic()
    out.put((last - began, records, size))
    consumer.close()


def _values(seed: int, partition: int, count: int, record_bytes: int) -> Iterator[tuple[bytes, bytes]]:
    noise = [number.to_bytes(8, "big").hex().encode() * (record_bytes // 16 + 1) for number in range(_FILLING)]
    for table in transactions(seed, partition, count):
        keys, values = table["key"].to_pylist(), table["value"].to_pylist()
        for number, (key, value) in enumerate(zip(keys, values, strict=True)):
            yield key, value + noise[number % _FILLING][: max(0, record_bytes - len(value))]


def _produce(bootstrap: str, partitions: int, mib: int, record_bytes: int) -> int:
    """How many records were acknowledged."""
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 20, "compression.type": "lz4"})
    count = mib * _MIB // max(record_bytes, 200) // partitions
    for partition in range(partitions):
        for number, (key, value) in enumerate(_values(1, partition, count, record_bytes)):
            while True:
                try:
                    producer.produce(_TOPIC, value, key, partition)
                    break
                except BufferError:
                    producer.poll(0.05)
            if number % 1000 == 0:
                producer.poll(0)
    if left := producer.flush(120):
        raise SystemExit(f"{left} records without an answer")
    return count * partitions


def _stored(bucket: Path, kind: str) -> int:
    return sum(path.stat().st_size for path in (bucket / kind).rglob("*.parquet"))


def _wait_for_compaction(bucket: Path, seconds: float) -> None:
    """Until record segments have come and no more come, or so long."""
    deadline, seen, still = time.monotonic() + seconds, 0, 0
    while time.monotonic() < deadline and still < 10:
        time.sleep(2)
        size = _stored(bucket, "records")
        still = still + 1 if size == seen and size else 0
        seen = size


def _measure(node: CauceProcess, options: argparse.Namespace, records: int, what: str) -> None:
    before = node_cpu_seconds(node.pid)
    [(seconds, read, size)] = run_together(
        consume, [(node.bootstrap, options.partitions, records, options.fetch_kib << 10)]
    )
    cpu = node_cpu_seconds(node.pid) - before
    if read < records:
        raise SystemExit(f"{what}: only {read} of {records} records came")
    print(
        f"| {what} | {size / 1e6 / seconds:.0f} | {read / 1e3 / seconds:.0f} | {cpu / (size / (1 << 30)):.1f} |",
        flush=True,
    )


def main() -> None:
    """Produce, compact, start again, consume twice."""
    parser = argparse.ArgumentParser(prog="python -m bench.catchup", description=__doc__)
    parser.add_argument("--mib", type=int, default=1024, help="bytes of values to produce")
    parser.add_argument("--record-bytes", type=int, default=200)
    parser.add_argument("--partitions", type=int, default=1)
    parser.add_argument("--fetch-kib", type=int, default=1024, help="what the consumer asks of a partition at once")
    parser.add_argument("--compaction-seconds", type=float, default=300.0, help="wait so long at most; 0: extents only")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cauce-bench-") as folder:
        node = CauceProcess(Path(folder))
        with node:
            make_topic(node.bootstrap, _TOPIC, options.partitions)
            records = _produce(node.bootstrap, options.partitions, options.mib, options.record_bytes)
            bucket = Path(folder) / "bucket"
            if options.compaction_seconds:
                _wait_for_compaction(bucket, options.compaction_seconds)
        print(f"{records:,} records; MiB of record segments: {_stored(bucket, 'records') / _MIB:.0f}")
        print("| from | MB/s | k records/s | node CPU s/GiB |\n|---|---|---|---|")
        with node:
            _measure(node, options, records, "bucket")
            _measure(node, options, records, "bucket and cache")


if __name__ == "__main__":
    main()
