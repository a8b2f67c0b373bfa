"""From the rows of one partition to what was asked for: which columns are read, and what becomes of them.

All of it works on whole row groups, in whatever thread; it does no I/O.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from reader.replay.plan import Span
from reader.replay.request import BYTES
from reader.replay.text import split_text

_STORED = ("offset", "timestamp", "key", "value", "headers")


@dataclass(frozen=True)
class Selection:
    """Columns of a schema (`BYTES` or `TEXT`), and a filter over that schema (None: every record)."""

    schema: pa.Schema = BYTES
    columns: tuple[str, ...] | None = None  # one at least; None: all
    filter: Any = None
    stored: tuple[str, ...] = field(init=False)  # columns of a record segment that are needed
    filtered: tuple[str, ...] = field(init=False)  # those of them that the filter looks at

    def __post_init__(self) -> None:
        looked_at = columns_of(self.filter, self.schema)
        object.__setattr__(self, "stored", _stored({*self.names, *looked_at}))
        object.__setattr__(self, "filtered", _stored(looked_at))

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that come out, in this order."""
        return tuple(self.schema.names) if self.columns is None else self.columns

    @property
    def out(self) -> pa.Schema:
        """The schema that comes out."""
        return pa.schema([self.schema.field(name) for name in self.names])

    def apply(self, rows: pa.Table, partition: int, span: Span) -> pa.RecordBatch:
        """What is asked for of rows with (at least) the stored columns. With `offset` among them, `span` is cut out."""
        if "offset" in rows.column_names:
            rows = _cut(rows, span)
        return self._finish(self._shape(rows, partition))

    def passes(self, rows: pa.Table, partition: int) -> bool:
        """Whether the filter lets any of the rows through; of them it needs the `filtered` columns only."""
        return bool(pa.table(self._shape(rows, partition)).filter(self.filter).num_rows)

    def nothing(self) -> pa.RecordBatch:
        """No rows."""
        return pa.RecordBatch.from_pylist([], schema=self.out)

    def count(self, records: int, partition: int) -> pa.RecordBatch:
        """The same for so many rows of which no stored column is needed."""
        return self._finish({"partition": _repeat(partition, records)})

    def _finish(self, columns: dict[str, Any]) -> pa.RecordBatch:
        table = pa.table({name: columns[name] for name in self.schema.names if name in columns})
        if self.filter is not None:
            table = table.filter(self.filter)
        arrays = [_whole(table.column(name)) for name in self.names]
        return pa.RecordBatch.from_arrays(arrays, schema=self.out)

    def _shape(self, rows: pa.Table, partition: int) -> dict[str, Any]:
        columns: dict[str, Any] = {"partition": _repeat(partition, rows.num_rows)}
        for name in rows.column_names:
            column = rows.column(name)
            if self.schema.field(name).type == pa.string():
                columns[name], columns[f"{name}_bytes"] = split_text(_whole(column))
            else:
                columns[name] = column
        return columns


def _stored(names: Iterable[str]) -> tuple[str, ...]:
    wanted = {name.removesuffix("_bytes") for name in names}
    return tuple(name for name in _STORED if name in wanted)


def columns_of(expression: Any, schema: pa.Schema) -> frozenset[str]:
    """The columns that an expression over `schema` looks at.

    Arrow does not tell, but it refuses to work on a table in which one of them is missing.
    """
    if expression is None:
        return frozenset()
    return frozenset(name for name in schema.names if not _works_without(expression, schema, name))


def _works_without(expression: Any, schema: pa.Schema, name: str) -> bool:
    fewer: Sequence[pa.Field] = [one for one in schema if one.name != name]
    try:
        pa.schema(fewer).empty_table().filter(expression)
    except pa.ArrowInvalid:
        return False
    return True


def _cut(rows: pa.Table, span: Span) -> pa.Table:
    """The rows whose offsets, which ascend, lie in the span: no copy."""
    offsets = rows.column("offset").to_numpy()
    begin, end = np.searchsorted(offsets, (span.start, span.end))
    return rows if end - begin == len(offsets) else rows.slice(begin, end - begin)


def _repeat(partition: int, rows: int) -> pa.Array:
    return pa.array(np.full(rows, partition, np.int32))


def _whole(column: Any) -> pa.Array:
    """A column as one array; copies only when it is in several."""
    if isinstance(column, pa.ChunkedArray):
        return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    return column
