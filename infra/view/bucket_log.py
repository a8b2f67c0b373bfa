"""What the view should hold of partitions, read from the bucket: for whoever rebuilds the view or repairs a part of it.

The order is what makes it safe: epoch records, then segments, then the fence of the last epoch's session. A fence that
is not there by then means that every later claimant will list what was listed here; when it is there, what the last
epoch wrote is left to the claimant. Decides nothing about extents itself (`infra.cluster.extent_chain` does) and
changes nothing.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from infra.cluster.extent_chain import chain_log
from infra.cluster.lease_objects import fence_exists, read_epoch
from infra.cluster.manifest import Manifest, ManifestLedger
from infra.cluster.records import EpochRecord
from infra.errors import NotFound
from infra.object_key import (
    EPOCHS,
    MANIFESTS,
    EpochKey,
    ManifestKey,
    batches_of_session,
    epoch_ledger,
    manifest_ledger,
    parse_key,
)
from infra.partition import PartitionId, SessionId
from infra.segment.extent import FlushedExtent
from infra.store.port import ObjectStore
from infra.view.port import PublishedPartition

ReadExtents = Callable[[ObjectStore, str], Awaitable[Sequence[FlushedExtent]]]
"""What a batch segment's footer says it holds, given the segment's key. Raises `NotFound` and `Corrupt`."""

_REQUESTS_AT_ONCE = 32

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class BucketLog:
    """What the bucket says of one partition: extents from the manifest's floor on, as the view should hold them."""

    published: PublishedPartition
    manifest: Manifest


NOTHING = BucketLog(PublishedPartition(0, (), ()), Manifest())


@dataclass(frozen=True, slots=True)
class _Known:
    """What a partition's ledgers say."""

    last_epoch: int
    records: Sequence[EpochRecord]  # the last one first, down to the epoch in which what extents must tell begins
    manifest: Manifest

    @property
    def session(self) -> SessionId:
        """Of the last epoch."""
        return self.records[0].session

    @property
    def sessions(self) -> set[SessionId]:
        """Whose segments may hold what is needed: a WAL is sent by a later session than wrote it."""
        return {record.session for record in self.records}

    def needs(self, flushed: FlushedExtent) -> bool:
        """False for an extent below all that is asked of extents."""
        return flushed.extent.last_offset >= _needed_from(self.manifest)


def _needed_from(manifest: Manifest) -> int:
    """Extents from here on hold records or producers that the manifest does not."""
    return min(manifest.floor, manifest.producers_upto)


class BucketLogs:
    """Reads the logs of partitions from one bucket, with a bounded number of requests at once."""

    def __init__(self, store: ObjectStore, read_extents: ReadExtents) -> None:
        self._store = store
        self._read_extents = read_extents
        self._gate = asyncio.Semaphore(_REQUESTS_AT_ONCE)

    async def read_all(self, topics: Collection[UUID]) -> dict[PartitionId, BucketLog]:
        """Every partition of these topics that was ever led."""
        last_epochs = await self._last_epochs(EPOCHS)
        manifests = await self._last_manifests(MANIFESTS)
        wanted = {partition: epoch for partition, epoch in last_epochs.items() if partition.topic_id in topics}
        return await self._read(wanted, manifests)

    async def read_one(self, partition: PartitionId) -> BucketLog:
        """One partition; `NOTHING` when it was never led."""
        last_epochs = await self._last_epochs(epoch_ledger(partition) + "/")
        manifests = await self._last_manifests(manifest_ledger(partition) + "/")
        logs = await self._read(last_epochs, manifests)
        return logs.get(partition, NOTHING)

    async def _read(
        self, last_epochs: Mapping[PartitionId, int], manifests: Mapping[PartitionId, int]
    ) -> dict[PartitionId, BucketLog]:
        partitions = list(last_epochs)
        ledgers = await all_of(self._ledgers(one, last_epochs[one], manifests.get(one, -1)) for one in partitions)
        known = dict(zip(partitions, ledgers, strict=True))
        sessions = set[SessionId]().union(*(one.sessions for one in ledgers))
        found = await self._extents(sessions, known)
        last_sessions = sorted({one.session for one in ledgers})
        fences = await all_of(self._gated(fence_exists, self._store, session) for session in last_sessions)
        fenced = {session for session, exists in zip(last_sessions, fences, strict=True) if exists}
        return {one: _log(known[one], found[one], known[one].session in fenced) for one in partitions}

    async def _last_epochs(self, prefix: str) -> dict[PartitionId, int]:
        keys = [parse_key(info.key) async for info in self._store.list(prefix)]
        return {key.partition: key.leader_epoch for key in keys if isinstance(key, EpochKey)}  # the last one stays

    async def _last_manifests(self, prefix: str) -> dict[PartitionId, int]:
        keys = [parse_key(info.key) async for info in self._store.list(prefix)]
        return {key.partition: key.version for key in keys if isinstance(key, ManifestKey)}

    async def _ledgers(self, partition: PartitionId, last_epoch: int, last_manifest: int) -> _Known:
        manifest = Manifest()
        if last_manifest >= 0:
            manifest = await self._gated(ManifestLedger(self._store).read_upto, partition, last_manifest)
        records: list[EpochRecord] = []
        for number in range(last_epoch, -1, -1):
            records.append(await self._gated(read_epoch, self._store, partition, number))
            if records[-1].start_offset <= _needed_from(manifest):
                break
        return _Known(last_epoch, records, manifest)

    async def _extents(
        self, sessions: Iterable[SessionId], known: Mapping[PartitionId, _Known]
    ) -> Mapping[PartitionId, list[FlushedExtent]]:
        """What the segments of these sessions hold of the known partitions."""
        found: defaultdict[PartitionId, list[FlushedExtent]] = defaultdict(list)

        async def read(key: str) -> None:
            try:
                flushed = await self._gated(self._read_extents, self._store, key)
            except NotFound:  # garbage by now: nothing that is needed is ever deleted
                return
            for one in flushed:
                partition = one.extent.partition
                if partition in known and known[partition].needs(one):
                    found[partition].append(one)

        for keys in await all_of(self._gated(self._segments, session) for session in sorted(sessions)):
            await all_of(map(read, keys))
        return found

    async def _segments(self, session: SessionId) -> list[str]:
        return [info.key async for info in self._store.list(batches_of_session(session))]

    async def _gated(self, request: Callable[..., Awaitable[Answer]], *of: Any) -> Answer:
        async with self._gate:
            return await request(*of)


def _log(known: _Known, found: Sequence[FlushedExtent], fenced: bool) -> BucketLog:
    log = chain_log(
        known.records[0].chain(known.last_epoch),
        found,
        floor=known.manifest.floor,
        producers=known.manifest.producers,
        producers_upto=known.manifest.producers_upto,
        with_last_epoch=not fenced,
    )
    return BucketLog(PublishedPartition(log.end_offset, log.extents, log.producers), known.manifest)


async def all_of(work: Iterable[Coroutine[Any, Any, Answer]]) -> list[Answer]:
    """The answers, in order; when one fails the others are cancelled, and its error comes out as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in work]
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return [task.result() for task in tasks]
