"""How records stand in a record segment's Parquet: the columns on disk for each value format, to and from RECORDS.

`bytes` stores the value column as binary. `string` and `json` store what is UTF-8 in `value`, as text that engines show
and search, and every other value in `value_bytes`, so that no record is changed or lost by its topic's config.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from infra.records.columns import RECORDS

VALUE_FORMATS = ("bytes", "string", "json")
VALUE, VALUE_BYTES = "value", "value_bytes"
_TEXT = pa.schema(
    [
        *(RECORDS.field(name) for name in ("offset", "timestamp", "key")),
        pa.field(VALUE, pa.string()),
        pa.field(VALUE_BYTES, pa.binary()),
        RECORDS.field("headers"),
    ]
)
# Bytes, not characters: RE2 reads binary arrays byte by byte. The table of well-formed sequences is Unicode's own.
_UTF8 = (
    r"\A(?:[\x00-\x7F]"
    r"|[\xC2-\xDF][\x80-\xBF]"
    r"|\xE0[\xA0-\xBF][\x80-\xBF]|[\xE1-\xEC\xEE\xEF][\x80-\xBF]{2}|\xED[\x80-\x9F][\x80-\xBF]"
    r"|\xF0[\x90-\xBF][\x80-\xBF]{2}|[\xF1-\xF3][\x80-\xBF]{3}|\xF4[\x80-\x8F][\x80-\xBF]{2})*\z"
)


def stored_schema(value_format: str) -> pa.Schema:
    """The columns of a segment. Raises `ValueError` for an unknown format."""
    if value_format not in VALUE_FORMATS:
        raise ValueError(f"{value_format!r} is no value format")
    return RECORDS if value_format == "bytes" else _TEXT


def stored_names(value_format: str, columns: Sequence[str]) -> list[str]:
    """The columns of a segment that RECORDS columns are made from."""
    split = value_format != "bytes" and VALUE in columns
    return [*columns, VALUE_BYTES] if split else list(columns)


def to_stored(rows: pa.Table, value_format: str) -> pa.Table:
    """RECORDS rows as the segment's columns."""
    if value_format == "bytes":
        return rows
    text, other = _split(rows[VALUE])
    columns = {**{name: rows[name] for name in RECORDS.names}, VALUE: text, VALUE_BYTES: other}
    return pa.table([columns[name] for name in _TEXT.names], schema=_TEXT)


def from_stored(table: pa.Table, columns: Sequence[str]) -> pa.Table:
    """The segment's columns (those that `stored_names` names) as these columns of RECORDS."""
    if VALUE_BYTES in table.column_names:
        text, other = table[VALUE].cast(pa.binary()), table[VALUE_BYTES]
        merged = text if other.null_count == len(other) else pc.coalesce(text, other)
        table = table.set_column(table.column_names.index(VALUE), VALUE, merged)
    return table.select(columns).cast(pa.schema([RECORDS.field(name) for name in columns]))


def _split(values: pa.ChunkedArray) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    try:
        return values.cast(pa.string()), pa.chunked_array([pa.nulls(len(values), pa.binary())])
    except pa.ArrowInvalid:  # at least one of them is no UTF-8
        is_text = pc.fill_null(pc.match_substring_regex(values, _UTF8), True).to_numpy()
        return _only(values, is_text).cast(pa.string()), _only(values, ~is_text)


def _only(values: pa.ChunkedArray, kept: npt.NDArray[np.bool_]) -> pa.ChunkedArray:
    """The values, null where not kept. By `take`: `if_else` of Arrow 21 spoils slices of binary arrays."""
    return values.take(pa.array(np.arange(len(values)), mask=~kept))
