"""The footer of a record segment: what it holds and where, so that it explains itself and its manifest can be checked.

Entries of the Parquet footer's key-value metadata (for people, DuckDB shows them by `parquet_kv_metadata`):

    cauce.records      JSON: format version, cluster id, topic, partition, offsets, counts, value format, its sources
    cauce.row_groups   JSON: base offset, last offset, position and size of each row group
    cauce.unreadable   JSON, base64: record batches that could not be decoded, as they were; their offsets have no rows
    cauce.chunks       and
    cauce.crc32c       CRCs (`record_seal`)

Reading needs the end of the object only.
"""

import base64
import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq

from infra.cluster.manifest_record import RowGroup
from infra.errors import BadStart, Corrupt
from infra.partition import PartitionId
from infra.segment.footer import footer_bytes
from infra.segment.record_columns import stored_schema
from infra.segment.record_seal import (
    blank_entries,
    check_footer,
    chunk_checksums,
    chunk_ranges,
    read_footer_metadata,
)
from infra.store.port import Buffer, ObjectStore

FORMAT = 1
_RECORDS, _ROW_GROUPS, _UNREADABLE = "cauce.records", "cauce.row_groups", "cauce.unreadable"
_FIRST_READ = 256 << 10  # bytes; holds the footer of a segment of 256 row groups


@dataclass(frozen=True, slots=True)
class SegmentFacts:
    """What a record segment's writer is told of it."""

    cluster_id: str
    topic: str
    partition: PartitionId
    sources: tuple[str, ...] = ()  # keys of the segments that it was made of


@dataclass(frozen=True, slots=True)
class RecordCounts:
    """What a record segment's rows come to."""

    base_offset: int
    last_offset: int  # inclusive
    records: int
    max_timestamp: int  # ms, -1 when it holds no record
    bytes_in: int  # uncompressed bytes of keys, values and headers


@dataclass(frozen=True, slots=True)
class RecordFooter:
    """All a record segment says of itself."""

    key: str
    version: int
    facts: SegmentFacts
    counts: RecordCounts
    value_format: str  # bytes, string or json
    row_groups: tuple[RowGroup, ...]
    checksums: tuple[tuple[int, ...], ...]  # CRC-32C of each column chunk of each row group
    unreadable: tuple[bytes, ...]  # record batches
    metadata: pq.FileMetaData

    @property
    def cluster_id(self) -> str:
        """Of the cluster that wrote it."""
        return self.facts.cluster_id

    @property
    def topic(self) -> str:
        """The topic's name."""
        return self.facts.topic

    @property
    def partition(self) -> PartitionId:
        """The partition it belongs to."""
        return self.facts.partition

    @property
    def base_offset(self) -> int:
        """The first offset it answers for."""
        return self.counts.base_offset

    @property
    def last_offset(self) -> int:
        """The last offset it answers for, inclusive."""
        return self.counts.last_offset

    @property
    def records(self) -> int:
        """How many rows it has."""
        return self.counts.records


async def read_record_footer(store: ObjectStore, key: str) -> RecordFooter:
    """The footer of a record segment in the store, with two ranged GETs at the most.

    Raises `NotFound`, `Corrupt` (naming the key), `BadStart` for a segment of a newer release, `Unavailable`.
    """
    tail = await store.get_range(key, -_FIRST_READ, _FIRST_READ)
    needed = footer_bytes(key, tail)
    if needed > len(tail):
        tail = await store.get_range(key, -needed, needed)
    return parse_record_footer(key, tail)


def parse_record_footer(key: str, tail: Buffer) -> RecordFooter:
    """The footer in the last bytes of an object (more than the footer does no harm). Raises as `read_record_footer`."""
    needed = footer_bytes(key, tail)
    if needed > len(tail):
        raise Corrupt(f"{key} is shorter than its footer")
    footer = memoryview(tail)[-needed:]
    try:
        check_footer(footer)
        parsed = _parse(key, read_footer_metadata(footer))
        _check_places(parsed)
    except Corrupt as error:
        raise Corrupt(f"{key}: {error.message}") from error
    except (ValueError, KeyError, TypeError, IndexError, OverflowError, struct.error, OSError) as error:
        raise Corrupt(f"{key} has a footer that cannot be read: {error!r}") from error
    return parsed


def timestamp_range(metadata: pq.FileMetaData, number: int) -> tuple[int, int] | None:
    """The oldest and newest timestamp in a row group as its statistics say, in milliseconds whatever unit is stored.

    None when they say nothing.
    """
    group = metadata.row_group(number)
    for at in range(group.num_columns):
        column = group.column(at)
        if column.path_in_schema == "timestamp" and column.is_stats_set and column.statistics.has_min_max:
            found = column.statistics
            unit = 1000 if '"microseconds"' in found.logical_type.to_json() else 1
            return int(found.min_raw) // unit, int(found.max_raw) // unit
    return None


def record_footer_metadata(
    facts: SegmentFacts,
    counts: RecordCounts,
    value_format: str,
    row_groups: Sequence[RowGroup],
    unreadable: Sequence[Buffer],
) -> dict[str, str]:
    """The key-value metadata to put into the Parquet footer, before `seal`."""
    records = {
        "format": FORMAT,
        "cluster": facts.cluster_id,
        "topic": facts.topic,
        "topic_id": str(facts.partition.topic_id),
        "partition": facts.partition.partition,
        "base_offset": counts.base_offset,
        "last_offset": counts.last_offset,
        "records": counts.records,
        "max_timestamp": counts.max_timestamp,
        "bytes_in": counts.bytes_in,
        "value_format": value_format,
        "sources": list(facts.sources),
    }
    groups = [[one.base_offset, one.last_offset, one.position, one.size] for one in row_groups]
    entries = {_RECORDS: json.dumps(records), _ROW_GROUPS: json.dumps(groups, separators=(",", ":"))}
    if unreadable:
        entries[_UNREADABLE] = json.dumps([base64.b64encode(batch).decode() for batch in unreadable])
    columns = _leaves(value_format)
    return entries | blank_entries(len(row_groups) * columns)


def _parse(key: str, metadata: pq.FileMetaData) -> RecordFooter:
    entries: dict[bytes, bytes] = metadata.metadata or {}
    about: dict[str, Any] = json.loads(entries[_RECORDS.encode()])
    version = int(about["format"])
    if version > FORMAT:
        raise BadStart(f"{key} has record segment format {version}, this release knows {FORMAT}: start a newer release")
    partition = PartitionId(UUID(about["topic_id"]), int(about["partition"]))
    groups = tuple(RowGroup(*numbers) for numbers in json.loads(entries[_ROW_GROUPS.encode()]))
    unreadable = json.loads(entries.get(_UNREADABLE.encode(), b"[]"))
    return RecordFooter(
        key=key,
        version=version,
        facts=SegmentFacts(str(about["cluster"]), str(about["topic"]), partition, tuple(about["sources"])),
        counts=RecordCounts(
            *(int(about[name]) for name in ("base_offset", "last_offset", "records", "max_timestamp", "bytes_in"))
        ),
        value_format=str(about["value_format"]),
        row_groups=groups,
        checksums=chunk_checksums(entries, len(groups), metadata.num_columns),
        unreadable=tuple(base64.b64decode(batch, validate=True) for batch in unreadable),
        metadata=metadata,
    )


def _check_places(footer: RecordFooter) -> None:
    """Raise `Corrupt` unless the row groups are what Parquet says they are."""
    metadata = footer.metadata
    if (metadata.num_row_groups, metadata.num_rows) != (len(footer.row_groups), footer.records):
        raise Corrupt(f"{metadata.num_row_groups} row groups of {metadata.num_rows} rows are not what its footer says")
    if metadata.num_columns not in (_leaves(footer.value_format), _leaves(footer.value_format) - 1):
        raise Corrupt(f"{metadata.num_columns} columns are not those of value format {footer.value_format}")
    for number, group in enumerate(footer.row_groups):
        at = group.position
        for position, size in chunk_ranges(metadata, number):
            if position != at:
                raise Corrupt(f"a column of row group {number} lies at {position}, not at {at}")
            at += size
        if at != group.position + group.size:
            raise Corrupt(f"row group {number} ends at {at}, not at {group.position + group.size}")


def _leaves(value_format: str) -> int:
    """How many Parquet columns a segment has: a header's key and value are two. The first segments had no partition."""
    fields = stored_schema(value_format)
    return sum(2 if pa.types.is_list(field.type) else 1 for field in fields)
