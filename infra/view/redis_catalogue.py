"""Topics and settings in Redis: the newest record of each ledger, as bytes. What a record says is not known here."""

from uuid import UUID

from infra.view.packing import parse_partition
from infra.view.redis_calls import RedisCalls


def _versioned(value: bytes) -> tuple[int, bytes]:
    version, _, record = value.partition(b":")
    return int(version), record


class RedisCatalogue(RedisCalls):
    """`View`'s calls about topics and settings."""

    async def put_topic(self, topic_id: UUID, version: int, record: bytes) -> None:
        """Tell a topic's newest ledger record; an older version than the known one changes nothing."""
        await self._change("put_record", (self._key("topics"),), str(topic_id), version, record)

    async def remove_topic(self, topic_id: UUID) -> None:
        """Forget a topic that is gone for good, with its leaders, extents, producers and manifests."""
        names: set[bytes] = set()
        fields = ("leaders", "ends", "manifests")
        for field in fields:
            names.update(await self._scan(self._key(field), f"{topic_id}-*".encode()))
        partitions = sorted(names, key=lambda name: parse_partition(name).partition)
        keys = [self._key("topics"), *(self._key(field) for field in fields)]
        keys += [self._key(kind, name) for name in partitions for kind in ("extents", "producers")]
        await self._change("remove_topic", keys, str(topic_id), *partitions)

    async def topics(self) -> dict[UUID, tuple[int, bytes]]:
        """All known topics."""
        found = await self._scan(self._key("topics"))
        return {UUID(name.decode()): _versioned(value) for name, value in found.items() if value}

    async def put_setting(self, kind: str, name: str, version: int, record: bytes) -> None:
        """Tell a setting's newest ledger record; older versions change nothing."""
        await self._change("put_record", (self._key("settings"),), f"{kind}\0{name}", version, record)

    async def settings(self) -> dict[tuple[str, str], tuple[int, bytes]]:
        """All known settings."""
        found: dict[tuple[str, str], tuple[int, bytes]] = {}
        for field, value in (await self._scan(self._key("settings"))).items():
            kind, _, name = field.decode().partition("\0")
            found[kind, name] = _versioned(value)
        return found
