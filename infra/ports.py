"""Ports between rooms: what one offers and another needs, so that neither imports the other. `cauce/` joins them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol
from uuid import UUID

from infra.cluster.manifest import Manifest
from infra.cluster.manifest_record import RecordSegment
from infra.error_code import ErrorCode
from infra.partition import Lease, PartitionId, SessionId, TopicPartition
from infra.segment.extent import AbortedTransaction, Extent, ProducerEntry
from infra.store.port import Buffer

Durability = Literal["wal", "object"]  # what the high watermark waits for (cauce.durability)


@dataclass(frozen=True, slots=True)
class EpochStart:
    """A leader epoch and the first offset it may hold: one epoch record, as readers need it."""

    leader_epoch: int
    start_offset: int


class LogReader(Protocol):
    """A partition that this node leads or follows, as readers see it. No I/O: every answer is from memory, at once."""

    @property
    def partition(self) -> PartitionId: ...
    @property
    def leads(self) -> bool:
        """False where another node leads it and this one follows: the log may then end later than is known here."""

    @property
    def leader_epoch(self) -> int: ...
    @property
    def log_start_offset(self) -> int: ...
    @property
    def manifest(self) -> Manifest:
        """As adopted last; its log start offset may lie below `log_start_offset`, never above it."""

    @property
    def records_end(self) -> int:
        """End of the record segments, exclusive; 0 when there is none. Below it record segments answer, from it on
        extents, and the tail for whatever it holds."""

    @property
    def high_watermark(self) -> int:
        """Exclusive."""

    @property
    def last_stable_offset(self) -> int:
        """Exclusive, at most the high watermark: below it every transaction has ended, for good."""

    @property
    def log_end_offset(self) -> int: ...
    @property
    def tail_start_offset(self) -> int:
        """First offset the tail still holds; equal to log_end_offset when it holds nothing."""

    @property
    def epochs(self) -> Sequence[EpochStart]:
        """All leader epochs so far, ascending."""

    @property
    def closed(self) -> bool:
        """True once the lease is gone or the topic deleted: waiters are woken and answer NOT_LEADER_OR_FOLLOWER."""

    def check_ttl(self) -> None:
        """Raise `Fenced` when the session's TTL has run out on the monotonic clock (the TTL rule)."""

    def read_tail(self, offset: int, max_bytes: int, upto: int, at_least_one: bool) -> list[memoryview]:
        """Whole record batches in order, the first one containing `offset`, all below `upto`; at most max_bytes in
        all, but one batch at least when asked. Empty when nothing is there. Needs offset >= tail_start_offset."""

    def tail_bytes(self, offset: int, upto: int, limit: int) -> int:
        """How many bytes read_tail would give, counted up to `limit` at the most: for min_bytes."""

    def record_segments_from(self, offset: int) -> Sequence[RecordSegment]:
        """Record segments that end at or above offset, ascending."""

    def extents_from(self, offset: int) -> Sequence[Extent]:
        """Published extents that end at or above offset, ascending; none that record segments have replaced."""

    def aborted_between(self, offset: int, upto: int) -> Sequence[AbortedTransaction]:
        """The aborted transactions with records below `upto` (at most the last stable offset) that end at or above
        `offset`, in the order of their markers. Of offsets that record segments answer for there are none to tell."""

    def suspect_manifest(self) -> None:
        """An object that should be there is gone: have the ledger read again soon. No I/O here."""

    def on_advance(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` when high watermark, last stable offset, log start or manifest change, or it closes; returns
        unsubscribe."""


class TailSource(Protocol):
    """The partitions this node leads, or follows."""

    def log(self, partition: PartitionId) -> LogReader:
        """Raises `NotLeader` when this node does not lead it (or is still taking the lease), or follow it."""


class Verification:
    """That a producer's coordinator is asked about its transaction before the first batch in a partition. A marker
    makes it void: what the coordinator answers then may be about a transaction that is over."""

    old = False  # seen by an expiry


class LogAppender(Protocol):
    """Write access for coordinators: they append to internal topics that this node leads."""

    async def append(
        self,
        partition: PartitionId,
        leader_epoch: int,
        batches: Sequence[Buffer],
        verification: Verification | None = None,
    ) -> int:
        """Append record batches (offsets not yet assigned) and wait until the high watermark passed them;
        `verification` of the transaction that they may begin.

        Answers the base offset of the first. Raises `NotLeader` (also when the epoch is another one), `Fenced`,
        `Unavailable` (outcome unknown), and `Refused` for a batch in a transaction, or for its marker.
        """


class TransactionCheck(Protocol):
    """Whether partitions are in a producer's open transaction, as its coordinator knows. A late Produce would open the
    transaction again in a partition where it has ended."""

    async def verify(
        self, transactional_id: str, producer_id: int, producer_epoch: int, partitions: Sequence[TopicPartition]
    ) -> Mapping[TopicPartition, ErrorCode]:
        """NONE for each partition that is in it; else what the coordinator says: INVALID_TXN_STATE,
        INVALID_PRODUCER_EPOCH, INVALID_PRODUCER_ID_MAPPING, CONCURRENT_TRANSACTIONS, or a code of its whereabouts
        (NOT_COORDINATOR, COORDINATOR_NOT_AVAILABLE, COORDINATOR_LOAD_IN_PROGRESS, NETWORK_EXCEPTION). Raises
        `Unavailable`."""


class LeadershipListener(Protocol):
    """Told about leases of this node: coordinators load and unload by it."""

    def on_lead(self, log: LogReader) -> None:
        """The lease is taken and the log is ready. Must not block; start a task."""

    def on_release(self, partition: PartitionId, leader_epoch: int) -> None:
        """The lease is gone; stop answering for it at once."""


class SessionGuard(Protocol):
    """This node's session, as those who acknowledge need it."""

    @property
    def session(self) -> SessionId: ...

    def check_ttl(self) -> None:
        """Raise `Fenced` when the TTL has run out, counted from sending the last renewal that succeeded, or a fence
        was found. No I/O."""

    async def look_for_fence(self) -> None:
        """One GET that should find nothing; raises `Fenced` when this session's fence exists (and remembers it)."""


@dataclass(frozen=True, slots=True)
class TakenLease:
    """A lease just taken: all a leader needs to know to begin. Everything below end_offset is published."""

    lease: Lease
    topic: str  # topic name
    durability: Durability  # as the epoch record that this process created says
    epochs: tuple[EpochStart, ...]  # ascending, the last is this lease's
    manifest: Manifest  # read once the lease before was over
    end_offset: int  # start offset of this epoch: the next offset to assign
    extents: tuple[Extent, ...]  # live extents below end_offset, ascending
    producers: tuple[ProducerEntry, ...]  # as of end_offset

    @property
    def log_start_offset(self) -> int:
        """The first offset that may be fetched."""
        return self.manifest.log_start_offset


class KnownTopic(Protocol):
    """A topic as the handlers of the data path need it."""

    @property
    def topic_id(self) -> UUID: ...
    @property
    def name(self) -> str: ...
    @property
    def partitions(self) -> int: ...


class TopicDirectory(Protocol):
    """Names, ids and leaders as this node last heard of them. No I/O."""

    def topic_by_name(self, name: str) -> KnownTopic | None: ...
    def topic_by_id(self, topic_id: UUID) -> KnownTopic | None: ...
    def leader(self, partition: PartitionId) -> Lease | None:
        """Who leads, None when nobody live does."""
