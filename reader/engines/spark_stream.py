"""Streaming reads of the Spark data source.

A position is the next offset of each partition, {"0": 17, "1": 4}. Spark keeps positions in its checkpoint before it
reads what lies between two of them, and asks for the same stretch again after a failure; offsets always name the same
records, so a restart loses nothing and repeats nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
from pyspark.sql.datasource import DataSourceStreamReader, InputPartition
from pyspark.sql.types import StructType

from infra.error_code import ErrorCode
from infra.errors import Refused
from reader.engines.offsets import limited, missing, resolve
from reader.engines.spark_options import LATEST, SparkOptions
from reader.engines.spark_rows import WorkPartition, columns_in, read_rows
from reader.engines.wanted import Wanted
from reader.replay.plan import Span

try:
    from pyspark.sql.streaming.datasource import ReadAllAvailable, ReadMaxRows, SupportsTriggerAvailableNow
except ImportError:  # before Spark 4.2 a source reads all there is in each step
    ReadAllAvailable = ReadMaxRows = SupportsTriggerAvailableNow = None

Position = dict[str, int]


class StreamReader(DataSourceStreamReader):  # type: ignore[misc]
    """Spark pickles it to the tasks, so it holds values only; each call asks the cluster anew."""

    def __init__(self, options: SparkOptions, schema: StructType) -> None:
        self._options = options
        self._wanted = Wanted(columns_in(schema))
        self._last: Position | None = None  # no position goes beyond it

    def initialOffset(self) -> Position:  # noqa: N802 - Spark's names, here and below
        """Where a query without a checkpoint begins."""
        with self._options.source() as source:
            if self._options.starting_ms is not None:
                return _position(source.since(self._options.starting_ms, self._options.partitions))
            there = source.spans(self._options.partitions)
            return _position(resolve("startingOffsets", self._options.starting or LATEST, there))

    def partitions(self, start: Position, end: Position) -> Sequence[InputPartition]:
        """The pieces of work between two positions. Raises `Refused` when records of them are gone."""
        with self._options.source() as source:
            there = source.spans([int(partition) for partition in end if int(partition) in source.partitions])
            begin = _with_new({int(one): offset for one, offset in start.items()}, there)
            self._check(begin, there)
            spans = {
                one: Span(max(span.start, begin[one]), min(span.end, end[str(one)])) for one, span in there.items()
            }
            return [WorkPartition(work) for work in source.works(spans, self._wanted, self._options.work_bytes)]

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        """The records of one piece."""
        return read_rows(partition, self._wanted)

    def commit(self, end: Position) -> None:
        """Nothing is kept here: positions stand in Spark's checkpoint."""

    def _latest(self) -> Position:
        with self._options.source() as source:
            return _position({one: span.end for one, span in source.spans(self._options.partitions).items()})

    def _check(self, start: Mapping[int, int], there: Mapping[int, Span]) -> None:
        gone = missing(start, there)
        if gone and self._options.fail_on_data_loss:
            raise Refused(
                ErrorCode.OFFSET_OUT_OF_RANGE,
                f"records of {self._options.topic} are gone that the query has not read: partition {gone[0]} was read"
                f" up to {start[gone[0]]} and now has {_text(there.get(gone[0]))}; to go on without them set the option"
                " failOnDataLoss to false",
            )


class PlainStreamReader(StreamReader):
    """For Spark 4.0 and 4.1: a step takes all there is."""

    def latestOffset(self) -> Position:  # noqa: N802
        """How far the next step goes."""
        return self._latest()


if SupportsTriggerAvailableNow is not None:

    class LimitedStreamReader(StreamReader, SupportsTriggerAvailableNow):  # type: ignore[misc]
        """For Spark from 4.2 on: a step takes at most `maxOffsetsPerTrigger` records."""

        def getDefaultReadLimit(self) -> Any:  # noqa: N802
            """As the option says."""
            most = self._options.max_offsets
            return ReadAllAvailable() if most is None else ReadMaxRows(most)

        def latestOffset(self, start: Position, limit: Any) -> Position:  # noqa: N802
            """How far the next step goes: never back."""
            latest = self._latest()
            if self._last is not None:
                latest = {one: min(end, self._last[one]) for one, end in latest.items() if one in self._last}
            end = {int(one): max(offset, start.get(one, 0)) for one, offset in latest.items()}
            if isinstance(limit, ReadMaxRows):
                end = limited({one: start.get(str(one), 0) for one in end}, end, limit.max_rows)
            return _position(end)

        def prepareForTriggerAvailableNow(self) -> None:  # noqa: N802
            """What comes from now on is left for another query."""
            self._last = self._latest()

        def reportLatestOffset(self) -> Position:  # noqa: N802
            """For the progress of the query."""
            return self._latest()


def stream_reader(options: SparkOptions, schema: StructType) -> StreamReader:
    """The reader that the Spark at hand understands. Raises `Refused` for what it cannot do."""
    if SupportsTriggerAvailableNow is not None:
        return LimitedStreamReader(options, schema)
    if options.max_offsets is not None:
        raise Refused(ErrorCode.INVALID_REQUEST, "maxOffsetsPerTrigger needs Spark 4.2 or later")
    return PlainStreamReader(options, schema)


def _position(offsets: Mapping[int, int]) -> Position:
    return {str(partition): offset for partition, offset in sorted(offsets.items())}


def _with_new(start: Mapping[int, int], there: Mapping[int, Span]) -> dict[int, int]:
    """With the partitions that came after `start`: they are read from their beginning."""
    return {**{one: span.start for one, span in there.items()}, **start}


def _text(span: Span | None) -> str:
    return "no such partition" if span is None else f"offsets from {span.start} to {span.end}"
