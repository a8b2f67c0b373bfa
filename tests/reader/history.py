"""Compacts and cleans the partitions of a `World`, and reads what it answers as records: plain, one at a time."""

import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from infra.clock import SYSTEM_CLOCK
from infra.cluster.manifest import Manifest
from infra.cluster.manifest_record import ManifestRecord, RecordSegment
from infra.object_key import RecordSegmentKey, new_ulid
from infra.partition import PartitionId
from infra.records.batch import BatchHeader
from infra.records.columns import RECORDS
from infra.records.decode import decode_batch
from infra.records.record import Record
from infra.segment.record_footer import SegmentFacts
from infra.segment.record_segment import RecordSegmentWriter
from infra.store.port import Buffer
from tests.reader.world import Led, World

Keep = Callable[[Record], bool]


def table_of(records: Iterable[Record]) -> pa.Table:
    rows = list(records)
    columns: list[Sequence[Any]] = [
        [row.offset for row in rows],
        [row.timestamp for row in rows],
        [row.key for row in rows],
        [row.value for row in rows],
        [[{"key": name, "value": value} for name, value in row.headers] for row in rows],
    ]
    return pa.Table.from_arrays(
        [pa.array(column, field.type) for column, field in zip(columns, RECORDS, strict=True)], schema=RECORDS
    )


def records_in(batches: Iterable[Buffer]) -> list[Record]:
    return [record for batch in batches for record in decode_batch(memoryview(batch))]


def records_of(led: Led, base: int = 0, end: int = 1 << 60) -> list[Record]:
    """What was appended at offsets from `base` up to `end` (exclusive)."""
    return [record for record in records_in(led.appended) if base <= record.offset < end]


async def write_segment(
    world: World, partition: PartitionId, records: Iterable[Record], base: int, last: int, **options: Any
) -> RecordSegment:
    """A record segment in the world's store; `row_group_bytes` and `value_format` as its writer takes them.

    Those that begin at odd offsets have microseconds, as if the topic had a table.
    """
    key = RecordSegmentKey(partition, base, last, new_ulid(SYSTEM_CLOCK)).key
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "segment.parquet"
        writer = RecordSegmentWriter(
            path, SegmentFacts("cluster", "flights", partition), microseconds=base % 2 == 1, **options
        )
        writer.write(table_of(records))
        segment = writer.close(key, base, last)
        await world.store.create(key, path.read_bytes())
    return segment


def adopt(led: Led, segments: Sequence[RecordSegment], gone: Sequence[RecordSegment] = ()) -> Manifest:
    """The manifest's next version, as the leader hears of it."""
    record = ManifestRecord(0, added=tuple(segments), removed=tuple(one.key for one in gone))
    manifest = led.log.manifest.apply(record)
    led.log.adopt_manifest(manifest)
    return manifest


async def compact(world: World, led: Led, end: int | None = None, **options: Any) -> RecordSegment | None:
    """Turn the batches that are published below `end` into one record segment; None when there are none."""
    extents = led.log.extents_from(led.log.records_end)
    base = max(led.log.records_end, extents[0].base_offset) if extents else 0
    upto = led.log.published_offset if end is None else min(end, led.log.published_offset)
    last = max((one for one in map(_last_offset, led.appended) if one < upto), default=-1)
    if not extents or last < base:
        return None
    segment = await write_segment(world, led.log.partition, records_of(led, base, last + 1), base, last, **options)
    adopt(led, [segment])
    return segment


async def clean(world: World, led: Led, segment: RecordSegment, keep: Keep, **options: Any) -> RecordSegment:
    """Rewrite a record segment without the records that are not kept."""
    kept = filter(keep, records_of(led, segment.base_offset, segment.last_offset + 1))
    partition, base, last = led.log.partition, segment.base_offset, segment.last_offset
    cleaned = await write_segment(world, partition, kept, base, last, **options)
    adopt(led, [replace(cleaned, cleaned_ms=1)], [segment])
    return cleaned


def _last_offset(batch: bytes) -> int:
    return BatchHeader.parse(batch).last_offset
