"""Extents and producer-state changes: what a batch segment's footer, the view and the manifest say of flushed data."""

from dataclasses import dataclass

from infra.partition import PartitionId


@dataclass(frozen=True, slots=True)
class Extent:
    """One partition's contiguous record batches at one leader epoch in one batch segment."""

    partition: PartitionId
    segment: str  # bucket key of the batch segment
    base_offset: int
    last_offset: int
    leader_epoch: int
    batches: int
    records: int
    size: int  # bytes of the batches themselves
    max_timestamp: int  # ms
    first_row: int  # row of the first batch in the segment


@dataclass(frozen=True, slots=True)
class ProducerEntry:
    """State of one producer in one partition as of the end of an extent.

    `batches`: its last five batches at most, oldest first: (base sequence, last sequence, base offset, timestamp ms).
    """

    producer_id: int
    producer_epoch: int
    batches: tuple[tuple[int, int, int, int], ...]
    last_timestamp: int = -1  # ms


@dataclass(frozen=True, slots=True)
class FlushedExtent:
    """An extent with the producers it changed: what one flush publishes for one partition."""

    extent: Extent
    producers: tuple[ProducerEntry, ...] = ()
