"""Parts of a batch segment, as a flush would hand them over."""

import random
from collections.abc import Sequence
from uuid import UUID

from infra.partition import PartitionId
from infra.records.batch import BatchHeader, stamp
from infra.records.encode import encode_batch
from infra.records.record import Record
from infra.segment.batch_segment import SegmentPart
from infra.segment.extent import ProducerEntry


def part(
    sizes: Sequence[int],
    *,
    topic: int = 1,
    partition: int = 0,
    base_offset: int = 0,
    leader_epoch: int = 3,
    timestamps: Sequence[int] | None = None,
    producers: tuple[ProducerEntry, ...] = (),
) -> SegmentPart:
    """One batch for each size: two records, the second of so many random bytes."""
    batches = []
    offset = base_offset
    for number, size in enumerate(sizes):
        timestamp = timestamps[number] if timestamps else 1_000_000 + offset
        value = random.Random(size * 7919 + offset).randbytes(size)
        records = [Record(0, timestamp - 1, None, b""), Record(1, timestamp, b"k", value)]
        batch = memoryview(encode_batch(records, producer_id=7, producer_epoch=1, base_sequence=number * 2))
        stamp(batch, offset, leader_epoch)
        offset = BatchHeader.parse(batch).next_offset
        batches.append(batch)
    return SegmentPart(PartitionId(UUID(int=topic), partition), leader_epoch, batches, producers)
