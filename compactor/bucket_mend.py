"""Puts right what a check of a bucket found and can be put right: what nothing refers to goes, half done deletes end.

Keeps the rules of garbage collection: only what was dead for the whole grace by the store's own times, record segments
only once no compactor can bring them in any more, a topic's ledger last and its newest record last of all. Nodes may
run meanwhile; what they decide at the same time they decide by the same ledgers.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from compactor.bucket_check import CheckReport, Finding
from compactor.garbage import Ledgers
from compactor.unnamed_segments import UnnamedSegments
from infra.clock import Clock
from infra.cluster.manifest import Manifest, ManifestLedger
from infra.cluster.manifest_record import ManifestRecord
from infra.cluster.topics import TopicLedger
from infra.errors import Exists
from infra.object_key import RecordSegmentKey, TopicKey, parse_key
from infra.partition import PartitionId
from infra.segment.footer import read_extents
from infra.store.port import ObjectStore


class _LedgerAlone:
    """Changes manifests where there is only a bucket: nodes read the ledger."""

    def __init__(self, ledger: ManifestLedger) -> None:
        self._ledger = ledger

    async def read(self, partition: PartitionId) -> Manifest:
        """The newest manifest."""
        return await self._ledger.read(partition)

    async def replace(self, partition: PartitionId, manifest: Manifest, record: ManifestRecord) -> Manifest | None:
        """Make one change; None when another was faster."""
        try:
            return await self._ledger.append(partition, manifest, record)
        except Exists:
            return None


@dataclass(frozen=True, slots=True)
class Mended:
    """What was done."""

    deleted: tuple[str, ...] = ()
    purged: tuple[str, ...] = ()  # names of topics that cannot be undeleted from now on
    waiting: int = 0  # unreferenced objects whose grace is not over


class BucketMend:
    """Mends one bucket."""

    def __init__(
        self, store: ObjectStore, topics: TopicLedger, clock: Clock, *, grace_ms: int, undelete_ms: int
    ) -> None:
        self._store = store
        self._topics = topics
        self._unnamed = UnnamedSegments(store, _LedgerAlone(ManifestLedger(store)), read_extents)
        self._clock = clock
        self._grace_ms = grace_ms
        self._undelete_ms = undelete_ms

    async def run(self, report: CheckReport) -> Mended:
        """Mend what `report` found. Raises `Unavailable`; it may be called again with a new report."""
        now_ms = self._clock.now_ms()
        unreferenced = report.of("unreferenced")
        ripe = [one for one in unreferenced if one.dead_since_ms + self._grace_ms <= now_ms]
        purged = await self._purge(report.ledgers, now_ms)
        await self._give_names_back(report.ledgers)
        segments = defaultdict[PartitionId, list[Finding]](list)
        ledgers = defaultdict[UUID, list[str]](list)
        keys: list[str] = []
        for one in ripe:
            key = parse_key(one.key)
            if isinstance(key, RecordSegmentKey):
                segments[key.partition].append(one)
            elif isinstance(key, TopicKey):
                ledgers[key.topic_id].append(one.key)
            else:
                keys.append(one.key)
        for partition, some in segments.items():
            keys += await self._deletable(partition, some, report.ledgers)
        await self._store.delete(keys)
        for entries in ledgers.values():
            keys += await self._delete_ledger(sorted(entries))
        return Mended(tuple(keys), tuple(purged), len(unreferenced) - len(keys))

    async def _purge(self, ledgers: Ledgers, now_ms: int) -> list[str]:
        purged = []
        for topic_id, state in ledgers.topics.items():
            if state.record is None or not state.purge_due(self._undelete_ms, now_ms):
                continue
            if await self._topics.purge(topic_id, state.version, state.record):
                purged.append(state.record.name)
        return purged

    async def _give_names_back(self, ledgers: Ledgers) -> None:
        for topic_id, state in ledgers.topics.items():
            if state.record is not None and state.record.deleted_ms is not None:
                await self._topics.give_back(state.record.name, topic_id, state.version)

    async def _deletable(self, partition: PartitionId, segments: Iterable[Finding], ledgers: Ledgers) -> list[str]:
        known = ledgers.partitions.get(partition)
        if known is None:
            return [one.key for one in segments]
        made = {key: one.modified_ms for one in segments if isinstance(key := parse_key(one.key), RecordSegmentKey)}
        return await self._unnamed.deletable(partition, made, known)

    async def _delete_ledger(self, entries: Sequence[str]) -> list[str]:
        await self._store.delete(entries[:-1])
        await self._store.delete(entries[-1:])
        return list(entries)
