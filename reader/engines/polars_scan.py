"""A topic as a Polars LazyFrame: columns, the number of rows and what a predicate says of offsets are pushed down."""

from collections.abc import Iterator, Sequence
from datetime import datetime

import polars as pl
import pyarrow as pa
from polars.io.plugins import register_io_source

from reader.engines.polars_predicate import conditions_of
from reader.engines.read_work import PlaceReader
from reader.engines.topic_source import TopicSource
from reader.engines.wanted import Condition, Wanted
from reader.engines.work import TopicPlace
from reader.replay.plan import Span
from reader.replay.request import BYTES, milliseconds

SCHEMA = {
    "partition": pl.Int32(),
    "offset": pl.Int64(),
    "timestamp": pl.Datetime("ms", "UTC"),
    "key": pl.Binary(),
    "value": pl.Binary(),
    "headers": pl.List(pl.Struct({"key": pl.Binary(), "value": pl.Binary()})),
}
"""What a scan gives."""


def scan(
    topic: str,
    *,
    bootstrap: str = "127.0.0.1:9092",
    partitions: Sequence[int] | None = None,
    start: int | datetime | None = None,
    end: int | datetime | None = None,
    bucket: str | None = None,
    command_config: str | None = None,
) -> pl.LazyFrame:
    """The records of a topic, partition by partition in the order of offsets, as of the time of this call.

    `start` (inclusive) and `end` (exclusive) are offsets, or times that timestamps are compared with. `bucket`: URL of
    the bucket where it is not reachable as the nodes name it. `command_config`: file of Kafka's client properties
    (security.protocol, sasl.*, ssl.*). Raises `infra.errors.CauceError`.
    """
    times = []
    if isinstance(start, datetime):
        times.append(Condition("timestamp", ">=", milliseconds(start)))
    if isinstance(end, datetime):
        times.append(Condition("timestamp", "<", milliseconds(end)))
    last = end if isinstance(end, int) else None
    with TopicSource(topic, bootstrap, bucket, command_config) as source:
        scanned = _Scan(source.place, source.spans(partitions, start, last), tuple(times))
    return register_io_source(scanned.frames, schema=SCHEMA, is_pure=True)


class _Scan:
    """What is scanned; each collect reads it anew."""

    def __init__(self, place: TopicPlace, spans: dict[int, Span], conditions: tuple[Condition, ...]) -> None:
        self._place = place
        self._spans = spans
        self._conditions = conditions

    def frames(
        self, with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        """What Polars asks for. It counts `n_rows` before the predicate drops any, so with both nothing is pruned."""
        columns = list(SCHEMA) if with_columns is None else with_columns
        read = _read_columns(columns, predicate)
        found = () if predicate is None or n_rows is not None else conditions_of(predicate)
        wanted = Wanted(read, (*self._conditions, *found))
        left = n_rows
        with PlaceReader(self._place) as reader:
            for batch in reader.batches(wanted.narrowed(self._spans), wanted):
                rows = batch if left is None else batch.slice(0, left)
                frame = _frame(rows)
                yield (frame if predicate is None else frame.filter(predicate)).select(columns)
                if left is not None:
                    left -= rows.num_rows
                    if left == 0:
                        return


def _read_columns(columns: list[str], predicate: pl.Expr | None) -> tuple[str, ...]:
    needed = {*columns, *([] if predicate is None else predicate.meta.root_names())}
    return tuple(name for name in BYTES.names if name in needed) or ("partition",)


def _frame(rows: pa.RecordBatch) -> pl.DataFrame:
    frame = pl.from_arrow(pa.Table.from_batches([rows]), schema={name: SCHEMA[name] for name in rows.schema.names})
    assert isinstance(frame, pl.DataFrame)
    return frame
