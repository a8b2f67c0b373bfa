"""Batch segments as flushes leave them, in a bucket, without a node: what compaction is measured on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from infra.object_key import BatchSegmentKey
from infra.partition import PartitionId, SessionId
from infra.records.encode_columns import encode_columns
from infra.segment.batch_segment import SegmentPart, build_batch_segment
from infra.segment.extent import Extent
from infra.store.port import Buffer, ObjectStore
from infra.view.port import PublishedPartition

_SESSION = SessionId(1, 0)
_FLUSH_BYTES = 8 << 20  # a flush's default at durability `object`


@dataclass(frozen=True, slots=True)
class Batching:
    """How a producer sends: bytes of records a batch, and Kafka's number of the codec."""

    batch_bytes: int
    codec: int


async def write_extents(
    store: ObjectStore, partition: PartitionId, rows: Sequence[pa.Table], batching: Batching
) -> PublishedPartition:
    """PUT all rows (RECORDS, from offset 0 on) and answer what a view would know of them."""
    extents: list[Extent] = []
    for number, batches in enumerate(_flushes(rows, batching)):
        key = BatchSegmentKey(_SESSION, number).key
        built = build_batch_segment(key, "bench", _SESSION, [SegmentPart(partition, 0, batches)])
        await store.create(key, built.body)
        extents += [flushed.extent for flushed in built.flushed]
    return PublishedPartition(extents[-1].last_offset + 1, tuple(extents), ())


def _flushes(rows: Sequence[pa.Table], batching: Batching) -> Iterator[list[Buffer]]:
    batches: list[Buffer] = []
    size = 0
    for table in rows:
        for batch in as_batches(table, batching):
            batches.append(batch)
            size += len(batch)
            if size >= _FLUSH_BYTES:
                yield batches
                batches, size = [], 0
    if batches:
        yield batches


def as_batches(table: pa.Table, batching: Batching) -> list[Buffer]:
    """Record batches of all the rows."""
    first, last = table["offset"][0].as_py(), table["offset"][-1].as_py()
    return encode_columns(
        table,
        base_offset=first,
        last_offset=last,
        leader_epoch=0,
        codec=batching.codec,
        target_bytes=batching.batch_bytes,
    )
