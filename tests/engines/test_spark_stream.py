"""Spark streaming reads: across restarts from a checkpoint every record comes once."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from cauce.testing import CauceProcess
from reader.replay.request import BYTES
from tests.engines.filled import FilledTopic

_SECONDS = 180.0
_SCHEMA = (
    "partition int, offset bigint, timestamp timestamp, key binary, value binary,"
    " headers array<struct<key: binary, value: binary>>"
)
pytestmark = pytest.mark.timeout(600)  # Spark starts many processes


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CauceProcess]:
    """A node that compacts when it likes."""
    options = ["--set", "cauce.compaction.interval.ms=200", "--set", "cauce.compaction.bytes=1"]
    with CauceProcess(tmp_path_factory.mktemp("node"), options=options) as process:
        yield process


class Query:
    """A streaming query from a topic to a Parquet folder."""

    def __init__(self, spark: Any, topic: FilledTopic, folder: Path) -> None:
        self._spark = spark
        self._topic = topic
        self._out = folder / "out"
        self._checkpoint = folder / "checkpoint"

    def start(self, trigger: dict[str, Any] | None = None, **options: str) -> Any:
        reader = self._spark.readStream.format("cauce").option("bootstrap", self._topic.bootstrap)
        frame = reader.option("topic", self._topic.topic).options(**options).load()
        writer = frame.writeStream.format("parquet").option("checkpointLocation", str(self._checkpoint))
        return writer.trigger(**(trigger or {"processingTime": "100 milliseconds"})).start(str(self._out))

    def drain(self, **options: str) -> None:
        """All that is there now, then an end."""
        query = self.start({"availableNow": True}, **options)
        assert query.awaitTermination(int(_SECONDS)), "the query did not end"

    def found(self) -> pa.Table:
        """What the sink holds for good, by partition and offset."""
        if not (self._out / "_spark_metadata").exists():
            return BYTES.empty_table()
        table = self._spark.read.schema(_SCHEMA).parquet(str(self._out)).toArrow().cast(BYTES)
        return table.sort_by([("partition", "ascending"), ("offset", "ascending")])

    def steps(self) -> int:
        return sum(one.name.isdecimal() for one in (self._checkpoint / "commits").glob("*"))


def _topic(node: CauceProcess, name: str, partitions: int = 2) -> FilledTopic:
    topic = FilledTopic(node.bootstrap, name, partitions)
    topic.create()
    return topic


def _eventually(what: str, query: Any, probe: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _SECONDS
    while not probe():
        assert query.isActive, query.exception()
        assert time.monotonic() < deadline, f"{what}: not in time"
        time.sleep(0.2)


def test_everything_once_through_restarts(spark: Any, node: CauceProcess, tmp_path: Path) -> None:
    topic = _topic(node, "restarts")
    topic.produce(300)
    running = Query(spark, topic, tmp_path)
    for _ in range(3):
        before = running.steps()
        query = running.start(startingOffsets="earliest")
        topic.produce(200)
        _eventually("a step is done", query, lambda before=before: running.steps() > before)
        query.stop()  # wherever it is
        topic.produce(100)
    running.drain()
    assert running.found().equals(topic.table())


def test_the_end_is_where_a_query_begins_by_default(spark: Any, node: CauceProcess, tmp_path: Path) -> None:
    topic = _topic(node, "from-the-end")
    topic.produce(50)
    ends = topic.ends()
    running = Query(spark, topic, tmp_path)
    running.drain()
    topic.produce(60)
    running.drain()
    assert running.found().equals(topic.table(lambda row: row["offset"] >= ends[row["partition"]]))


def test_given_offsets_and_limited_steps(spark: Any, node: CauceProcess, tmp_path: Path) -> None:
    topic = _topic(node, "limited")
    topic.produce(200)
    running = Query(spark, topic, tmp_path)
    running.drain(startingOffsets=json.dumps({topic.topic: {"0": 40, "1": -2}}), maxOffsetsPerTrigger="50")
    expected = topic.table(lambda row: row["partition"] == 1 or row["offset"] >= 40)
    assert running.found().equals(expected)
    assert running.steps() >= 4


def test_a_step_is_read_again_after_a_failure(spark: Any, node: CauceProcess, tmp_path: Path) -> None:
    topic = _topic(node, "again")
    topic.produce(120)
    running = Query(spark, topic, tmp_path)
    running.drain(startingOffsets="earliest")
    last = max((tmp_path / "checkpoint" / "commits").glob("[0-9]*"), key=lambda one: int(one.name))
    last.unlink()  # as if it had died before it noted that the step was done
    last.with_name(f".{last.name}.crc").unlink(missing_ok=True)
    topic.produce(30)
    running.drain(startingOffsets="earliest")
    assert running.found().equals(topic.table())


def test_partitions_that_are_added_are_read_from_their_beginning(
    spark: Any, node: CauceProcess, tmp_path: Path
) -> None:
    from confluent_kafka.admin import NewPartitions

    topic = _topic(node, "grows", 1)
    topic.produce(40)
    running = Query(spark, topic, tmp_path)
    running.drain(startingOffsets="earliest")
    admin = AdminClient({"bootstrap.servers": topic.bootstrap})
    admin.create_partitions([NewPartitions(topic.topic, 2)])[topic.topic].result(30)
    topic.partitions = 2
    topic.produce(40)
    running.drain()
    assert running.found().equals(topic.table())


def test_records_that_are_gone_end_a_query_unless_it_may_lose_them(
    spark: Any, node: CauceProcess, tmp_path: Path
) -> None:
    topic = _topic(node, "gone", 1)
    topic.produce(40)
    running = Query(spark, topic, tmp_path)
    running.drain(startingOffsets="earliest")
    topic.produce(60)
    admin = AdminClient({"bootstrap.servers": topic.bootstrap})
    admin.delete_records([TopicPartition(topic.topic, 0, 70)])[TopicPartition(topic.topic, 0)].result(30)
    query = running.start({"availableNow": True})
    with pytest.raises(Exception, match=r"read up to 40 and now has offsets from 70 to 100"):
        query.awaitTermination(int(_SECONDS))
    running.drain(failOnDataLoss="false")
    assert running.found().equals(topic.table(lambda row: row["offset"] < 40 or row["offset"] >= 70))
