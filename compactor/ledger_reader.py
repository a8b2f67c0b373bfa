"""Reads the ledgers that garbage is judged by: epochs, manifests and, last of all, topics.

Whoever judges lists objects first and reads the ledgers after that. So nothing that was listed is younger than what it
is judged by: a topic's first record is made before its first epoch record, that before the first flush, and both before
any record segment. Read the other way round, what was created between the two would look like the rest of something
that is gone. Topics are read after epochs and manifests, whose listings also tell of topics.

What was read is remembered (folds without row groups), so that a later reading asks for new records only. An older
reading is safe for a verdict of death on extents, never on record segments.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar
from uuid import UUID

from compactor.garbage import Ledgers, PartitionLedgers, TopicState
from infra.all_of import all_of
from infra.cluster.lease_objects import read_epoch
from infra.cluster.manifest import Manifest, first_to_read, fold
from infra.cluster.records import TopicRecord
from infra.cluster.topics import TopicLedger
from infra.errors import BadStart, Corrupt, NotFound
from infra.object_key import (
    EPOCHS,
    MANIFESTS,
    TOPICS,
    EpochKey,
    ManifestKey,
    TopicKey,
    epoch_ledger,
    ledger_key,
    ledger_number,
    manifest_ledger,
    parse_key,
    topic_ledger,
)
from infra.partition import PartitionId
from infra.ports import EpochStart
from infra.store.ledger import Ledger
from infra.store.port import ObjectInfo, ObjectStore

_REQUESTS_AT_ONCE = 32
_PAGE = 1000  # what one LIST answers at the most

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Damage:
    """An object that is not what it should be; whatever depends on it is kept."""

    key: str
    problem: str


@dataclass(frozen=True, slots=True)
class _Newest:
    number: int
    modified_ms: int


@dataclass(slots=True)
class _Partition:
    epoch: int = -1
    epochs: tuple[EpochStart, ...] = ()
    manifest: Manifest = Manifest()  # noqa: RUF009  frozen; its segments have no row groups here: never write it back


class LedgerReader:
    """Remembers ledgers from one reading to the next."""

    def __init__(self, store: ObjectStore, topics: TopicLedger) -> None:
        self._store = store
        self._topic_ledger = topics
        self._gate = asyncio.Semaphore(_REQUESTS_AT_ONCE)
        self._numbers: dict[str, dict[str, int]] = {EPOCHS: {}, MANIFESTS: {}, TOPICS: {}}
        self._topics: dict[UUID, TopicState] = {}
        self._partitions: dict[PartitionId, _Partition] = {}
        self.damaged: list[Damage] = []  # found by the last reading
        self.removed: set[str] = set()  # record segments that the records read by the last reading took out
        self.seen: set[UUID] = set()  # topics that have epochs or manifests, whether or not they have a ledger

    async def read(self, partitions: Collection[PartitionId] | None, topics: Collection[UUID] = ()) -> Ledgers:
        """What the ledgers say now of these partitions (None: all that have any), and of all topics.

        `topics`: further topics of which objects were listed. Raises `Unavailable`.
        """
        self.damaged, self.removed = [], set()
        epochs = _by_partition(await self._newest(EPOCHS))
        manifests = _by_partition(await self._newest(MANIFESTS))
        await self._read_topics(await self._newest(TOPICS))
        self.seen = {partition.topic_id for partition in (*epochs, *manifests)}
        wanted = epochs.keys() | manifests.keys() if partitions is None else partitions
        unknown = self.seen.union(topics, (partition.topic_id for partition in wanted))
        named = await self._named(unknown - self._topics.keys())
        ledgers = Ledgers(self._topics, named, {})
        for partition in [one for one in self._partitions if ledgers.is_gone(one.topic_id)]:
            del self._partitions[partition]
        alive = sorted(one for one in set(wanted) if not ledgers.is_gone(one.topic_id))
        read = await all_of(self._partition(one, epochs.get(one), manifests.get(one)) for one in alive)
        known = {one: facts for one, facts in zip(alive, read, strict=True) if facts is not None}
        return replace(ledgers, partitions=known)

    # listings

    async def _newest(self, prefix: str) -> dict[str, ObjectInfo]:
        """Each ledger's newest entry. Behind a page of entries that were seen before goes on with another LIST."""
        before, newest, start_after = self._numbers[prefix], dict[str, ObjectInfo](), ""
        leaping = True
        while leaping:
            leaping = False
            async for info in self._store.list(prefix, start_after=start_after):
                if not _is_ours(info.key):
                    continue
                ledger = info.key.rpartition("/")[0]
                first, known = ledger not in newest, before.get(ledger, 0)
                newest[ledger] = info
                if first and ledger_number(ledger, info.key) + _PAGE <= known:
                    leaping, start_after = True, ledger_key(ledger, known - 1)
                    break
        self._numbers[prefix] = {ledger: ledger_number(ledger, info.key) for ledger, info in newest.items()}
        return newest

    # topics

    async def _read_topics(self, newest: Mapping[str, ObjectInfo]) -> None:
        async def read(topic_id: UUID, entry: _Newest) -> TopicState:
            known = self._topics.get(topic_id)
            if known is not None and known.version == entry.number and known.record is not None:
                return known
            key = TopicKey(topic_id, entry.number).key
            got = await self._whole(key, Ledger(self._store, topic_ledger(topic_id)).get, entry.number)
            record = None if got is None else self._decoded(key, got.body)
            return TopicState(entry.number, record, entry.modified_ms)

        entries = {key.topic_id: _entry(info) for info in newest.values() if isinstance(key := _key(info), TopicKey)}
        states = await all_of(read(topic_id, entry) for topic_id, entry in entries.items())
        self._topics = dict(zip(entries, states, strict=True))

    def _decoded(self, key: str, body: bytes) -> TopicRecord | None:
        try:
            return TopicRecord.decode(body, key)
        except (Corrupt, BadStart) as error:
            self.damaged.append(Damage(key, error.message))
            return None

    async def _named(self, unknown: Collection[UUID]) -> frozenset[UUID]:
        if not unknown:
            return frozenset()
        named = frozenset(await self._topic_ledger.holders() & set(unknown))
        for topic_id in sorted(named):
            self.damaged.append(Damage(topic_ledger(topic_id), "the ledger of a topic that still has a name is gone"))
        return named

    # partitions

    async def _partition(
        self, partition: PartitionId, epoch: _Newest | None, manifest: _Newest | None
    ) -> PartitionLedgers | None:
        known = self._partitions.setdefault(partition, _Partition())
        if (manifest.number if manifest else -1) < known.manifest.version:
            self.damaged.append(Damage(manifest_ledger(partition), "its newest records are gone"))
            return None
        if epoch is not None and epoch.number != known.epoch:
            record = await self._whole(epoch_ledger(partition), read_epoch, self._store, partition, epoch.number)
            if record is None:
                return None
            known.epoch, known.epochs = epoch.number, record.chain(epoch.number)
        if manifest is not None and manifest.number != known.manifest.version:
            prefix = manifest_ledger(partition)
            newest = await self._whole(prefix, self._fold, partition, known.manifest, manifest.number)
            if newest is None:
                return None
            known.manifest = newest
        fold_ = known.manifest
        return PartitionLedgers(
            known.epochs,
            fold_.version,
            fold_.floor,
            fold_.producers_upto,
            {segment.key: segment.size for segment in fold_.segments},
            -1 if manifest is None else manifest.modified_ms,
            -1 if epoch is None else epoch.modified_ms,
        )

    async def _fold(self, partition: PartitionId, known: Manifest, last: int) -> Manifest:
        prefix = manifest_ledger(partition)
        ledger = Ledger(self._store, prefix)
        first = known.version + 1 if known.version >= 0 else first_to_read(last)
        manifest = known
        for number in range(first, last + 1):
            before = {segment.key for segment in manifest.segments}
            manifest = fold([await ledger.get(number)], manifest, where=prefix)
            slim = tuple(replace(segment, row_groups=()) for segment in manifest.segments)
            manifest = replace(manifest, segments=slim, producers=())
            self.removed |= before - {segment.key for segment in slim}
        return manifest

    async def _whole(self, what: str, request: Callable[..., Awaitable[Answer]], *of: Any) -> Answer | None:
        """The answer, or None, and a note, when an object is damaged or missing."""
        try:
            async with self._gate:
                return await request(*of)
        except (Corrupt, BadStart, NotFound) as error:
            self.damaged.append(Damage(what, error.message))
            return None


def _by_partition(newest: Mapping[str, ObjectInfo]) -> dict[PartitionId, _Newest]:
    entries: dict[PartitionId, _Newest] = {}
    for info in newest.values():
        key = _key(info)
        if isinstance(key, EpochKey | ManifestKey):
            entries[key.partition] = _entry(info)
    return entries


def _entry(info: ObjectInfo) -> _Newest:
    return _Newest(int(info.key.rpartition("/")[2]), info.modified_ms)


def _is_ours(key: str) -> bool:
    try:
        parse_key(key)
    except Corrupt:
        return False
    return True


def _key(info: ObjectInfo) -> object:
    return parse_key(info.key)
