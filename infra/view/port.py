"""The Redis view as the rest of Cauce sees it: quick answers, never the truth.

Everything here can be forgotten at any time and is derived again from the bucket (`rebuild`). Every mutating call
carries the incarnation it was made under; when the view has none, or another one, the call raises `ViewLost`.
All calls raise `Unavailable` when Redis does not answer; all of them are safe to repeat.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol
from uuid import UUID

from infra.errors import Unavailable
from infra.partition import Lease, PartitionId, SessionId
from infra.segment.extent import Extent, FlushedExtent, ProducerEntry


class ViewLost(Unavailable):
    """The view was wiped or replaced by another incarnation: rebuild before going on."""


FORMATS = 2
"""What this release reads, as one number: 1 batch segments alone, 2 record segments and transactions too.

A release that writes what the one before cannot read raises it, and writes nothing of the kind while a node of a lower
number lives."""


@dataclass(frozen=True, slots=True)
class LiveSession:
    """A node that renews: where its listeners are reached and what it does."""

    session: SessionId
    endpoints: Mapping[str, str]  # listener name → "host:port" as advertised
    rack: str | None
    roles: frozenset[str]  # ingest, reader, compactor
    formats: int = FORMATS  # what its release reads

    def endpoint(self, listener: str, *, or_any: bool = False) -> str | None:
        """Where a listener of that name is reached; with `or_any` its first where it has none of that name."""
        return self.endpoints.get(listener) or (next(iter(self.endpoints.values()), None) if or_any else None)


class Source(NamedTuple):
    """By whose word something is said. What another one says can be older than what this one said."""

    incarnation: str
    server: str  # another one after each start and failover of Redis; empty where it does not tell


@dataclass(frozen=True, slots=True)
class Members:
    """Who renews, and by whose word."""

    source: Source
    generation: int  # every change of topics, settings, sessions (a lapse too), leaders, manifests raises it
    sessions: tuple[LiveSession, ...]  # by node id


@dataclass(frozen=True, slots=True)
class PublishedPartition:
    """What the view holds of one partition's extents."""

    end_offset: int  # one past the last published offset; 0 when nothing is known
    extents: tuple[Extent, ...]
    producers: tuple[ProducerEntry, ...]


@dataclass(frozen=True, slots=True)
class OffsetRow:
    """A committed offset, materialised from `__consumer_offsets` (None in place of a row deletes it)."""

    offset: int
    leader_epoch: int
    metadata: str
    commit_timestamp: int  # ms
    expire_timestamp: int = -1  # ms, -1: by the broker's retention


OffsetKey = tuple[str, str, int]  # group, topic name, partition


@dataclass(frozen=True, slots=True)
class OffsetChanges:
    """What one stretch of a `__consumer_offsets` partition changes; `upto` is exclusive."""

    upto: int
    offsets: Mapping[OffsetKey, OffsetRow | None] = field(default_factory=dict)
    groups: Mapping[str, bytes | None] = field(default_factory=dict)  # group → its metadata record value
    since: int = 0  # what must have been applied before, at least: the stretch begins there


class View(Protocol):
    """One cluster's view. Contract: tests/contract/test_view.py runs on every implementation."""

    # incarnation and rebuild
    async def incarnation(self) -> str | None:
        """The current incarnation, None when the view is empty (wiped)."""

    async def begin_rebuild(self, owner: str, ttl_ms: int) -> bool:
        """Take the recovery lock; False while another holds it."""

    async def install(self, owner: str, incarnation: str) -> None:
        """Finish a rebuild: set the new incarnation and let the lock go. Needs the lock."""

    async def use(self, incarnation: str) -> None:
        """The incarnation that this client's later calls carry."""

    # sessions
    async def register(self, live: LiveSession, ttl_ms: int) -> None:
        """Enter a session that lapses ttl_ms after its last renewal."""

    async def renew(self, session: SessionId, ttl_ms: int) -> bool:
        """Renew; False when the session has lapsed or was dropped."""

    async def drop_session(self, session: SessionId) -> None:
        """Leave: the session is over at once."""

    async def members(self) -> Members:
        """Who renews. Its generation is for polling: read the rest when it, or the source, is another one."""

    # leadership
    async def set_leader(self, lease: Lease) -> bool:
        """Tell that a lease was taken; False when a higher leader epoch is known already."""

    async def clear_leader(self, lease: Lease) -> None:
        """Tell that a lease was released; no effect when a higher epoch is known."""

    async def leaders(self) -> dict[PartitionId, Lease]:
        """Every partition with a known leader (its session may have lapsed)."""

    # topics: topic id → (ledger version, record as JSON bytes)
    async def put_topic(self, topic_id: UUID, version: int, record: bytes) -> None:
        """Tell a topic's newest ledger record; an older version than the known one changes nothing."""

    async def remove_topic(self, topic_id: UUID) -> None:
        """Forget a topic that is gone for good, with its leaders and extents."""

    async def topics(self) -> dict[UUID, tuple[int, bytes]]:
        """All known topics."""

    # settings: (kind, name) → (ledger version, record); e.g. ("broker", "") for cluster-wide broker configs
    async def put_setting(self, kind: str, name: str, version: int, record: bytes) -> None:
        """Tell a setting's newest ledger record; older versions change nothing."""

    async def settings(self) -> dict[tuple[str, str], tuple[int, bytes]]:
        """All known settings."""

    # extents
    async def publish(self, session: SessionId, segment: str, flushed: Sequence[FlushedExtent]) -> None:
        """Make a segment visible: extents, end offsets and producer state of all its partitions together.

        Repeatable: a publish that was applied already is recognised by its segment and changes nothing.
        Extents at or above a partition's known end offset are added; an extent that leaves a gap raises `Corrupt`
        (the view has forgotten something: repair it with `put_partition`).
        """

    async def partition(self, partition: PartitionId) -> PublishedPartition:
        """Extents, end offset and producers of one partition."""

    async def put_partition(self, partition: PartitionId, published: PublishedPartition) -> None:
        """Replace what is known of one partition (rebuild, repair, taking a lease)."""

    async def trim_partition(self, partition: PartitionId, below: int) -> None:
        """Forget the extents whose records are all below an offset (compacted or deleted); the end offset stays."""

    # manifests: partition → version of its ledger's newest record
    async def put_manifest(self, partition: PartitionId, version: int) -> None:
        """Tell how far a manifest ledger has come; a lower version than the known one changes nothing."""

    async def manifests(self) -> dict[PartitionId, int]:
        """The newest known version of every partition that has a manifest."""

    # work: who does what only one at a time should do; good for sparing double work, never for safety
    async def take_work(self, name: str, owner: str, ttl_ms: int) -> bool:
        """Take a piece of work, or keep it for another ttl_ms from now on; False while it is another's."""

    async def give_work(self, name: str, owner: str) -> None:
        """Let a piece of work go; no effect when it is another's."""

    # consumer offsets, materialised
    async def apply_offsets(self, lease: Lease, changes: OffsetChanges) -> None:
        """Move the materialised view of one `__consumer_offsets` partition forward to `changes.upto`, atomically.

        An `upto` at or below the applied one changes nothing; a lower leader epoch than the known one raises `Fenced`;
        `Corrupt` says that less than `changes.since` is applied (the view has forgotten something: reset it and apply
        everything).
        """

    async def load_offsets(self, partition: PartitionId) -> OffsetChanges:
        """Everything materialised for one `__consumer_offsets` partition; upto 0 when nothing is."""

    async def close(self) -> None:
        """Give back connections."""
