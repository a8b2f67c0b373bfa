"""A topic as a Dask dataframe: one partition of it a piece of work, read where Dask runs it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import dask.dataframe as dd
import pandas as pd
import pyarrow as pa

from infra.error_code import ErrorCode
from infra.errors import Refused
from reader.engines.cutting import WORK_BYTES
from reader.engines.read_work import read_work
from reader.engines.topic_source import TopicSource
from reader.engines.wanted import COMPARISONS, CONDITION_COLUMNS, Condition, Wanted
from reader.engines.work import Work
from reader.replay.request import ReplayRequest, milliseconds

Filter = tuple[str, str, Any]


def read(
    topic: str,
    *,
    bootstrap: str = "127.0.0.1:9092",
    partitions: Sequence[int] | None = None,
    start: int | datetime | None = None,
    end: int | datetime | None = None,
    columns: Sequence[str] | None = None,
    filters: Sequence[Filter] = (),
    bucket: str | None = None,
    command_config: str | None = None,
    work_bytes: int = WORK_BYTES,
) -> Any:
    """The records of a topic as a `dask.dataframe.DataFrame`, as of the time of this call; columns are Arrow's types.

    Its partitions come by partition of the topic and offset; each is a record segment, or about `work_bytes` of them,
    or what lies above them. `start` (inclusive) and `end` (exclusive) are offsets, or times that timestamps are
    compared with. `filters`: (column, comparison, value), all of which hold, for partition, offset, timestamp (a
    datetime) and key (bytes), with ==, <, <=, >, >= or in. `bucket`: URL of the bucket where it is not reachable as
    the nodes name it. `command_config`: file of Kafka's client properties (security.protocol, sasl.*, ssl.*), at this
    path wherever the work is read. Raises `infra.errors.CauceError`.
    """
    chosen = None if columns is None else tuple(columns)
    ReplayRequest(topic=topic, columns=chosen)  # raises for names that there are not
    conditions = [_condition(one) for one in filters]
    if isinstance(start, datetime):
        conditions.append(Condition("timestamp", ">=", milliseconds(start)))
    if isinstance(end, datetime):
        conditions.append(Condition("timestamp", "<", milliseconds(end)))
    wanted = Wanted(chosen, tuple(conditions))
    last = end if isinstance(end, int) else None
    with TopicSource(topic, bootstrap, bucket, command_config) as source:
        works = source.works(source.spans(partitions, start, last), wanted, work_bytes)
    meta = _pandas(wanted.selection().out.empty_table())
    if not works:
        return dd.from_pandas(meta, npartitions=1)
    label = f"cauce-{topic}"
    return dd.from_map(_Piece(wanted), works, meta=meta, label=label, enforce_metadata=False)


class _Piece:
    """Reads a piece of work; Dask asks it for fewer columns when a computation needs no more."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted

    def __call__(self, work: Work, columns: Sequence[str] | None = None) -> pd.DataFrame:
        wanted = self._wanted if columns is None else Wanted(tuple(columns), self._wanted.conditions)
        schema = wanted.selection().out
        return _pandas(pa.Table.from_batches(list(read_work(work, wanted)), schema))


def _pandas(rows: pa.Table) -> pd.DataFrame:
    return rows.to_pandas(types_mapper=pd.ArrowDtype)


def _condition(one: Filter) -> Condition:
    column, comparison, value = one
    if column not in CONDITION_COLUMNS or comparison not in COMPARISONS:
        raise Refused(
            ErrorCode.INVALID_REQUEST,
            f"the filter {one!r} cannot be pushed down: columns are {', '.join(CONDITION_COLUMNS)},"
            f" comparisons {', '.join(COMPARISONS)}; filter the dataframe instead",
        )
    if column == "timestamp":
        value = tuple(map(milliseconds, value)) if comparison == "in" else milliseconds(value)
    elif comparison == "in":
        value = tuple(value)
    return Condition(column, comparison, value)
