"""How records stand in a record segment's Parquet: the columns on disk for each value format, to and from RECORDS.

`bytes` stores the value column as binary. `string` and `json` store what is UTF-8 in `value`, as text that engines show
and search, and every other value in `value_bytes`, so that no record is changed or lost by its topic's config.

The partition stands first, the same in every row: tables and datasets reach over many. Timestamps are milliseconds, or
microseconds where an Iceberg table refers to the segments: its format knows no other unit, and engines that find
milliseconds refuse the file, or compare its statistics wrongly.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from infra.records.columns import RECORDS

VALUE_FORMATS = ("bytes", "string", "json")
PARTITION, VALUE, VALUE_BYTES = "partition", "value", "value_bytes"
_PARTITION = pa.field(PARTITION, pa.int32(), nullable=False)
_TIMESTAMP_US = pa.field("timestamp", pa.timestamp("us", "UTC"), nullable=False)
_TEXT = [pa.field(VALUE, pa.string()), pa.field(VALUE_BYTES, pa.binary())]
# Bytes, not characters: RE2 reads binary arrays byte by byte. The table of well-formed sequences is Unicode's own.
_UTF8 = (
    r"\A(?:[\x00-\x7F]"
    r"|[\xC2-\xDF][\x80-\xBF]"
    r"|\xE0[\xA0-\xBF][\x80-\xBF]|[\xE1-\xEC\xEE\xEF][\x80-\xBF]{2}|\xED[\x80-\x9F][\x80-\xBF]"
    r"|\xF0[\x90-\xBF][\x80-\xBF]{2}|[\xF1-\xF3][\x80-\xBF]{3}|\xF4[\x80-\x8F][\x80-\xBF]{2})*\z"
)


def stored_schema(value_format: str, *, microseconds: bool = False) -> pa.Schema:
    """The columns of a segment. Raises `ValueError` for an unknown format."""
    if value_format not in VALUE_FORMATS:
        raise ValueError(f"{value_format!r} is no value format")
    value = [RECORDS.field(VALUE)] if value_format == "bytes" else _TEXT
    timestamp = _TIMESTAMP_US if microseconds else RECORDS.field("timestamp")
    return pa.schema(
        [_PARTITION, RECORDS.field("offset"), timestamp, RECORDS.field("key"), *value, RECORDS.field("headers")]
    )


def stored_names(value_format: str, columns: Sequence[str]) -> list[str]:
    """The columns of a segment that RECORDS columns are made from."""
    split = value_format != "bytes" and VALUE in columns
    return [*columns, VALUE_BYTES] if split else list(columns)


def to_stored(rows: pa.Table, partition: int, value_format: str, *, microseconds: bool = False) -> pa.Table:
    """RECORDS rows as the segment's columns. Raises `ValueError` for a time too far off to count in microseconds."""
    columns = {name: rows[name] for name in RECORDS.names}
    columns[PARTITION] = pa.chunked_array([pa.repeat(pa.scalar(partition, pa.int32()), len(rows))])
    if value_format != "bytes":
        columns[VALUE], columns[VALUE_BYTES] = _split(rows[VALUE])
    schema = stored_schema(value_format, microseconds=microseconds)
    return pa.table([columns[name] for name in schema.names], names=schema.names).cast(schema)


def from_stored(table: pa.Table, columns: Sequence[str]) -> pa.Table:
    """The segment's columns (those that `stored_names` names) as these columns of RECORDS."""
    import pyarrow.compute as pc  # a twentieth of a node's start, and not needed for it

    if VALUE_BYTES in table.column_names:
        text, other = table[VALUE].cast(pa.binary()), table[VALUE_BYTES]
        merged = text if other.null_count == len(other) else pc.coalesce(text, other)
        table = table.set_column(table.column_names.index(VALUE), VALUE, merged)
    return table.select(columns).cast(pa.schema([RECORDS.field(name) for name in columns]))


def _split(values: pa.ChunkedArray) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    import pyarrow.compute as pc

    try:
        return values.cast(pa.string()), pa.chunked_array([pa.nulls(len(values), pa.binary())])
    except pa.ArrowInvalid:  # at least one of them is no UTF-8
        is_text = pc.fill_null(pc.match_substring_regex(values, _UTF8), True).to_numpy()
        return _only(values, is_text).cast(pa.string()), _only(values, ~is_text)


def _only(values: pa.ChunkedArray, kept: npt.NDArray[np.bool_]) -> pa.ChunkedArray:
    """The values, null where not kept. By `take`: `if_else` of Arrow 21 spoils slices of binary arrays."""
    return values.take(pa.array(np.arange(len(values)), mask=~kept))
