"""Records for formats that know text only: what is not UTF-8 stands as base64, and a field says so.

A row (and each of its headers) has a text `base64` that names those of its fields that are base64: null, `key`, `value`
or `key value`. Times are ISO 8601 in UTC.
"""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from reader.replay.duckdb import arrow_reader, connect
from reader.replay.text import split_text

_MARK = "base64"


class TextRows:
    """Turns batches of (some) `TEXT` columns into strings and numbers; for one thread."""

    def __init__(self) -> None:
        self._duckdb = connect(threads=1)

    def convert(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """Columns in the same order; `key_bytes` and `value_bytes` go, `base64` comes last."""
        columns: dict[str, pa.Array] = {}
        marks = []
        for name in rows.schema.names:
            if name.endswith("_bytes"):
                continue
            column = rows.column(name)
            if name == "timestamp":
                column = pc.strftime(column.cast(pa.timestamp("ms")), format="%Y-%m-%dT%H:%M:%SZ")
            elif name == "headers":
                column = self._headers(column)
            elif f"{name}_bytes" in rows.schema.names:
                column, is_bytes = self._merged(column, rows.column(f"{name}_bytes"))
                marks.append((name, is_bytes))
            columns[name] = column
        if marks:
            columns[_MARK] = _marks(marks, rows.num_rows)
        return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))

    def _merged(self, text: pa.Array, other: pa.Array) -> tuple[pa.Array, pa.Array]:
        is_bytes = pc.is_valid(other)
        if other.null_count == len(other):
            return text, is_bytes
        return pc.coalesce(text, self.query("select base64(bytes) from rows", pa.table({"bytes": other}))), is_bytes

    def query(self, statement: str, rows: pa.Table | pa.RecordBatch) -> pa.Array:
        """The one column of strings that DuckDB makes of `rows`, in their order."""
        table = rows if isinstance(rows, pa.Table) else pa.Table.from_batches([rows])
        self._duckdb.register("rows", table)
        try:
            answer = arrow_reader(self._duckdb, statement).read_all()
        finally:
            self._duckdb.unregister("rows")
        return answer.column(0).cast(pa.string()).combine_chunks()

    def _headers(self, headers: Any) -> pa.Array:
        entries = headers.flatten()
        columns: list[pa.Array] = []
        marks = []
        for name in ("key", "value"):
            column, is_bytes = self._merged(*split_text(entries.field(name)))
            columns.append(column)
            marks.append((name, is_bytes))
        names = ["key", "value"]
        mark = _marks(marks, len(entries))
        if mark.null_count < len(mark):
            columns.append(mark)
            names.append(_MARK)
        lengths = pc.list_value_length(headers).to_numpy(zero_copy_only=False)
        offsets = pa.array([0, *lengths.cumsum()] if len(lengths) else [0], pa.int32())
        return pa.ListArray.from_arrays(offsets, pa.StructArray.from_arrays(columns, names))


def _marks(marks: list[tuple[str, pa.Array]], rows: int) -> pa.Array:
    """Names of the fields that are bytes, joined by a space; null where none is."""
    names = pa.nulls(rows, pa.string())
    for name, is_bytes in marks:
        more = pc.coalesce(pc.binary_join_element_wise(names, name, " "), pa.scalar(name))
        names = pc.if_else(is_bytes, more, names)
    return names
