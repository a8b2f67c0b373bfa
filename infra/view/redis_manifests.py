"""Manifest versions and work leases in Redis: what compactors tell leaders, and one another.

A version is all that stands here of a manifest; what it says is in the bucket.
"""

from infra.partition import PartitionId
from infra.view.packing import parse_partition, partition_name
from infra.view.redis_calls import RedisCalls


class RedisManifests(RedisCalls):
    """`View`'s calls about manifests and work."""

    async def put_manifest(self, partition: PartitionId, version: int) -> None:
        """Tell how far a manifest ledger has come; a lower version, or a topic that is gone, changes nothing."""
        keys = (self._key("manifests"), self._key("topics"))
        await self._change("put_manifest", keys, partition_name(partition), str(partition.topic_id), version)

    async def manifests(self) -> dict[PartitionId, int]:
        """The newest known version of every partition that has a manifest."""
        found = await self._scan(self._key("manifests"))
        return {parse_partition(name): int(version) for name, version in found.items()}

    async def take_work(self, name: str, owner: str, ttl_ms: int) -> bool:
        """Take a piece of work, or keep it for another ttl_ms from now on; False while it is another's."""
        answer = await self._run("take_work", (self._key("work", name.encode()),), owner, ttl_ms)
        return bool(answer[0] == b"ok")

    async def give_work(self, name: str, owner: str) -> None:
        """Let a piece of work go; no effect when it is another's."""
        await self._run("give_work", (self._key("work", name.encode()),), owner)
