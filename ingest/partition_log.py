"""The log of one partition that this node leads: offsets, durability, and who may be told what.

The order, for every batch: **WAL sync, object, publish, high watermark, acknowledgement.** At durability `wal` the high
watermark follows the WAL sync, at `object` it follows the publish; acks=1 follows the WAL sync at both. Only what
the WAL has synced is flushed, so at every moment

    published offset <= planned offset <= synced offset <= log end offset

Plain: no await, no I/O, and the time comes as an argument. It must not know of stores, the view or Kafka's requests.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from infra.cluster.log_history import LogHistory
from infra.cluster.manifest import Manifest
from infra.cluster.manifest_record import RecordSegment
from infra.error_code import ErrorCode
from infra.errors import CauceError, Corrupt, NotLeader, Refused
from infra.partition import Lease, PartitionId
from infra.ports import Durability, EpochStart, SessionGuard, TakenLease, Verification
from infra.records.batch import BatchHeader, stamp, stamp_log_append_time
from infra.records.control import decode_marker
from infra.segment.extent import AbortedTransaction, Extent, FlushedExtent, ProducerEntry
from infra.topic_config import TopicSettings
from infra.view.port import PublishedPartition
from ingest.acks import Complete, WaitingAcks
from ingest.log_transactions import LogTransactions
from ingest.producer_state import Duplicate, ProducerChanges, ProducerState, is_idle
from ingest.tail import Tail, TailBatch, TailBudget
from ingest.wal.frame import WalEntry

Batch = tuple[BatchHeader, memoryview]  # a checked batch: its header as sent, its bytes, writable


@dataclass(frozen=True, slots=True)
class Appended:
    """Where batches lie in the log; `entries` go to the WAL next, none when they were there before."""

    base_offset: int
    last_offset: int
    log_append_time_ms: int  # -1 when the producer's own timestamps count
    log_start_offset: int
    entries: tuple[WalEntry, ...]

    @property
    def next_offset(self) -> int:
        """What must become durable before an acknowledgement is true."""
        return self.last_offset + 1


@dataclass(frozen=True, slots=True)
class FlushPart:
    """What one flush takes of one partition: contiguous batches, and their producers as of the last of them."""

    log: "PartitionLog"
    batches: tuple[TailBatch, ...]
    producers: tuple[ProducerEntry, ...]
    size: int  # bytes of the batches
    aborted: tuple[AbortedTransaction, ...] = ()  # whose markers are among the batches

    @property
    def last_offset(self) -> int:
        """Of the last batch."""
        return self.batches[-1].header.last_offset


class PartitionLog:
    """Implements `infra.ports.LogReader` for readers; `Leaders` and the flush drive the rest."""

    def __init__(self, taken: TakenLease, settings: TopicSettings, guard: SessionGuard, budget: TailBudget) -> None:
        self.lease: Lease = taken.lease
        self.topic = taken.topic
        self.durability: Durability = taken.durability
        self.settings = settings
        self.epochs: Sequence[EpochStart] = taken.epochs
        self.guard = guard
        self._budget = budget
        self._tail = Tail(taken.end_offset)
        self._history = LogHistory(taken.manifest, taken.extents)
        self.manifest_suspected = False  # set by readers, cleared by whoever reads the ledger again
        self._synced = self._planned = self._published = taken.end_offset
        self._unflushed_bytes = 0  # synced, not planned
        self._unpublished_bytes = 0  # appended, not published
        self._producers = ProducerState(taken.producers)
        self._transactions = LogTransactions(taken.producers)
        self._planned_producers = {entry.producer_id: entry for entry in taken.producers}
        self._published_producers = dict(self._planned_producers)
        self._on_sync = WaitingAcks()
        self._on_publish = WaitingAcks()
        self._wakers: dict[object, Callable[[], None]] = {}
        self._refusal: CauceError | None = None  # why nothing may be appended
        self._closed = False

    # What readers see

    @property
    def partition(self) -> PartitionId:
        return self.lease.partition

    @property
    def leader_epoch(self) -> int:
        return self.lease.leader_epoch

    @property
    def log_start_offset(self) -> int:
        return self._history.log_start_offset

    @property
    def manifest(self) -> Manifest:
        """As adopted last."""
        return self._history.manifest

    @property
    def records_end(self) -> int:
        """As `LogReader.records_end`."""
        return self._history.records_end

    @property
    def high_watermark(self) -> int:
        """Exclusive: what is below is durable as the topic promises."""
        return self._synced if self.durability == "wal" else self._published

    @property
    def last_stable_offset(self) -> int:
        """Exclusive: the first offset of the oldest open transaction, at most the high watermark."""
        return max(
            self._transactions.stable_below(self.high_watermark), min(self.log_start_offset, self.high_watermark)
        )

    @property
    def log_end_offset(self) -> int:
        return self._tail.end_offset

    @property
    def tail_start_offset(self) -> int:
        return self._tail.start_offset

    @property
    def leads(self) -> bool:
        """Always: this is the log itself."""
        return True

    @property
    def closed(self) -> bool:
        return self._closed

    def check_ttl(self) -> None:
        """Raise `Fenced` when the session's TTL has run out."""
        self.guard.check_ttl()

    def read_tail(self, offset: int, max_bytes: int, upto: int, at_least_one: bool) -> list[memoryview]:
        """As `LogReader.read_tail`."""
        return self._tail.read(offset, max_bytes, upto, at_least_one)

    def tail_bytes(self, offset: int, upto: int, limit: int) -> int:
        """As `LogReader.tail_bytes`."""
        return self._tail.count_bytes(offset, upto, limit)

    def record_segments_from(self, offset: int) -> Sequence[RecordSegment]:
        """As `LogReader.record_segments_from`."""
        return self._history.segments_from(offset)

    def suspect_manifest(self) -> None:
        """As `LogReader.suspect_manifest`."""
        self.manifest_suspected = True

    def extents_from(self, offset: int) -> Sequence[Extent]:
        """As `LogReader.extents_from`."""
        return self._history.extents_from(offset)

    def aborted_between(self, offset: int, upto: int) -> Sequence[AbortedTransaction]:
        """As `LogReader.aborted_between`."""
        tail_start = self._tail.start_offset
        in_tail = self._transactions.aborted_between(max(offset, tail_start), upto)
        return [*self._history.aborted_between(offset, upto, tail_start), *in_tail]

    def on_advance(self, wake: Callable[[], None]) -> Callable[[], None]:
        """As `LogReader.on_advance`."""
        ticket = object()
        self._wakers[ticket] = wake

        def unsubscribe() -> None:
            self._wakers.pop(ticket, None)

        return unsubscribe

    # Appending

    @property
    def published_offset(self) -> int:
        """Exclusive: everything below is in the bucket and in the view."""
        return self._published

    @property
    def synced_offset(self) -> int:
        """Exclusive: everything below is on this node's disk."""
        return self._synced

    @property
    def unflushed_bytes(self) -> int:
        """Bytes that the next flush may take."""
        return self._unflushed_bytes

    @property
    def unpublished_bytes(self) -> int:
        """Bytes of memory held by what is appended and not published: they cannot be trimmed."""
        return self._unpublished_bytes

    @property
    def first_unpublished_position(self) -> int | None:
        """Where in the WAL the first batch begins that is not published; None when all are."""
        batch = self._tail.first_from(self._published)
        return batch.wal_position if batch is not None else None

    def append(
        self, batches: Sequence[Batch], now_ms: int, wal_position: int, verification: Verification | None = None
    ) -> Appended:
        """Assign offsets to checked batches and stamp them in place; at most one batch a producer in one call.

        `wal_position` is the end of the WAL before them. A batch that was appended before is answered with its own
        place; one that begins a transaction needs its `verification`. Control batches are markers: what ends a
        transaction takes the ordinary way. Raises `Refused` for its producer, epoch, sequence or transaction, and what
        `stop` or `close` gave as the reason.
        """
        if self._refusal is not None:
            raise self._refusal
        duplicates = [self._check(batch, verification) for batch in batches if batch[0].has_producer]
        if len(batches) > 1 and any(duplicates):
            raise Refused(ErrorCode.INVALID_RECORD, "some of these batches were appended before")
        for duplicate in duplicates:
            if duplicate is not None:
                return self._appended_before(duplicate)
        base = self.log_end_offset
        time_ms = now_ms if self.settings.log_append_time else -1
        entries = tuple(self._append_one(batch, now_ms, wal_position) for _, batch in batches)
        return Appended(base, self.log_end_offset - 1, time_ms, self.log_start_offset, entries)

    def _check(self, batch: Batch, verification: Verification | None) -> Duplicate | None:
        header, view = batch
        if not header.is_control:
            return self._producers.check(header, verification)
        marker = decode_marker(view)
        if marker is None:
            raise Refused(ErrorCode.INVALID_RECORD, "of control batches only the ends of transactions are known")
        self._producers.check_marker(marker)
        return None

    def must_be_verified(self, header: BatchHeader) -> bool:
        """Whether this batch would begin a transaction in the partition: its coordinator is to be asked first."""
        return self._producers.must_be_verified(header)

    def begin_verification(self, producer_id: int) -> Verification:
        """A producer's coordinator is asked now; what it answers counts until a marker of the producer comes."""
        return self._producers.begin_verification(producer_id)

    def producers(self) -> tuple[ProducerEntry, ...]:
        """What is known of all producers as of the log end."""
        return self._producers.entries()

    def knows(self, producer_id: int) -> bool:
        """Whether the sequence of this producer's next batch is known."""
        return self._producers.get(producer_id) is not None

    def _append_one(self, batch: memoryview, now_ms: int, wal_position: int) -> WalEntry:
        base = self.log_end_offset
        stamp(batch, base, self.leader_epoch)
        if self.settings.log_append_time:
            stamp_log_append_time(batch, now_ms)
        header = BatchHeader.parse(batch)
        added = TailBatch(header, batch, wal_position, now_ms)
        self._tail.append(added)
        self._unpublished_bytes += added.cost
        if header.has_producer:
            self._apply(header, batch, now_ms)
        return WalEntry(self.partition, self.leader_epoch, base, batch)

    def _apply(self, header: BatchHeader, batch: memoryview, now_ms: int) -> None:
        marker = decode_marker(batch) if header.is_control else None
        if header.is_transactional:
            entry = self._producers.get(header.producer_id)
            in_transaction = entry is not None and entry.in_transaction
            if marker is None and not in_transaction:
                self._transactions.begin(header.base_offset)
            elif marker is not None and entry is not None and in_transaction:
                self._transactions.end(entry, header, marker)
        self._producers.apply(header, now_ms, marker)

    def _appended_before(self, duplicate: Duplicate) -> Appended:
        time_ms = duplicate.timestamp if self.settings.log_append_time else -1
        return Appended(duplicate.base_offset, duplicate.last_offset, time_ms, self.log_start_offset, ())

    # Acknowledging: each of these answers whom to tell; telling may call back into the log

    def when_synced(self, upto: int, complete: Complete) -> bool:
        """Wait for the WAL (acks=1). True when it holds already: nobody will be told then."""
        return self._wait(self._on_sync, self._synced, upto, complete)

    def when_high_watermark(self, upto: int, complete: Complete) -> bool:
        """Wait for the high watermark (acks=-1). True when it holds already."""
        if self.durability == "wal":
            return self.when_synced(upto, complete)
        return self.when_published(upto, complete)

    def when_published(self, upto: int, complete: Complete) -> bool:
        """Wait for the bucket and the view (release). True when it holds already."""
        return self._wait(self._on_publish, self._published, upto, complete)

    def _wait(self, waiting: WaitingAcks, reached: int, upto: int, complete: Complete) -> bool:
        if upto <= reached:
            return True
        if self._closed:
            raise self._refusal or NotLeader(f"{self.partition} is led elsewhere")
        waiting.add(upto, complete)
        return False

    def on_synced(self, upto: int) -> list[Complete]:
        """The WAL has everything below `upto` on disk."""
        if self._closed or upto <= self._synced:
            return []
        self._unflushed_bytes += sum(batch.header.size for batch in self._tail.slice(self._synced, upto, 1 << 62))
        self._synced = upto
        if self.durability == "wal":
            self._wake()
        return self._on_sync.take(upto)

    def on_published(self, flushed: FlushedExtent) -> list[Complete]:
        """The next extent is in the bucket and in the view."""
        extent = flushed.extent
        if extent.base_offset != self._published:
            raise ValueError(f"{self.partition}: extent at {extent.base_offset}, {self._published} is published")
        upto = extent.last_offset + 1
        cost = sum(batch.cost for batch in self._tail.slice(self._published, upto, 1 << 62))
        self._published = upto
        self._unpublished_bytes -= cost
        self._history.add(extent)
        self._transactions.forget_below(self._tail.start_offset)
        # What has ended need not wait for a reader to be forgotten.
        self._transactions.stable_below(self.high_watermark)
        self._published_producers.update((entry.producer_id, entry) for entry in flushed.producers)
        self._budget.published(self._tail, upto, cost)
        if self.durability == "object":
            self._wake()
        return self._on_publish.take(upto)

    # Flushing

    def plan_flush(self, max_bytes: int) -> FlushPart | None:
        """Take what is synced and not yet in a flush: max_bytes of it, one batch at least; None when nothing is."""
        if self._planned == self._synced or self._closed:
            return None
        batches = self._tail.slice(self._planned, self._synced, max_bytes)
        size = sum(batch.header.size for batch in batches)
        self._planned = batches[-1].header.next_offset
        self._unflushed_bytes -= size
        changes = ProducerChanges(self._planned_producers)
        for header, batch, _, appended_ms in batches:
            changes.take(header, batch, appended_ms)
        return FlushPart(self, tuple(batches), changes.producers, size, changes.aborted)

    def published(self) -> PublishedPartition:
        """What the view should hold of this partition: for its repair."""
        return PublishedPartition(
            self._published, tuple(self._history.extents), tuple(self._published_producers.values())
        )

    def unpublished(self) -> list[memoryview]:
        """What is on this node's disk and not published, as stamped: for whoever takes the lease again."""
        return self._tail.read(self._published, 1 << 62, self._synced, False) if self._published < self._synced else []

    # Changes from elsewhere

    def adopt_manifest(self, manifest: Manifest) -> None:
        """The manifest ledger has come so far; a manifest that is not newer than the one adopted changes nothing.

        Raises `Corrupt`, and keeps the one it has, when it tells of offsets that this log has not published: they are
        another leader's, or the view has what this log was not told of yet.
        """
        if manifest.version <= self.manifest.version:
            return
        if manifest.records_end > self._published or manifest.log_start_offset > self.log_end_offset:
            raise Corrupt(
                f"manifest {manifest.version} of {self.partition} has record segments up to {manifest.records_end} and "
                f"begins at {manifest.log_start_offset}; {self._published} is published, {self.log_end_offset} the end"
            )
        self._history.adopt(manifest)
        self._wake()

    def raise_log_start(self, offset: int) -> None:
        """The manifest ledger says that nothing below `offset` may be fetched any more. A lower one changes nothing."""
        if offset > self.log_start_offset:
            self._history.raise_log_start(offset)
            self._wake()

    def expire_producers(self, before_ms: int) -> int:
        """Forget producers idle since `before_ms`; how many."""
        for known in (self._planned_producers, self._published_producers):
            for producer_id in [key for key, entry in known.items() if is_idle(entry, before_ms)]:
                del known[producer_id]
        return self._producers.expire(before_ms)

    def stop(self, reason: CauceError) -> None:
        """Append nothing more; what was appended goes its way (release)."""
        self._refusal = self._refusal or reason

    def close(self, reason: CauceError) -> list[Complete]:
        """The lease is gone: answers everybody who waits, who is to be told the reason and never a success."""
        if self._closed:
            return []
        self._refusal = reason
        self._closed = True
        self._budget.closed(self._tail)
        self._wake()
        return [*self._on_sync.take_all(), *self._on_publish.take_all()]

    def _wake(self) -> None:
        for wake in tuple(self._wakers.values()):
            wake()
