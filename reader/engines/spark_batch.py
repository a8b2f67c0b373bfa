"""Batch reads of the Spark data source: planned on the driver, a piece of work read by each task."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyspark.sql import datasource
from pyspark.sql.datasource import DataSourceReader, InputPartition
from pyspark.sql.types import StructType

from reader.engines.offsets import resolve
from reader.engines.spark_options import EARLIEST, SparkOptions
from reader.engines.spark_rows import WorkPartition, columns_in, read_rows
from reader.engines.wanted import CONDITION_COLUMNS, Condition, Wanted, time_condition, time_set
from reader.replay.plan import Span

if TYPE_CHECKING:
    from reader.engines.topic_source import TopicSource

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_COMPARISONS = {
    "EqualTo": "==",
    "LessThan": "<",
    "LessThanOrEqual": "<=",
    "GreaterThan": ">",
    "GreaterThanOrEqual": ">=",
}


class BatchReader(DataSourceReader):  # type: ignore[misc]
    """Spark pickles it from the planner to the tasks, so it holds values only."""

    def __init__(self, options: SparkOptions, schema: StructType) -> None:
        self._options = options
        self._wanted = Wanted(columns_in(schema))

    def partitions(self) -> Sequence[InputPartition]:
        """The pieces of work."""
        options = self._options
        with options.source() as source:
            works = source.works(_spans(source, options), self._wanted, options.work_bytes)
        return [WorkPartition(work) for work in works]

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        """The records of one piece."""
        return read_rows(partition, self._wanted)


class PushingReader(BatchReader):
    """The same, and takes over filters. Spark refuses a reader that could, unless its own setting for that is on."""

    def pushFilters(self, filters: "list[Any]") -> Iterable[Any]:  # noqa: N802 - Spark's name
        """Keeps what can be decided from offsets, times and keys, exactly; answers the rest."""
        left, conditions = [], []
        for one in filters:
            found = condition_of(one)
            if found is not None:
                conditions.append(found)
            elif not _always_holds(one):
                left.append(one)
        self._wanted = Wanted(self._wanted.columns, tuple(conditions))
        return left


def condition_of(one: Any) -> Condition | None:
    """A Spark filter as a condition, None for one that Spark has to evaluate."""
    comparison = "in" if isinstance(one, datasource.In) else _COMPARISONS.get(type(one).__name__)
    if comparison is None or len(one.attribute) != 1 or one.attribute[0] not in CONDITION_COLUMNS:
        return None
    [column] = one.attribute
    value = one.value
    values = value if comparison == "in" else (value,)
    if any(each is None for each in values):
        return None
    if column == "timestamp":
        times = [_microseconds(each) for each in values]
        return time_set(times) if comparison == "in" else time_condition(comparison, times[0])
    if column == "key":
        values = tuple(bytes(each) for each in values)
    return Condition(column, comparison, tuple(values) if comparison == "in" else values[0])


def _always_holds(one: Any) -> bool:
    return isinstance(one, datasource.IsNotNull) and one.attribute in (("partition",), ("offset",), ("timestamp",))


def _microseconds(moment: datetime) -> int:
    aware = moment if moment.tzinfo is not None else moment.astimezone()
    return (aware - _EPOCH) // timedelta(microseconds=1)


def _spans(source: "TopicSource", options: SparkOptions) -> dict[int, Span]:
    """What the options ask for, within what is there."""
    there = source.spans(options.partitions)
    if options.starting_ms is None:
        starts = resolve("startingOffsets", options.starting or EARLIEST, there)
    else:
        starts = source.since(options.starting_ms, options.partitions)
    if options.ending_ms is None:
        ends = resolve("endingOffsets", options.ending, there)
    else:
        ends = source.since(options.ending_ms, options.partitions)
    return {one: Span(max(span.start, starts[one]), min(span.end, ends[one])) for one, span in there.items()}
