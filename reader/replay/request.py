"""What somebody wants of a topic: which records, and which columns of them. Values only."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from infra.error_code import ErrorCode
from infra.errors import Refused

HEADERS = pa.list_(pa.struct([pa.field("key", pa.binary(), nullable=False), pa.field("value", pa.binary())]))
TIMESTAMP = pa.timestamp("ms", "UTC")

BYTES = pa.schema(
    [
        pa.field("partition", pa.int32(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("timestamp", TIMESTAMP, nullable=False),
        pa.field("key", pa.binary()),
        pa.field("value", pa.binary()),
        pa.field("headers", HEADERS, nullable=False),
    ]
)
"""A record as it is."""

TEXT = pa.schema(
    [
        *(field for field in BYTES if field.name not in ("key", "value", "headers")),
        pa.field("key", pa.string()),
        pa.field("value", pa.string()),
        BYTES.field("headers"),
        pa.field("key_bytes", pa.binary()),
        pa.field("value_bytes", pa.binary()),
    ]
)
"""The same with key and value as text; what is not UTF-8 is null there and stands in `key_bytes` and `value_bytes`."""

Place = int | datetime | None
"""Where a replay begins or ends: an offset (of every partition), a time, or None for the log's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayRequest:
    """Which records of a topic. `start` is inclusive and `end` exclusive.

    A time means the timestamps of records: exactly those at or after `start` and before `end`, wherever they stand.
    """

    topic: str
    partitions: tuple[int, ...] | None = None  # None: all
    start: Place = None
    end: Place = None
    key: bytes | None = None  # only records with this key
    columns: tuple[str, ...] | None = None  # None: all of `BYTES`

    def __post_init__(self) -> None:
        for name in self.columns or ():
            if name not in BYTES.names:
                raise Refused(
                    ErrorCode.INVALID_REQUEST, f"there is no column {name!r}; the columns are {', '.join(BYTES.names)}"
                )
        if self.columns == ():
            raise Refused(ErrorCode.INVALID_REQUEST, "name one column at least, or none for all")

    def filter(self, schema: pa.Schema = BYTES) -> Any:
        """Time and key as an expression over `BYTES` or `TEXT`, None when all pass; offsets are not part of it."""
        parts = []
        if isinstance(self.start, datetime):
            parts.append(pc.field("timestamp") >= _time(self.start))
        if isinstance(self.end, datetime):
            parts.append(pc.field("timestamp") < _time(self.end))
        if self.key is not None:
            parts.append(_is_key(self.key, schema))
        return all_of(parts)

    def selected(self, schema: pa.Schema = BYTES) -> tuple[str, ...] | None:
        """The wanted columns of that schema, None for all: in `TEXT` what is no text comes with its column."""
        if self.columns is None:
            return None
        beside = [f"{name}_bytes" for name in self.columns]
        return (*self.columns, *(name for name in beside if name in schema.names))


def all_of(parts: Sequence[Any]) -> Any:
    """The expressions joined with and; None when there is none."""
    whole = None
    for part in parts:
        whole = part if whole is None else whole & part
    return whole


def milliseconds(moment: datetime) -> int:
    """Since the epoch; a time without a zone is UTC."""
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return int(aware.timestamp() * 1000)


def _time(moment: datetime) -> pa.Scalar:
    return pa.scalar(milliseconds(moment), TIMESTAMP)


def _is_key(key: bytes, schema: pa.Schema) -> Any:
    if schema.field("key").type == pa.binary():
        return pc.field("key") == pa.scalar(key, pa.binary())
    try:
        return pc.field("key") == pa.scalar(key.decode(), pa.string())
    except UnicodeDecodeError:
        return pc.field("key_bytes") == pa.scalar(key, pa.binary())
