"""What the view should hold of partitions, read from the bucket: for whoever rebuilds the view or repairs a part of it.

The order is what makes it safe: epoch records, then segments, then the fence of the last epoch's session. A fence that
is not there by then means that every later claimant will list what was listed here; when it is there, what the last
epoch wrote is left to the claimant. Decides nothing about extents itself (`infra.cluster.extent_chain` does) and
changes nothing.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar
from uuid import UUID

from infra.all_of import all_of
from infra.cluster.extent_chain import ChainedLog, chain_log
from infra.cluster.lease_objects import fence_exists, read_epoch
from infra.cluster.manifest import Manifest, ManifestLedger
from infra.cluster.records import EpochRecord
from infra.errors import Corrupt, NotFound
from infra.object_key import (
    BATCHES,
    EPOCHS,
    FIRST_RETURNED,
    MANIFESTS,
    BatchSegmentKey,
    EpochKey,
    ManifestKey,
    batches_of_session,
    epoch_ledger,
    manifest_ledger,
    parse_key,
)
from infra.partition import PartitionId, SessionId
from infra.segment.extent import Extent, FlushedExtent
from infra.store.port import ObjectStore
from infra.view.port import PublishedPartition

ReadExtents = Callable[[ObjectStore, str], Awaitable[Sequence[FlushedExtent]]]
"""What a batch segment's footer says it holds, given the segment's key. Raises `NotFound` and `Corrupt`."""

_log = logging.getLogger(__name__)

_REQUESTS_AT_ONCE = 32

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class BucketLog:
    """What the bucket says of one partition: extents from the manifest's floor on, as the view should hold them."""

    published: PublishedPartition
    manifest: Manifest


NOTHING = BucketLog(PublishedPartition(0, (), ()), Manifest())


@dataclass(frozen=True, slots=True)
class KnownLedgers:
    """What a partition's ledgers say."""

    last_epoch: int
    records: Mapping[int, EpochRecord]  # by leader epoch, down to the one in which what extents must tell begins
    manifest: Manifest
    whole: bool = True  # False: the record of an epoch that may hold something is missing

    @property
    def last(self) -> EpochRecord:
        """Of the last epoch."""
        return self.records[self.last_epoch]

    @property
    def sessions(self) -> set[SessionId]:
        """Whose segments may hold what is needed: a WAL is sent by a later session than wrote it."""
        return {record.session for record in self.records.values()}

    def needs(self, extent: Extent, within: BatchSegmentKey) -> bool:
        """False for an extent below all that is asked of extents, or written by a session that did not lead.

        In a copy of a bucket that lacks an epoch record, the epoch's number is used again by another session.
        """
        if extent.last_offset < _needed_from(self.manifest):
            return False
        own = self.records.get(extent.leader_epoch)
        if own is None or within.session == own.session:
            return True
        later = {record.session for epoch, record in self.records.items() if epoch > extent.leader_epoch}
        return within.sequence >= FIRST_RETURNED and within.session in later


def _needed_from(manifest: Manifest) -> int:
    """Extents from here on hold records or producers that the manifest does not."""
    return min(manifest.floor, manifest.producers_upto)


class BucketLogs:
    """Reads the logs of partitions from one bucket, with a bounded number of requests at once."""

    def __init__(
        self,
        store: ObjectStore,
        read_extents: ReadExtents,
        *,
        tolerant: bool = False,
        passed: Callable[[str], None] = lambda stage: None,
    ) -> None:
        """`tolerant`, for whoever only fills a view: what is damaged is logged and left out; else it is raised.

        `passed` is told the name of each stage of the reading when it is over.
        """
        self._store = store
        self._read_extents = read_extents
        self._tolerant = tolerant
        self._passed = passed
        self._gate = asyncio.Semaphore(_REQUESTS_AT_ONCE)

    async def read_all(self, topics: Collection[UUID]) -> dict[PartitionId, BucketLog]:
        """Every partition of these topics that was ever led."""
        epochs = await self._epochs(EPOCHS)
        manifests = await self._last_manifests(MANIFESTS)
        self._passed("listing ledgers")
        wanted = {partition: numbers for partition, numbers in epochs.items() if partition.topic_id in topics}
        return await self._read(wanted, manifests)

    async def read_one(self, partition: PartitionId) -> BucketLog:
        """One partition; `NOTHING` when it was never led."""
        epochs = await self._epochs(epoch_ledger(partition) + "/")
        manifests = await self._last_manifests(manifest_ledger(partition) + "/")
        logs = await self._read(epochs, manifests)
        return logs.get(partition, NOTHING)

    async def _read(
        self, epochs: Mapping[PartitionId, Sequence[int]], manifests: Mapping[PartitionId, int]
    ) -> dict[PartitionId, BucketLog]:
        partitions = list(epochs)
        reading = (self._ledgers_or_none(one, epochs[one], manifests.get(one, -1)) for one in partitions)
        ledgers = zip(partitions, await all_of(reading), strict=True)
        known = {partition: one for partition, one in ledgers if one is not None}
        self._passed("reading ledgers")
        found = await self.extents(known)
        fenced = await self.fenced(known)
        return {one: _published(known[one], found[one], known[one].last.session in fenced) for one in known}

    async def fenced(self, known: Mapping[PartitionId, KnownLedgers]) -> set[SessionId]:
        """Which last sessions have been ended. To be asked after what they wrote was listed."""
        sessions = sorted({one.last.session for one in known.values()})
        fences = await all_of(self._gated(fence_exists, self._store, session) for session in sessions)
        return {session for session, exists in zip(sessions, fences, strict=True) if exists}

    async def _epochs(self, prefix: str) -> dict[PartitionId, list[int]]:
        found: defaultdict[PartitionId, list[int]] = defaultdict(list)
        async for info in self._store.list(prefix):
            key = parse_key(info.key)
            if isinstance(key, EpochKey):
                found[key.partition].append(key.leader_epoch)
        return found

    async def _last_manifests(self, prefix: str) -> dict[PartitionId, int]:
        keys = [parse_key(info.key) async for info in self._store.list(prefix)]
        return {key.partition: key.version for key in keys if isinstance(key, ManifestKey)}

    async def _ledgers_or_none(
        self, partition: PartitionId, epochs: Sequence[int], last_manifest: int
    ) -> KnownLedgers | None:
        try:
            manifest = Manifest()
            if last_manifest >= 0:
                manifest = await self._gated(ManifestLedger(self._store).read_upto, partition, last_manifest)
            return await self.ledgers(partition, epochs, manifest)
        except (Corrupt, NotFound) as error:
            if not self._tolerant:
                raise
            _log.error("%s cannot be read, see `cauce recover --dry-run`: %s", partition, error)
            return None

    async def ledgers(self, partition: PartitionId, epochs: Sequence[int], manifest: Manifest) -> KnownLedgers:
        """The epoch records, of those with these numbers (ascending), that a log on this manifest needs."""
        records: dict[int, EpochRecord] = {}
        needed_from = _needed_from(manifest)
        for number in reversed(epochs):
            records[number] = await self._gated(read_epoch, self._store, partition, number)
            if records[number].start_offset <= needed_from:
                break
        chain = records[epochs[-1]].chain(epochs[-1])
        needed = [one.leader_epoch for one, upto in pairwise(chain) if upto.start_offset > needed_from]
        return KnownLedgers(epochs[-1], records, manifest, records.keys() >= set(needed))

    async def extents(self, known: Mapping[PartitionId, KnownLedgers]) -> Mapping[PartitionId, list[FlushedExtent]]:
        """What segments hold of the known partitions: those of the sessions that led them, or of all if that is not
        known."""
        found: defaultdict[PartitionId, list[FlushedExtent]] = defaultdict(list)

        async def read(key: BatchSegmentKey) -> None:
            for one in await self._footer(key.key):
                partition = one.extent.partition
                if partition in known and known[partition].needs(one.extent, key):
                    found[partition].append(one)

        if all(one.whole for one in known.values()):
            sessions = set[SessionId]().union(*(one.sessions for one in known.values()))
            listed = await all_of(self._gated(self._segments, batches_of_session(one)) for one in sorted(sessions))
        else:
            listed = [await self._segments(BATCHES)]
        self._passed("listing segments")
        for keys in listed:
            await all_of(map(read, keys))
        self._passed("reading footers")
        return found

    async def _footer(self, key: str) -> Sequence[FlushedExtent]:
        try:
            return await self._gated(self._read_extents, self._store, key)
        except NotFound:  # garbage by now: nothing that is needed is ever deleted
            return ()
        except Corrupt as error:
            if not self._tolerant:
                raise
            _log.error("a batch segment is damaged, what it holds is left out: %s", error)
            return ()

    async def _segments(self, prefix: str) -> list[BatchSegmentKey]:
        keys = [parse_key(info.key) async for info in self._store.list(prefix)]
        return [key for key in keys if isinstance(key, BatchSegmentKey)]

    async def _gated(self, request: Callable[..., Awaitable[Answer]], *of: Any) -> Answer:
        async with self._gate:
            return await request(*of)


def chain(known: KnownLedgers, found: Sequence[FlushedExtent], *, with_last_epoch: bool = True) -> ChainedLog:
    """The log that these ledgers and extents imply."""
    return chain_log(
        known.last.chain(known.last_epoch),
        found,
        floor=known.manifest.floor,
        producers=known.manifest.producers,
        producers_upto=known.manifest.producers_upto,
        with_last_epoch=with_last_epoch,
    )


def _published(known: KnownLedgers, found: Sequence[FlushedExtent], fenced: bool) -> BucketLog:
    log = chain(known, found, with_last_epoch=not fenced)
    return BucketLog(PublishedPartition(log.end_offset, log.extents, log.producers), known.manifest)
