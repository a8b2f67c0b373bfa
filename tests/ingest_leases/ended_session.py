"""A session and what it left in a bucket: flushes by the product's own builder, without a node around them.

What a view would hold is kept beside it, and copies of that may be kept to be older than the bucket.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from infra.cluster.lease_objects import create_fence
from infra.cluster.manifest import Manifest, ManifestLedger
from infra.cluster.manifest_record import ManifestRecord, RecordSegment
from infra.cluster.records import EpochRecord
from infra.object_key import FIRST_RETURNED, BatchSegmentKey, EpochKey
from infra.partition import PartitionId, SessionId
from infra.ports import EpochStart
from infra.records.batch import stamp
from infra.segment.batch_segment import SegmentPart, build_batch_segment
from infra.segment.extent import FlushedExtent, ProducerEntry
from infra.segment.footer import read_extents
from infra.segment.holders import Holders, carries_holders
from infra.store.memory import MemoryObjectStore
from infra.view.port import PublishedPartition
from ingest.claims import Claim, Predecessor
from ingest.last_holders import LastHolders
from ingest.log_end import AdoptedLog, LogEnds
from ingest.requests import Requests
from tests.ingest.batches import make_batch

SESSION, OTHER, CLAIMANT = SessionId(1, 0), SessionId(2, 0), SessionId(3, 0)
TOPIC = UUID(int=7)
NOTHING_PUBLISHED = PublishedPartition(0, (), ())


class CountingStore(MemoryObjectStore):
    """Counts the footers that are read."""

    def __init__(self) -> None:
        super().__init__()
        self.footers: list[str] = []

    async def get_range(self, key: str, position: int, length: int) -> bytes:
        self.footers.append(key)
        return await super().get_range(key, position, length)


class OldView:
    """All that is asked of a view here."""

    def __init__(self, published: Mapping[PartitionId, PublishedPartition]) -> None:
        self._published = published

    async def partition(self, partition: PartitionId) -> PublishedPartition:
        return self._published.get(partition, NOTHING_PUBLISHED)


class EveryFooter(LogEnds):
    """Reads all that the session left: what the quick way must agree with."""

    async def _extents(self, session, readings):  # type: ignore[no-untyped-def]
        epochs = {reading.before.partition: reading.before.leader_epoch for reading in readings}
        found: dict[PartitionId, list[FlushedExtent]] = {}
        async for info in self._store.list(f"batches/{session.node_id:010d}/{session.node_epoch:010d}/"):
            for one in await read_extents(self._store, info.key):
                if epochs.get(one.extent.partition) == one.extent.leader_epoch:
                    found.setdefault(one.extent.partition, []).append(one)
        return found


@dataclass(slots=True)
class Led:
    """A partition, as it really is."""

    partition: PartitionId
    epoch: int = 0
    epochs: tuple[EpochStart, ...] = (EpochStart(0, 0),)
    end: int = 0  # of what was given out
    led: bool = True
    released: bool = False
    manifest: Manifest = field(default_factory=Manifest)


@dataclass(slots=True)
class _Flight:
    key: str
    body: bytes
    flushed: tuple[FlushedExtent, ...]


class EndedSession:
    """Make it, `begin`, and let it do what sessions do."""

    def __init__(self, partitions: int, *, most_holders: int = 1_000) -> None:
        self.store = CountingStore()
        self.led = [Led(PartitionId(TOPIC, number)) for number in range(partitions)]
        self.view: dict[PartitionId, PublishedPartition] = {}
        self.telling = True  # whether its segments tell of holders
        self._holders = LastHolders(0, most_holders)
        self._sequence = 0
        self._others = 0
        self._flights: list[_Flight] = []

    async def begin(self) -> None:
        for one in self.led:
            await self._lead(one, SESSION)

    async def flush(self, numbers: Iterable[int], *, in_the_air: int = 0) -> None:
        """One segment with a batch of each partition led; all but so many of the last are there and published."""
        taken = [self.led[number] for number in sorted(set(numbers)) if self.led[number].led]
        if taken:
            key = BatchSegmentKey(SESSION, self._sequence).key
            told = self._holders.holders() if carries_holders(self._sequence) and self.telling else None
            parts = [self._part(one) for one in taken]
            self._holders.note(self._sequence, [(one.partition, one.epoch, one.end - 1) for one in taken])
            self._sequence += 1
            self._flights.append(self._build(key, SESSION, parts, told))
        while len(self._flights) > in_the_air:
            flight = self._flights.pop(0)
            await self.store.create(flight.key, flight.body)
            self._publish(flight)

    async def release(self, number: int) -> None:
        """Everything of it is published first."""
        await self.flush(())
        self.led[number].led, self.led[number].released = False, True

    async def lead_again(self, number: int, batches_of_another: int) -> None:
        """Another session led meanwhile, and gave it back."""
        one = self.led[number]
        if one.led:
            return
        await self._next_epoch(one, OTHER)
        for _ in range(batches_of_another):
            key = BatchSegmentKey(OTHER, self._others).key
            self._others += 1
            flight = self._build(key, OTHER, [self._part(one)])
            await self.store.create(key, flight.body)
            self._publish(flight)
        await self._next_epoch(one, SESSION)
        one.led, one.released = True, False

    async def compact(self, number: int, extents: int) -> None:
        """The first extents become a record segment; the view forgets them."""
        one = self.led[number]
        known = self.view.get(one.partition, NOTHING_PUBLISHED)
        gone = known.extents[:extents]
        if gone:
            upto = gone[-1].last_offset + 1
            segment = RecordSegment(f"r{upto}", gone[0].base_offset, upto - 1, 1, 1, 0, ())
            record = ManifestRecord(0, added=(segment,), producers=_producers(one.partition, upto), producers_upto=upto)
            one.manifest = await ManifestLedger(self.store).append(one.partition, one.manifest, record)
            self.view[one.partition] = replace(known, extents=known.extents[extents:])

    async def collect_garbage(self) -> None:
        """Every segment goes that only holds what was compacted, of whoever wrote it."""
        floors = {one.partition: one.manifest.producers_upto for one in self.led}
        for key in [key for key in self.store._keys if key.startswith("batches/")]:
            held = await read_extents(self.store, key)
            if all(one.extent.last_offset < floors[one.extent.partition] for one in held):
                await self.store.delete([key])

    async def die(self, landed: Sequence[bool], published: int) -> None:
        """Of the flushes in the air these land, and so many at the most of the first that did are published."""
        in_order = True
        for number, flight in enumerate(self._flights):
            if number < len(landed) and landed[number]:
                await self.store.create(flight.key, flight.body)
                if in_order and number < published:
                    self._publish(flight)
            else:
                in_order = False
        if any(one.led for one in self.led):
            await create_fence(self.store, SESSION, CLAIMANT)

    async def return_wal(self, number: int) -> None:
        """A batch that a WAL returned at the last epoch, and no epoch record after it."""
        one = self.led[number]
        one.end = (await self.adopt(EveryFooter, self.view))[one.partition].log.end_offset
        key = BatchSegmentKey(SESSION, FIRST_RETURNED + number).key
        await self.store.create(key, self._build(key, SESSION, [self._part(one)]).body)

    async def adopt(
        self, kind: type[LogEnds], view: Mapping[PartitionId, PublishedPartition], only: int | None = None
    ) -> dict[PartitionId, AdoptedLog]:
        """What a claimant of everything, or of one partition, begins with."""
        befores = [
            Predecessor(Claim(one.partition, "t", "object", False), one.epoch, _record(one, SESSION), one.released)
            for number, one in enumerate(self.led)
            if only in (None, number)
        ]
        return await kind(self.store, OldView(view), Requests(8)).read(befores)  # type: ignore[arg-type]

    def _part(self, one: Led) -> SegmentPart:
        batch = make_batch(2, payload=b"%d" % one.end)
        stamp(batch, one.end, one.epoch)
        one.end += 2
        return SegmentPart(one.partition, one.epoch, [batch], _producers(one.partition, one.end))

    def _build(
        self, key: str, session: SessionId, parts: Sequence[SegmentPart], holders: Holders | None = None
    ) -> _Flight:
        built = build_batch_segment(key, "cluster", session, parts, holders=holders)
        return _Flight(key, bytes(built.body), built.flushed)

    def _publish(self, flight: _Flight) -> None:
        for one in flight.flushed:
            known = self.view.get(one.extent.partition, NOTHING_PUBLISHED)
            self.view[one.extent.partition] = PublishedPartition(
                one.extent.last_offset + 1, (*known.extents, one.extent), one.producers
            )

    async def _next_epoch(self, one: Led, session: SessionId) -> None:
        one.epoch += 1
        earlier = tuple(before for before in one.epochs if before.start_offset < one.end)
        one.epochs = (*earlier, EpochStart(one.epoch, one.end))
        await self._lead(one, session)

    async def _lead(self, one: Led, session: SessionId) -> None:
        await self.store.create(EpochKey(one.partition, one.epoch).key, _record(one, session).encode())


def _record(one: Led, session: SessionId) -> EpochRecord:
    return EpochRecord(session, one.epochs[-1].start_offset, "object", False, None, one.epochs[:-1])


def _producers(partition: PartitionId, end: int) -> tuple[ProducerEntry, ...]:
    return (ProducerEntry(partition.partition, 0, ((end - 2, end - 1, end - 2, end),)),)
