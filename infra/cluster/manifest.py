"""A partition's manifest: the fold of its ledger, the truth about record segments and the log start offset.

A plan made on version n can only become version n + 1: `ManifestLedger.append` raises `Exists` when another was faster.
Every 64th record is written whole, so that a fold reads few of them.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from uuid import UUID

from infra.cluster.manifest_record import ManifestRecord, RecordSegment
from infra.errors import Corrupt, Exists
from infra.object_key import ManifestKey, manifest_ledger, manifests_of_topic, parse_key
from infra.partition import PartitionId
from infra.segment.extent import ProducerEntry
from infra.store.ledger import Ledger, LedgerEntry
from infra.store.port import ObjectStore

WHOLE_EVERY = 64


@dataclass(frozen=True, slots=True)
class Manifest:
    """What exists of a partition besides extents. Version -1: its ledger is empty."""

    version: int = -1
    log_start_offset: int = 0
    segments: tuple[RecordSegment, ...] = ()  # ascending, disjoint
    producers: tuple[ProducerEntry, ...] = ()  # as of producers_upto
    producers_upto: int = 0  # exclusive
    cleaned_upto: int = 0  # exclusive: the cleaner has cleaned everything below

    @property
    def records_end(self) -> int:
        """One past the last record segment; extents below it count no more."""
        return self.segments[-1].last_offset + 1 if self.segments else 0

    @property
    def floor(self) -> int:
        """The first offset that extents answer for: the greater of log start offset and end of the record segments."""
        return max(self.log_start_offset, self.records_end)

    def apply(self, record: ManifestRecord) -> "Manifest":
        """The manifest after the next record. Raises `Corrupt` for record segments that overlap."""
        base = Manifest() if record.whole else self
        gone = set(record.removed)
        kept = [segment for segment in base.segments if segment.key not in gone]
        segments = tuple(sorted((*kept, *record.added), key=lambda segment: segment.base_offset))
        for before, after in pairwise(segments):
            if after.base_offset <= before.last_offset:
                raise Corrupt(f"manifest record {self.version + 1}: {before.key} and {after.key} overlap")
        return Manifest(
            self.version + 1,
            max(base.log_start_offset, record.log_start_offset),
            segments,
            base.producers if record.producers is None else record.producers,
            base.producers_upto if record.producers is None else record.producers_upto,
            base.cleaned_upto if record.cleaned_upto is None else record.cleaned_upto,
        )

    def as_whole(self) -> ManifestRecord:
        """A record that says all of it."""
        return ManifestRecord(
            self.log_start_offset,
            added=self.segments,
            producers=self.producers,
            producers_upto=self.producers_upto,
            whole=True,
            cleaned_upto=self.cleaned_upto or None,
        )


def first_to_read(last_version: int) -> int:
    """The version from which on a fold up to `last_version` is complete."""
    return last_version - last_version % WHOLE_EVERY


def fold(entries: Iterable[LedgerEntry], base: Manifest = Manifest(), *, where: str) -> Manifest:
    """Apply ledger entries, ascending. The first follows `base`, or one is whole: those before it say nothing then."""
    records = [(entry.number, ManifestRecord.decode(entry.body, f"{where}/{entry.number}")) for entry in entries]
    begin = max((at for at, (_, record) in enumerate(records) if record.whole), default=0)
    for number, record in records[begin:]:
        if not record.whole and number != base.version + 1:
            raise Corrupt(f"{where}: record {base.version + 1} is missing before {number}")
        base = replace(base, version=number - 1).apply(record)
    return base


class ManifestLedger:
    """Reads and extends the manifests of partitions. Keeps nothing."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    async def read(self, partition: PartitionId, known: Manifest | None = None) -> Manifest:
        """The newest manifest; `known`, an older one, spares what it was folded from."""
        prefix = manifest_ledger(partition)
        ledger = Ledger(self._store, prefix)
        if known is not None and known.version >= 0:
            return fold(await ledger.read(after=known.version), known, where=prefix)
        numbers = await ledger.numbers()
        return await self.read_upto(partition, numbers[-1]) if numbers else Manifest()

    async def read_upto(self, partition: PartitionId, last_version: int, known: Manifest = Manifest()) -> Manifest:
        """The manifest at a version that is known to exist: GETs only, no LIST; `known` as for `read`."""
        if known.version >= last_version:
            return known
        prefix = manifest_ledger(partition)
        ledger = Ledger(self._store, prefix)
        numbers = range(max(first_to_read(last_version), known.version + 1), last_version + 1)
        return fold(await asyncio.gather(*(ledger.get(number) for number in numbers)), known, where=prefix)

    async def has_segments(self, topic_id: UUID) -> bool:
        """Whether any partition of a topic has record segments: one LIST, then manifests until one of them has."""
        newest: dict[PartitionId, int] = {}
        async for found in self._store.list(manifests_of_topic(topic_id)):
            key = parse_key(found.key)
            if isinstance(key, ManifestKey):
                newest[key.partition] = max(key.version, newest.get(key.partition, 0))
        for partition, version in newest.items():
            if (await self.read_upto(partition, version)).segments:
                return True
        return False

    async def append(self, partition: PartitionId, manifest: Manifest, record: ManifestRecord) -> Manifest:
        """Make one change; answers the manifest after it. Raises `Exists` when `manifest` is not the newest."""
        after = manifest.apply(record)
        body = (after.as_whole() if after.version % WHOLE_EVERY == 0 else record).encode()
        await Ledger(self._store, manifest_ledger(partition)).append(after.version, body)
        return after

    async def raise_log_start(self, partition: PartitionId, offset: int, known: Manifest | None = None) -> Manifest:
        """Raise the log start offset to `offset` at least; nothing is appended when it is there already."""
        manifest = await self.read(partition, known)
        while manifest.log_start_offset < offset:
            try:
                manifest = await self.append(partition, manifest, ManifestRecord(offset))
            except Exists:
                manifest = await self.read(partition, manifest)
        return manifest
