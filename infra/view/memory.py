"""The view in memory: the twin of the Redis view for tests and simulations.

A `MemoryServer` stands for Redis: several `MemoryView`s, one a node, share it. It can be wiped, set back to an older
state, or made to stop answering. Sessions lapse by the clock it is given.
"""

import asyncio
import contextlib
from collections.abc import Mapping, MutableMapping, Sequence
from typing import TypeVar
from uuid import UUID

from infra.errors import Corrupt, Fenced
from infra.partition import Lease, PartitionId, SessionId
from infra.segment.extent import FlushedExtent
from infra.view.memory_calls import lock_token
from infra.view.memory_manifests import MemoryManifests
from infra.view.memory_partition import MemoryPartition
from infra.view.memory_server import MemoryOffsets, MemoryState
from infra.view.port import LiveSession, Members, OffsetChanges, PublishedPartition, Source, ViewLost

Key = TypeVar("Key")
Value = TypeVar("Value")


class MemoryView(MemoryManifests):
    """`View` in memory; one instance is one client of its server."""

    _hint: asyncio.Event | None = None

    def sibling(self) -> "MemoryView":
        """Another client of the same server and cluster."""
        return MemoryView(self.server)

    # incarnation and rebuild
    async def incarnation(self) -> str | None:
        """The current incarnation, None when the view is empty (wiped)."""
        return self._reach().incarnation

    async def use(self, incarnation: str) -> None:
        """The incarnation that this client's later calls carry."""
        self._token = incarnation

    async def begin_rebuild(self, owner: str, ttl_ms: int) -> bool:
        """Take the recovery lock, or keep it for another ttl_ms; False while another holds it."""
        state = self._reach()
        if state.recovery is not None and state.recovery[0] != owner:
            return False
        state.recovery = (owner, self.server.clock.now_ms() + ttl_ms)
        self._token = lock_token(owner)
        return True

    async def keep_rebuild(self, owner: str, ttl_ms: int) -> bool:
        """Hold the recovery lock for another ttl_ms; False when it is lost, also when nobody holds it."""
        state = self._reach()
        if state.recovery is None or state.recovery[0] != owner:
            return False
        state.recovery = (owner, self.server.clock.now_ms() + ttl_ms)
        return True

    async def wipe(self, owner: str) -> None:
        """Forget everything, beginning with the incarnation. Needs the recovery lock, else raises `ViewLost`."""
        state = self._reach()
        if state.recovery is None or state.recovery[0] != owner:
            raise ViewLost(f"wipe: the recovery lock is not held by {owner}")
        self._token = lock_token(owner)
        self.server.state = MemoryState(recovery=state.recovery, generation=state.generation)

    async def install(self, owner: str, incarnation: str) -> None:
        """Finish a rebuild: set the new incarnation and let the lock go; later calls carry it. Needs the lock."""
        if self._reach().incarnation != incarnation:  # else an earlier try of ours was applied
            self._token = lock_token(owner)
            state = self._state()
            state.incarnation, state.recovery = incarnation, None
            self.server.changed()
        self._token = incarnation

    # sessions
    async def register(self, live: LiveSession, ttl_ms: int) -> None:
        """Enter a session. Raises `Fenced` when a later session of the node is known."""
        state, now = self._state(), self.server.clock.now_ms()
        known = state.sessions.get(live.session.node_id)
        if known is not None and known[0].session.node_epoch > live.session.node_epoch:
            raise Fenced(f"session {live.session}: its node has registered again as {known[0].session}")
        state.sessions[live.session.node_id] = (live, now + ttl_ms)
        if known is None or known[0] != live or known[1] <= now:
            self.server.changed()

    async def renew(self, session: SessionId, ttl_ms: int) -> bool:
        """Renew; False when the session has lapsed or was dropped."""
        state, now = self._state(), self.server.clock.now_ms()
        known = state.sessions.get(session.node_id)
        if known is None or known[0].session != session or known[1] <= now:
            return False
        state.sessions[session.node_id] = (known[0], now + ttl_ms)
        return True

    async def drop_session(self, session: SessionId) -> None:
        """Leave: the session is over at once."""
        known = self._state().sessions.get(session.node_id)
        if known is not None and known[0].session == session:
            del self._state().sessions[session.node_id]
            self.server.changed()

    async def members(self) -> Members:
        """Who renews. Its generation is for polling: read the rest when it, or the source, is another one."""
        state, now = self._state(), self.server.clock.now_ms()
        lapsed = [node_id for node_id, (_, lapses_ms) in state.sessions.items() if lapses_ms <= now]
        for node_id in lapsed:
            del state.sessions[node_id]
        if lapsed:
            self.server.changed()
        sessions = tuple(state.sessions[node_id][0] for node_id in sorted(state.sessions))
        return Members(Source(self._token, str(self.server.failovers)), state.generation, sessions)

    # leadership
    async def set_leader(self, lease: Lease) -> bool:
        """Tell that a lease was taken; False when a higher leader epoch is known already, or this one is over."""
        state = self._state()
        told = (lease.leader_epoch, lease.session)
        known = state.leaders.get(lease.partition)
        if known == told:
            return True
        if lease.leader_epoch < state.known_epoch(lease.partition) or (known and known[0] == lease.leader_epoch):
            return False
        state.leaders[lease.partition] = told
        self.server.changed()
        return True

    async def clear_leader(self, lease: Lease) -> None:
        """Tell that a lease was released; no effect when a higher epoch is known."""
        state = self._state()
        known = state.leaders.get(lease.partition)
        released = (lease.leader_epoch, None)
        if known != released and (known is None or known[0] <= lease.leader_epoch):
            state.leaders[lease.partition] = released
            self.server.changed()

    async def leaders(self) -> dict[PartitionId, Lease]:
        """Every partition with a known leader (its session may have lapsed)."""
        known = self._state().leaders.items()
        return {partition: Lease(partition, by, epoch) for partition, (epoch, by) in known if by is not None}

    # topics and settings
    async def put_topic(self, topic_id: UUID, version: int, record: bytes) -> None:
        """Tell a topic's newest ledger record; an older version than the known one changes nothing."""
        topics = self._state().topics
        known = topics.get(topic_id, (-1, b""))
        if known is not None and known[0] < version:
            topics[topic_id] = (version, bytes(record))
            self.server.changed()

    async def remove_topic(self, topic_id: UUID) -> None:
        """Forget a topic that is gone for good, with its leaders, extents and manifests."""
        state = self._state()
        if state.topics.get(topic_id, (0, b"")) is not None:
            state.topics[topic_id] = None
            self.server.changed()
        for partition in {*state.leaders, *state.partitions, *state.manifests}:
            if partition.topic_id == topic_id:
                state.leaders.pop(partition, None)
                state.partitions.pop(partition, None)
                state.manifests.pop(partition, None)

    async def topics(self) -> dict[UUID, tuple[int, bytes]]:
        """All known topics."""
        return {topic_id: known for topic_id, known in self._state().topics.items() if known is not None}

    async def put_setting(self, kind: str, name: str, version: int, record: bytes) -> None:
        """Tell a setting's newest ledger record; older versions change nothing."""
        settings = self._state().settings
        if settings.get((kind, name), (-1, b""))[0] < version:
            settings[kind, name] = (version, bytes(record))
            self.server.changed()

    async def settings(self) -> dict[tuple[str, str], tuple[int, bytes]]:
        """All known settings."""
        return dict(self._state().settings)

    # extents
    async def publish(self, session: SessionId, segment: str, flushed: Sequence[FlushedExtent]) -> None:
        """Make a segment visible. Raises `Fenced` below a known leader epoch, `Corrupt` for a gap or contradiction."""
        state = self._state()
        changed: dict[PartitionId, MemoryPartition] = {}
        for one in flushed:
            name = one.extent.partition
            if name not in changed:
                changed[name] = state.partitions.get(name) or MemoryPartition()
            changed[name] = changed[name].with_flushed(one, state.known_epoch(name))
        state.partitions.update(changed)

    async def partition(self, partition: PartitionId) -> PublishedPartition:
        """Extents, end offset and producers of one partition."""
        return (self._state().partitions.get(partition) or MemoryPartition()).published()

    async def put_partition(self, partition: PartitionId, published: PublishedPartition) -> None:
        """Replace what is known of one partition (rebuild, repair, taking a lease)."""
        known = self._state().partitions
        old = known.get(partition) or MemoryPartition()
        known[partition] = MemoryPartition.of(published, at_least_epoch=old.leader_epoch)

    async def trim_partition(self, partition: PartitionId, below: int) -> None:
        """Forget the extents whose records are all below an offset (compacted or deleted); the end offset stays."""
        known = self._state().partitions
        if partition in known:
            known[partition] = known[partition].trimmed(below)

    # consumer offsets, materialised
    def _offsets(self, lease: Lease) -> MemoryOffsets:
        state = self._state()
        offsets = state.offsets.setdefault(lease.partition, MemoryOffsets())
        known = max(offsets.leader_epoch, state.known_epoch(lease.partition))
        if lease.leader_epoch < known:
            raise Fenced(f"leader epoch {lease.leader_epoch} of {lease.partition}: {known} is known already")
        return offsets

    async def apply_offsets(self, lease: Lease, changes: OffsetChanges) -> None:
        """Move forward to `changes.upto`, atomically. Raises `Fenced`, `Corrupt` for a gap."""
        offsets = self._offsets(lease)
        if changes.upto > offsets.upto:
            if offsets.upto < changes.since:
                raise Corrupt(f"less than offset {changes.since} of {lease.partition} is applied in the view")
            _apply(offsets.rows, changes.offsets)
            _apply(offsets.groups, changes.groups)
            offsets.upto, offsets.leader_epoch = changes.upto, lease.leader_epoch

    async def reset_offsets(self, lease: Lease) -> None:
        """Forget all of one partition, when its log ends below what was applied (unclean election). Raises `Fenced`."""
        self._offsets(lease)
        del self._state().offsets[lease.partition]

    async def load_offsets(self, partition: PartitionId) -> OffsetChanges:
        """Everything materialised for one `__consumer_offsets` partition; upto 0 when nothing is."""
        known = self._state().offsets.get(partition) or MemoryOffsets()
        return OffsetChanges(known.upto, dict(known.rows), dict(known.groups))

    # hints
    async def wait_hint(self, timeout: float) -> bool:
        """Return when something that raises the generation has changed (True), or after `timeout` seconds (False)."""
        if self._hint is None:
            self._hint = self.server.listen()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._hint.wait()
        came = self._hint.is_set()
        self._hint.clear()
        return came

    async def close(self) -> None:
        """Stop listening for hints."""
        if self._hint is not None:
            self.server.forget(self._hint)
            self._hint = None


def _apply(rows: MutableMapping[Key, Value | None], changes: Mapping[Key, Value | None]) -> None:
    for key, value in changes.items():
        if value is None:
            rows.pop(key, None)
        else:
            rows[key] = value
