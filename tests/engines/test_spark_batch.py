"""Spark batch reads: equal to what was produced, partitioned by pieces of work."""

import json
from typing import Any

import pyarrow as pa
import pytest

from reader.replay.request import BYTES
from tests.engines.filled import FIRST_MS, FilledTopic

pytestmark = pytest.mark.timeout(600)  # Spark starts many processes


def _read(spark: Any, filled: FilledTopic, **options: str) -> Any:
    reader = spark.read.format("cauce").option("bootstrap", filled.bootstrap).option("topic", filled.topic)
    return reader.options(**options)


def _sorted(frame: Any) -> pa.Table:
    """In the order of offsets, as `BYTES`."""
    table = frame.toArrow()
    fields = [BYTES.field(name) for name in table.column_names]
    return table.cast(pa.schema(fields)).sort_by([("partition", "ascending"), ("offset", "ascending")])


def test_everything(spark: Any, filled: FilledTopic) -> None:
    frame = _read(spark, filled).load()
    assert frame.schema.simpleString() == (
        "struct<partition:int,offset:bigint,timestamp:timestamp,key:binary,value:binary,"
        "headers:array<struct<key:binary,value:binary>>>"
    )
    assert frame.rdd.getNumPartitions() == len(filled.works())
    assert _sorted(frame).equals(filled.table())
    in_order = frame.where("partition = 0").select("offset").toArrow()["offset"].to_pylist()
    assert in_order == list(range(filled.ends()[0]))


def test_more_and_smaller_pieces(spark: Any, filled: FilledTopic) -> None:
    frame = _read(spark, filled, workBytes="1").load()
    assert frame.rdd.getNumPartitions() == len(filled.works(work_bytes=1)) > len(filled.works())
    assert frame.count() == len(filled.rows)


def test_fewer_columns(spark: Any, filled: FilledTopic) -> None:
    expected = filled.table()
    few = _read(spark, filled, columns="key,partition,offset").load()
    assert _sorted(few).equals(expected.select(["key", "partition", "offset"]))
    given = _read(spark, filled).schema("partition int, offset bigint, value binary").load()
    assert _sorted(given).equals(expected.select(["partition", "offset", "value"]))
    with pytest.raises(Exception, match="no column value string can be read"):
        _read(spark, filled).schema("value string").load().collect()


def test_offsets(spark: Any, filled: FilledTopic) -> None:
    frame = _read(
        spark,
        filled,
        startingOffsets=json.dumps({filled.topic: {"0": 250, "1": -2, "2": -1, "3": 0}}),
        endingOffsets=json.dumps({filled.topic: {"0": -1, "1": 17, "2": -1, "3": -1}}),
    ).load()
    expected = filled.table(
        lambda row: (row["partition"] == 0 and row["offset"] >= 250) or (row["partition"] == 1 and row["offset"] < 17)
    )
    assert _sorted(frame).equals(expected)
    with pytest.raises(Exception, match="startingOffsets has to name every partition that is read: 0, 1, 2, 3"):
        _read(spark, filled, startingOffsets=json.dumps({filled.topic: {"0": 1}})).load().collect()


def test_times(spark: Any, filled: FilledTopic) -> None:
    frame = _read(
        spark, filled, startingTimestamp=str(FIRST_MS + 700), endingTimestamp=str(FIRST_MS + 1000), partitions="0,2"
    ).load()
    expected = filled.table(lambda row: row["partition"] != 1 and 700 <= row["timestamp"] - FIRST_MS < 1000)
    assert expected.num_rows > 0
    assert _sorted(frame).equals(expected)


@pytest.mark.parametrize("push", ["true", "false"])
@pytest.mark.parametrize(
    ("condition", "passes"),
    [
        ("offset >= 600 and partition in (0, 2)", lambda row: row["offset"] >= 600 and row["partition"] in (0, 2)),
        ("timestamp < timestamp'2023-11-14 22:13:20.1005'", lambda row: row["timestamp"] <= FIRST_MS + 100),
        ("key = X'6b65792d33' and offset <=> 3", lambda row: row["key"] == b"key-3" and row["offset"] == 3),
        ("key is null or offset = 9", lambda row: row["key"] is None or row["offset"] == 9),
        ("offset > 5 and length(value) > 250", lambda row: row["offset"] > 5 and len(row["value"] or b"") > 250),
    ],
)
def test_filters(spark: Any, filled: FilledTopic, condition: str, passes: Any, push: str) -> None:
    spark.conf.set("spark.sql.python.filterPushdown.enabled", push)
    frame = _read(spark, filled, pushFilters=push).load().where(condition)
    assert _sorted(frame).equals(filled.table(passes))


def test_filters_spare_pieces(spark: Any, filled: FilledTopic) -> None:
    spark.conf.set("spark.sql.python.filterPushdown.enabled", "true")
    frame = _read(spark, filled, pushFilters="true").load()
    assert frame.where("partition = 2").rdd.getNumPartitions() == 1
    assert frame.where("offset < 0").count() == 0


def test_options_are_refused_with_a_sentence(spark: Any, filled: FilledTopic) -> None:
    with pytest.raises(Exception, match="is 'startingOffsets' meant"):
        _read(spark, filled, startingOffset="earliest").load()
    with pytest.raises(Exception, match="there is no topic 'nowhere'"):
        _read(spark, filled).option("topic", "nowhere").load().collect()
