"""The ways to read a topic's history back, each giving its digest; one that is not there gives None."""

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from confluent_kafka import Consumer, TopicPartition

import cauce
from bench.digest import Digest, PartitionDigest
from reader.replay.duckdb import arrow_reader, connect

_BATCH = 10_000
_IDLE_POLLS = 60
_SPARK_FIELDS = "partition int, rows long, first long, last long, hashes string"


@dataclass(frozen=True, slots=True)
class Place:
    """A running node and its data folder."""

    bootstrap: str
    folder: Path

    @property
    def bucket(self) -> Path:
        """The folder bucket."""
        return self.folder / "bucket"


def compacted(place: Place) -> int:
    """How many records lie below the ends of the record segments of the only topic there is."""
    ends: dict[str, int] = {}
    for file in place.bucket.glob("records/*/*/*.parquet"):
        partition, last = str(file.parent), int(file.name.split("-")[1])
        ends[partition] = max(ends.get(partition, 0), last + 1)
    return sum(ends.values())


def through_fetch(place: Place, topic: str) -> Digest:
    """librdkafka from the beginning to the end; offsets must come without a gap."""
    consumer = Consumer(
        {
            "bootstrap.servers": place.bootstrap,
            "group.id": "history",
            "enable.auto.commit": False,
            "fetch.message.max.bytes": 8 << 20,
            "queued.max.messages.kbytes": 128 << 10,
        }
    )
    partitions = consumer.list_topics(topic, 30).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
    ends = {number: consumer.get_watermark_offsets(TopicPartition(topic, number))[1] for number in partitions}
    digest, positions, idle = Digest(), dict.fromkeys(partitions, 0), 0
    while positions != ends:
        messages = consumer.consume(_BATCH, 1.0)
        idle = 0 if messages else idle + 1
        if idle > _IDLE_POLLS:
            raise SystemExit(f"Fetch gives nothing more at {positions}, the ends are {ends}")
        digest.add(_table(messages, positions))
    consumer.close()
    return digest


def _table(messages: list[Any], positions: dict[int, int]) -> pa.Table:
    rows = []
    for message in messages:
        if message.error() is not None:
            raise SystemExit(str(message.error()))
        partition, offset = message.partition(), message.offset()
        if offset != positions[partition]:
            raise SystemExit(f"partition {partition}: offset {offset} came after {positions[partition] - 1}")
        positions[partition] = offset + 1
        rows.append((partition, offset, message.timestamp()[1], message.key(), message.value()))
    columns = list(zip(*rows, strict=True)) or [()] * 5
    types = (pa.int32(), pa.int64(), pa.timestamp("ms", "UTC"), pa.binary(), pa.binary())
    names = ("partition", "offset", "timestamp", "key", "value")
    return pa.table({name: pa.array(column, kind) for name, column, kind in zip(names, columns, types, strict=True)})


def through_replay(place: Place, topic: str) -> Digest:
    """`cauce.replay`: one Arrow stream."""
    digest = Digest()
    for batch in cauce.replay(topic, bootstrap=place.bootstrap):
        digest.add(batch)
    return digest


def through_pyiceberg(place: Place, topic: str) -> Digest:
    """pyiceberg's own scan of the topic's table."""
    digest = Digest()
    for batch in _newest_table(place).scan().to_arrow_batch_reader():
        digest.add(batch)
    return digest


def through_duckdb(place: Place, topic: str) -> Digest:
    """DuckDB on the files of the table's snapshot."""
    files = ", ".join(f"'{task.file.file_path}'" for task in _newest_table(place).scan().plan_files())
    digest = Digest()
    connection = connect()
    columns = '"partition", "offset", "timestamp", key, value'
    for batch in arrow_reader(connection, f"select {columns} from read_parquet([{files}])", 100_000):
        digest.add(batch)
    return digest


def in_table(place: Place) -> int:
    """How many records the topic's table holds; 0 while there is none."""
    if not _metadata_files(place):
        return 0
    return sum(task.file.record_count for task in _newest_table(place).scan().plan_files())


def _newest_table(place: Place) -> Any:
    from pyiceberg.table import StaticTable

    metadata = max(_metadata_files(place), key=lambda file: file.stat().st_mtime_ns)
    return StaticTable.from_metadata(metadata.as_uri())


def _metadata_files(place: Place) -> list[Path]:
    return list(place.bucket.glob("tables/**/*.metadata.json"))


def through_spark(place: Place, topic: str) -> Digest | None:
    """Spark's batch read, digested by its executors."""
    if importlib.util.find_spec("pyspark") is None or shutil.which("java") is None:
        return None
    from pyspark.sql import SparkSession

    from cauce.spark import CauceDataSource

    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    spark = (
        SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.memory", "2g")
        .config("spark.sql.session.timeZone", "UTC")
        .getOrCreate()
    )
    spark.dataSource.register(CauceDataSource)
    rows = spark.read.format("cauce").option("bootstrap", place.bootstrap).option("topic", topic).load()
    digest = Digest()
    for row in rows.mapInArrow(_digest_batches, _SPARK_FIELDS).collect():
        digest.merge(row.partition, PartitionDigest(row.rows, row.first, row.last, int(row.hashes)))
    spark.stop()
    return digest


def _digest_batches(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    digest = Digest()
    for batch in batches:
        digest.add(batch)
    found = digest.partitions
    yield pa.RecordBatch.from_pydict(
        {
            "partition": pa.array(list(found), pa.int32()),
            "rows": pa.array([one.rows for one in found.values()], pa.int64()),
            "first": pa.array([one.first for one in found.values()], pa.int64()),
            "last": pa.array([one.last for one in found.values()], pa.int64()),
            "hashes": pa.array([str(one.hashes) for one in found.values()]),
        }
    )


WAYS: Mapping[str, Callable[[Place, str], Digest | None]] = {
    "fetch": through_fetch,
    "replay": through_replay,
    "pyiceberg": through_pyiceberg,
    "duckdb": through_duckdb,
    "spark": through_spark,
}
TABLE_WAYS = frozenset({"pyiceberg", "duckdb"})
