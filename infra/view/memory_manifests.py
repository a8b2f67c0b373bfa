"""Manifest versions and work leases in memory: what compactors tell leaders, and one another."""

from infra.partition import PartitionId
from infra.view.memory_calls import MemoryCalls


class MemoryManifests(MemoryCalls):
    """`View`'s calls about manifests and work."""

    async def put_manifest(self, partition: PartitionId, version: int) -> None:
        """Tell how far a manifest ledger has come; a lower version, or a topic that is gone, changes nothing."""
        state = self._state()
        gone = state.topics.get(partition.topic_id, ()) is None
        if not gone and state.manifests.get(partition, -1) < version:
            state.manifests[partition] = version
            self.server.changed()

    async def manifests(self) -> dict[PartitionId, int]:
        """The newest known version of every partition that has a manifest."""
        return dict(self._state().manifests)

    async def take_work(self, name: str, owner: str, ttl_ms: int) -> bool:
        """Take a piece of work, or keep it for another ttl_ms from now on; False while it is another's."""
        work, now = self._state().work, self.server.clock.now_ms()
        holder, lapses_ms = work.get(name, (owner, now))
        if holder != owner and lapses_ms > now:
            return False
        work[name] = (owner, now + ttl_ms)
        return True

    async def give_work(self, name: str, owner: str) -> None:
        """Let a piece of work go; no effect when it is another's."""
        work = self._state().work
        if name in work and work[name][0] == owner:
            del work[name]
