"""Consumer offsets in Redis, materialised from `__consumer_offsets`: hashes for each of its partitions."""

from collections.abc import Iterable, Mapping

from infra.errors import Corrupt, Fenced, Unavailable
from infra.partition import Lease, PartitionId
from infra.view.packing import (
    pack_int64,
    pack_offset,
    pack_offset_key,
    partition_name,
    unpack_applied,
    unpack_offset,
    unpack_offset_key,
)
from infra.view.port import OffsetChanges, OffsetKey, OffsetRow
from infra.view.redis_calls import Argument, RedisCalls

_LOAD_ATTEMPTS = 20


class RedisOffsets(RedisCalls):
    """`View`'s calls about materialised consumer offsets."""

    async def apply_offsets(self, lease: Lease, changes: OffsetChanges) -> None:
        """Move forward to `changes.upto`, atomically. Raises `Fenced`, `Corrupt` (a gap). Some thousand rows a call."""
        rows = {pack_offset_key(key): None if row is None else pack_offset(row) for key, row in changes.offsets.items()}
        groups = {group.encode(): value for group, value in changes.groups.items()}
        name = partition_name(lease.partition)
        upto, since = pack_int64(changes.upto), pack_int64(changes.since)
        arguments = (name, upto, lease.leader_epoch, since, *_changes(rows), *_changes(groups))
        answer = await self._run("apply_offsets", self._offset_keys(name), *arguments)
        _raise_when_fenced(answer, lease)
        if answer[0] == b"gap":
            raise Corrupt(f"less than offset {changes.since} of {lease.partition} is applied in the view")

    async def reset_offsets(self, lease: Lease) -> None:
        """Forget all of one partition, when its log ends below what was applied (unclean election). Raises `Fenced`."""
        name = partition_name(lease.partition)
        answer = await self._run("reset_offsets", self._offset_keys(name), name, lease.leader_epoch)
        _raise_when_fenced(answer, lease)

    def _offset_keys(self, name: bytes) -> list[bytes]:
        keys = [self._key("leaders"), self._key("ends"), self._key("applied")]
        return [*keys, self._key("offsets", name), self._key("groups", name)]

    async def load_offsets(self, partition: PartitionId) -> OffsetChanges:
        """Everything materialised for one partition, as of one moment; upto 0 when nothing is."""
        name = partition_name(partition)
        applied = ("HGET", self._key("applied"), name)
        for _ in range(_LOAD_ATTEMPTS):
            (before,) = await self._read(applied)
            rows = await self._scan(self._key("offsets", name))
            groups = await self._scan(self._key("groups", name))
            (after,) = await self._read(applied)
            if before == after:
                return OffsetChanges(unpack_applied(before), _unpack_rows(rows), _unpack_groups(groups))
        raise Unavailable(f"consumer offsets of {partition} changed again and again while they were read")


def _changes(values: Mapping[bytes, bytes | None]) -> Iterable[Argument]:
    """Number to set, name and value of each, number to delete, name of each."""
    kept = [(name, value) for name, value in values.items() if value is not None]
    gone = [name for name, value in values.items() if value is None]
    return [len(kept), *(part for pair in kept for part in pair), len(gone), *gone]


def _unpack_rows(rows: Mapping[bytes, bytes]) -> dict[OffsetKey, OffsetRow | None]:
    return {unpack_offset_key(key): unpack_offset(row) for key, row in rows.items()}


def _unpack_groups(groups: Mapping[bytes, bytes]) -> dict[str, bytes | None]:
    return {group.decode(): value for group, value in groups.items()}


def _raise_when_fenced(answer: list[object], lease: Lease) -> None:
    if answer[0] == b"fenced":
        raise Fenced(f"leader epoch {lease.leader_epoch} of {lease.partition}: {answer[2]} is known already")
