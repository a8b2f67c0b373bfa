"""What in the bucket is garbage: decided from what was listed and what the ledgers say, and from nothing else.

Dead is only what can never be needed again, so a verdict does not have to be taken back while it waits for the grace:

- a batch segment, when every extent in it is: its topic is gone for good, or it lies below both the floor of the
  manifest and the offset that the manifest's producers are as of, or it is void by the epoch rule. Floors only rise, a
  void extent stays void, a purged topic never comes back;
- a record segment that the fold of its partition's manifest ledger does not name. It could still be named by a
  compactor that planned on the newest version and is slow; `may_yet_be_named` says when that must be ruled out first;
- everything of a topic that is gone: purged, or known to no ledger at all.

What is not known for sure is live: an extent of an epoch newer than the ledgers that were read, a partition whose
ledgers cannot be read, a segment whose footer cannot. Must not know of stores, views or clocks.
"""

from collections.abc import Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar
from uuid import UUID

from infra.cluster.extent_chain import is_void
from infra.cluster.records import TopicRecord
from infra.partition import PartitionId
from infra.ports import EpochStart
from infra.segment.extent import FlushedExtent

LATER_MS = 60_000
"""How much later by the store's clock counts as later: clocks of a store's servers differ a little."""


class ExtentSpan(NamedTuple):
    """All of an extent that its fate depends on."""

    partition: PartitionId
    leader_epoch: int
    base_offset: int
    last_offset: int

    @classmethod
    def of(cls, flushed: FlushedExtent) -> "ExtentSpan":
        """Of a footer's extent."""
        extent = flushed.extent
        return cls(extent.partition, extent.leader_epoch, extent.base_offset, extent.last_offset)


@dataclass(frozen=True, slots=True)
class PartitionLedgers:
    """What a partition's ledgers say, as of one reading."""

    epochs: tuple[EpochStart, ...] = ()  # ascending, as the newest epoch record tells them; () when there is none
    version: int = -1  # of the manifest
    floor: int = 0
    producers_upto: int = 0
    sizes: Mapping[str, int] = field(default_factory=dict)  # record segments that exist → bytes
    manifest_ms: int = -1  # when the newest manifest record was made, by the store's clock; -1: there is none
    epoch_ms: int = -1  # the same of the newest epoch record


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic's newest record."""

    version: int
    record: TopicRecord | None  # None when it cannot be read: the topic counts as one that exists
    modified_ms: int  # when that record was made, by the store's clock

    @property
    def gone(self) -> bool:
        """True once its deletion is final."""
        return self.record is not None and self.record.purged

    def purge_due(self, undelete_ms: int, now_ms: int) -> bool:
        """Whether the time is over in which it could be undeleted, by the later of the two clocks that saw it go."""
        if self.record is None or self.record.deleted_ms is None or self.record.purged:
            return False
        return max(self.record.deleted_ms, self.modified_ms) + undelete_ms <= now_ms


@dataclass(frozen=True, slots=True)
class Ledgers:
    """What verdicts rest on."""

    topics: Mapping[UUID, TopicState]
    named: Collection[UUID]  # topics without a ledger that still have a name: somebody has removed too much
    partitions: Mapping[PartitionId, PartitionLedgers]  # those that were asked for and could be read

    def is_gone(self, topic_id: UUID) -> bool:
        """True when nothing of the topic is ever needed again."""
        known = self.topics.get(topic_id)
        return topic_id not in self.named if known is None else known.gone


def extent_is_dead(span: ExtentSpan, ledgers: Ledgers) -> bool:
    """True when nobody will ever need this extent."""
    if ledgers.is_gone(span.partition.topic_id):
        return True
    known = ledgers.partitions.get(span.partition)
    if known is None:
        return False
    if span.last_offset < min(known.floor, known.producers_upto):
        return True
    return is_void(known.epochs, span.leader_epoch, span.base_offset, span.last_offset)


def living(spans: Iterable[ExtentSpan], ledgers: Ledgers) -> list[ExtentSpan]:
    """The extents for which a batch segment must stay; none: it is garbage."""
    return [span for span in spans if not extent_is_dead(span, ledgers)]


def record_segment_is_dead(key: str, partition: PartitionId, ledgers: Ledgers) -> bool:
    """True when the newest manifest that was read does not name the record segment."""
    if ledgers.is_gone(partition.topic_id):
        return True
    known = ledgers.partitions.get(partition)
    return known is not None and key not in known.sizes


def may_yet_be_named(modified_ms: int, known: PartitionLedgers) -> bool:
    """Whether a compactor that is slow could still bring an unnamed record segment in.

    It planned before the PUT, and a plan on version n can only become n + 1. So a manifest record made later than the
    segment refuses it; without one, somebody has to append one.
    """
    return known.manifest_ms <= modified_ms + LATER_MS


Key = TypeVar("Key", bound=Hashable)


class DeadSince(Generic[Key]):
    """For how long things have been dead, as one process saw it: monotonic seconds, and a bounded number of things."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._since: dict[Key, float] = {}

    def __len__(self) -> int:
        return len(self._since)

    def __contains__(self, key: Key) -> bool:
        return key in self._since

    def noted(self) -> list[Key]:
        """All that are dead."""
        return list(self._since)

    def note(self, key: Key, dead: bool, now: float) -> None:
        """A verdict. The dead that there is no room for are noted at a later look."""
        if not dead:
            self._since.pop(key, None)
        elif key in self._since or len(self._since) < self._most:
            self._since.setdefault(key, now)

    def is_ripe(self, key: Key, grace_seconds: float, now: float) -> bool:
        """Whether it has been dead for the grace."""
        since = self._since.get(key)
        return since is not None and now - since >= grace_seconds

    def forget(self, keys: Iterable[Key]) -> None:
        """They are deleted, or their time must begin anew."""
        for key in keys:
            self._since.pop(key, None)
