"""Where a log ends and what it holds, read from the bucket once its last session is over.

The end is the greatest of the last epoch's start, the log start offset and the end of the record segments, continued
by the last epoch's own extents in its session's segments. What the view knows only spares reading it again: where it
has forgotten something below, the bucket is read instead. Whoever calls has made sure of the fence.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from infra.all_of import all_of
from infra.cluster.extent_chain import ChainedLog, chain_log, is_chain
from infra.cluster.lease_objects import last_manifests
from infra.cluster.manifest import Manifest, ManifestLedger
from infra.object_key import FIRST_RETURNED, BatchSegmentKey, batches_of_session, parse_key
from infra.partition import PartitionId, SessionId
from infra.segment.extent import Extent, FlushedExtent
from infra.segment.footer import read_extents
from infra.store.port import ObjectStore
from infra.view.bucket_log import NOTHING, BucketLogs
from infra.view.port import PublishedPartition, View
from ingest.claims import Predecessor
from ingest.footer_walk import SoughtEpoch
from ingest.requests import Requests
from ingest.session_extents import SessionExtents

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AdoptedLog:
    """What a new leader begins with."""

    log: ChainedLog
    manifest: Manifest
    published: PublishedPartition | None = None  # as the view has it; None when it must be told


@dataclass(slots=True)
class _Reading:
    """What was read of one partition so far."""

    before: Predecessor
    manifest: Manifest
    published: PublishedPartition
    repaired: bool = False

    @property
    def consistent(self) -> bool:
        """The view knows the log from the floor up to the last epoch's start at least."""
        known = [extent for extent in self.published.extents if extent.last_offset >= self.manifest.floor]
        end = self.published.end_offset
        return end >= self.before.record.start_offset and is_chain(known, self.manifest.floor, end)

    @property
    def sought(self) -> SoughtEpoch:
        """What is to be found in the session's segments."""
        epoch = self.before.leader_epoch
        return SoughtEpoch(
            epoch,
            known_upto=max(self.published.end_offset, self.manifest.producers_upto),
            known_sequence=self._newest(one for one in self.published.extents if one.leader_epoch == epoch),
        )

    @property
    def newest_known(self) -> int:
        """Of the session's flushes that the view knows of this partition, at any epoch; -1 for none."""
        return self._newest(self.published.extents)

    def _newest(self, extents: Iterable[Extent]) -> int:
        session = self.before.session
        first, end = batches_of_session(session), BatchSegmentKey(session, FIRST_RETURNED).key
        newest = max((one.segment for one in extents if first <= one.segment < end), default=None)
        key = None if newest is None else parse_key(newest)
        return key.sequence if isinstance(key, BatchSegmentKey) else -1

    def adopt(self, found: Sequence[FlushedExtent]) -> AdoptedLog:
        """The log, by the view's extents and those found in the bucket."""
        manifest, published = self.manifest, self.published
        by_view = published.end_offset >= manifest.producers_upto
        log = chain_log(
            self.before.record.chain(self.before.leader_epoch),
            [*(FlushedExtent(extent) for extent in published.extents), *found],
            floor=manifest.floor,
            producers=published.producers if by_view else manifest.producers,
            producers_upto=published.end_offset if by_view else manifest.producers_upto,
        )
        for begin, end in log.gaps:
            _log.error("%s: offsets %d to %d are gone from the bucket", self.before.partition, begin, end - 1)
        return AdoptedLog(log, manifest, None if self.repaired else published)


class LogEnds:
    """Reads logs for one takeover after another. Keeps nothing."""

    def __init__(self, store: ObjectStore, view: View, requests: Requests) -> None:
        self._store = store
        self._view = view
        self._requests = requests
        self._session_extents = SessionExtents(store, requests)

    async def read(self, befores: Sequence[Predecessor]) -> dict[PartitionId, AdoptedLog]:
        """The logs of these partitions; one that needs a damaged object is left out."""
        readings = await self._ledgers(befores)
        await self._mend(readings)
        by_session: dict[SessionId, list[_Reading]] = {}
        for reading in readings:
            by_session.setdefault(reading.before.session, []).append(reading)
        logs: dict[PartitionId, AdoptedLog] = {}
        for session, group in by_session.items():
            found = await self._requests.whole(f"what session {session} led", self._extents(session, group))
            if found is not None:
                logs.update((one.before.partition, one.adopt(found.get(one.before.partition, ()))) for one in group)
        return logs

    async def read_without_epochs(self, partitions: Sequence[PartitionId]) -> dict[PartitionId, AdoptedLog]:
        """What partitions begin with that nobody has led: nothing, but for a copy of a bucket that lacks the records of
        their epochs. There the log goes on above the record segments, and no extent counts."""
        topics = sorted({one.topic_id for one in partitions})
        versions: dict[PartitionId, int] = {}
        for listed in await all_of([self._requests.one(last_manifests, self._store, topic_id) for topic_id in topics]):
            versions.update(listed)
        ledger = ManifestLedger(self._store)
        logs = {one: AdoptedLog(ChainedLog(0, (), ()), Manifest()) for one in partitions if one not in versions}
        for one in set(partitions) & versions.keys():
            manifest = await self._requests.whole(one, self._requests.one(ledger.read_upto, one, versions[one]))
            if manifest is not None:
                logs[one] = AdoptedLog(ChainedLog(manifest.floor, (), manifest.producers), manifest)
        return logs

    async def _ledgers(self, befores: Sequence[Predecessor]) -> list[_Reading]:
        topics = sorted({one.partition.topic_id for one in befores})
        versions: dict[PartitionId, int] = {}
        for listed in await all_of([self._requests.one(last_manifests, self._store, topic_id) for topic_id in topics]):
            versions.update(listed)
        ledger = ManifestLedger(self._store)

        async def read(before: Predecessor) -> _Reading | None:
            manifest: Manifest | None = Manifest()
            version = versions.get(before.partition)
            if version is not None:
                reading = self._requests.one(ledger.read_upto, before.partition, version)
                manifest = await self._requests.whole(before.partition, reading)
            if manifest is None:
                return None
            return _Reading(before, manifest, await self._requests.one(self._view.partition, before.partition))

        readings = await all_of([read(before) for before in befores])
        return [reading for reading in readings if reading is not None]

    async def _mend(self, readings: list[_Reading]) -> None:
        """Read from the bucket what the view has forgotten below the last epochs' starts, or trimmed since we read the
        manifest. Where that is damaged, they are left out."""
        behind = [reading for reading in readings if not reading.consistent]
        if not behind:
            return
        _log.warning("the view has forgotten extents of %d partitions: reading the bucket", len(behind))
        topics = {reading.before.partition.topic_id for reading in behind}
        reader = BucketLogs(self._store, read_extents)
        whole = await self._requests.whole("what the view has forgotten", reader.read_all(topics))
        if whole is None:
            readings[:] = [reading for reading in readings if reading.consistent]
            return
        for reading in behind:
            log = whole.get(reading.before.partition, NOTHING)
            reading.published, reading.manifest = log.published, log.manifest
            reading.repaired = True

    async def _extents(
        self, session: SessionId, readings: Sequence[_Reading]
    ) -> Mapping[PartitionId, list[FlushedExtent]]:
        """What a session's segments hold at the last epochs of these partitions, beyond what is known."""
        sought = {reading.before.partition: reading.sought for reading in readings}
        hint = max(reading.newest_known for reading in readings)
        return await self._session_extents.read(session, sought, hint)
