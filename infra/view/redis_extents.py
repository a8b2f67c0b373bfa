"""Extents and producer state in Redis: a list of packed extents and a hash of packed producers for each partition."""

from collections.abc import Sequence
from typing import Any

from infra.errors import Corrupt, Fenced, Unavailable
from infra.partition import PartitionId, SessionId
from infra.segment.extent import FlushedExtent
from infra.view.packing import (
    pack_extent,
    pack_int64,
    pack_producer,
    partition_name,
    unpack_extent,
    unpack_int64,
    unpack_producer,
    unpack_state,
)
from infra.view.port import PublishedPartition
from infra.view.redis_calls import Argument, RedisCalls

_READ_STRETCH = 1_000  # extents in one read: about 100 KB
_PUT_STRETCH = 2_000  # extents and producers in one write: about 200 KB
_READ_ATTEMPTS = 20


class RedisExtents(RedisCalls):
    """`View`'s calls about extents, end offsets and producers."""

    _puts = 0  # numbers the spare keys of this client

    async def publish(self, session: SessionId, segment: str, flushed: Sequence[FlushedExtent]) -> None:
        """Make a segment visible. Raises `Fenced` below a known leader epoch, `Corrupt` for a gap or contradiction."""
        pairs: dict[PartitionId, int] = {}
        keys = [self._key("leaders"), self._key("ends")]
        arguments: list[Argument] = []
        for one in flushed:
            name = partition_name(one.extent.partition)
            if one.extent.partition not in pairs:
                pairs[one.extent.partition] = len(pairs)
                keys += [self._key("extents", name), self._key("producers", name)]
            arguments += (name, pairs[one.extent.partition], pack_extent(one.extent))
            arguments += (pack_int64(one.extent.last_offset + 1), len(one.producers))
            for entry in one.producers:
                arguments += (pack_int64(entry.producer_id), pack_producer(entry))
        _raise_for(await self._run("publish", keys, *arguments), session, segment)

    async def partition(self, partition: PartitionId) -> PublishedPartition:
        """Extents, end offset and producers of one partition, all as of one moment."""
        for _ in range(_READ_ATTEMPTS):
            found = await self._snapshot(partition)
            if found is not None:
                return found
        raise Unavailable(f"partition {partition} was replaced again and again while it was read")

    async def _snapshot(self, partition: PartitionId) -> PublishedPartition | None:
        """Read in stretches. What is appended meanwhile is not looked at; None when it was replaced meanwhile."""
        state, count, packed, producers = await self._stretch(partition, 0)
        while len(packed) < count:
            later, _, more, _ = await self._stretch(partition, len(packed))
            if unpack_state(later)[2] != unpack_state(state)[2]:
                return None
            packed += more[: count - len(packed)]
        return PublishedPartition(
            end_offset=unpack_state(state)[0],
            extents=tuple(unpack_extent(partition, one) for one in packed),
            producers=tuple(sorted(map(unpack_producer, producers[::2], producers[1::2]), key=_by_id)),
        )

    async def _stretch(self, partition: PartitionId, start: int) -> tuple[bytes | None, int, list[bytes], list[bytes]]:
        name = partition_name(partition)
        keys = (self._key("ends"), self._key("extents", name), self._key("producers", name))
        answer = await self._run("partition", keys, name, start, start + _READ_STRETCH - 1)
        _, state, count, packed, producers = answer
        return state, int(count), list(packed), list(producers)

    async def put_partition(self, partition: PartitionId, published: PublishedPartition) -> None:
        """Replace what is known of one partition, at once even when it takes several calls to send."""
        name = partition_name(partition)
        self._puts += 1
        spare = name + f":{self._writer}:{self._puts}".encode()
        keys = [self._key("ends"), self._key("extents", name), self._key("producers", name)]
        keys += [self._key("spare-extents", spare), self._key("spare-producers", spare)]
        epoch = max((extent.leader_epoch for extent in published.extents), default=-1)
        total = len(published.extents) + len(published.producers)
        for start in range(0, max(total, 1), _PUT_STRETCH):
            last = int(start + _PUT_STRETCH >= total)
            stretch = _stretch(published, start, start + _PUT_STRETCH)
            answer = await self._run(
                "put_partition", keys, name, start, last, pack_int64(published.end_offset), epoch, *stretch
            )
            if answer[0] == b"again":
                raise Unavailable(f"partition {partition}: what was sent to replace it lapsed meanwhile")

    async def trim_partition(self, partition: PartitionId, below: int) -> None:
        """Forget the extents whose records are all below an offset (compacted or deleted); the end offset stays."""
        name = partition_name(partition)
        keys = (self._key("ends"), self._key("extents", name))
        await self._run("trim_partition", keys, name, pack_int64(below))


def _by_id(entry: Any) -> int:
    return int(entry.producer_id)


def _stretch(published: PublishedPartition, start: int, past: int) -> list[Argument]:
    """Number of extents, extents, then producers as id and state: those from start to past, extents counted first."""
    some = published.extents[start:past]
    before = len(published.extents)
    stretch: list[Argument] = [len(some), *map(pack_extent, some)]
    for entry in published.producers[max(start - before, 0) : max(past - before, 0)]:
        stretch += (pack_int64(entry.producer_id), pack_producer(entry))
    return stretch


def _raise_for(answer: list[Any], session: SessionId, segment: str) -> None:
    """Nothing for 'ok'; else the error that the verdict of the publish script means."""
    if answer[0] == b"ok":
        return
    verdict, name, detail = answer[0].decode(), answer[1].decode(), answer[2]
    if verdict == "fenced":
        raise Fenced(f"{segment} of session {session}: leader epoch {detail} of {name} is known already")
    raise Corrupt(
        f"{segment} of session {session}: {verdict} at {name}, whose end is {unpack_int64(detail)} in the view"
    )
