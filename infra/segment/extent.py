"""Extents and producer-state changes: what a batch segment's footer, the view and the manifest say of flushed data."""

from dataclasses import dataclass

from infra.partition import PartitionId

NO_TRANSACTION = -1


@dataclass(frozen=True, slots=True)
class AbortedTransaction:
    """A transaction that was aborted in one partition; its records are those of its producer within its offsets."""

    producer_id: int
    first_offset: int  # of its first record here
    last_offset: int  # of its marker


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
    aborted: tuple[AbortedTransaction, ...] = ()  # whose markers stand in it, ascending by them


@dataclass(frozen=True, slots=True)
class ProducerEntry:
    """State of one producer in one partition as of the end of an extent.

    `batches`: its last five batches at most, oldest first: (base sequence, last sequence, base offset, timestamp ms).
    """

    producer_id: int
    producer_epoch: int
    batches: tuple[tuple[int, int, int, int], ...]
    last_timestamp: int = -1  # ms
    coordinator_epoch: int = -1  # of the last marker
    transaction_first_offset: int = NO_TRANSACTION  # of its open transaction's first record in this partition

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction of it is open here."""
        return self.transaction_first_offset != NO_TRANSACTION


@dataclass(frozen=True, slots=True)
class FlushedExtent:
    """An extent with the producers it changed: what one flush publishes for one partition."""

    extent: Extent
    producers: tuple[ProducerEntry, ...] = ()
