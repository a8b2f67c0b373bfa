"""One partition with a real bucket, view and ledgers, whose leader and compactor the test plays."""

from collections.abc import Sequence
from dataclasses import replace

from compactor.current_settings import CurrentSettings
from compactor.footers import Footers
from compactor.partition import PartitionWork
from compactor.replace import Replacer
from compactor.retention_step import Retention
from infra.cluster.manifest import Manifest, ManifestLedger
from infra.cluster.manifest_record import ManifestRecord, RecordSegment
from infra.cluster.records import EpochRecord
from infra.cluster.state import Topic
from infra.cluster.topics import TopicLedger
from infra.object_key import BatchSegmentKey, EpochKey, RecordSegmentKey
from infra.partition import PartitionId, SessionId
from infra.records.batch import BatchHeader, stamp
from infra.records.encode import encode_batch
from infra.records.record import Record
from infra.segment.batch_segment import SegmentPart, build_batch_segment
from infra.segment.extent import FlushedExtent, ProducerEntry
from infra.segment.footer import read_extents
from infra.topic_config import topic_settings
from infra.view.memory import MemoryView
from infra.view.rebuild import repair_partition
from tests.cluster.world import CountingStore, FakeClock, World

INTERVAL_MS = 300_000
EXPIRATION_MS = 10**15  # longer than these tests
SESSION = SessionId(1, 0)


class Log:
    """A partition, its leader and its compactor."""

    clock: FakeClock
    store: CountingStore
    view: MemoryView
    topic: Topic  # as the view has it
    step: Retention

    async def start(self, **configs: str) -> "Log":
        world = await World().start()
        self.clock, self.store, self.view = world.clock, world.store, await world.view()
        self.topics = TopicLedger(self.store, self.view, self.clock)
        self.topic = await self.topics.create("t", 1, {name.replace("_", "."): text for name, text in configs.items()})
        self.partition = PartitionId(self.topic.topic_id, 0)
        self.ledger = ManifestLedger(self.store)
        self.replacer = Replacer(self.ledger, self.view)
        self.flushed: list[FlushedExtent] = []
        self.end = 0
        epoch = EpochRecord(SESSION, 0, "object", False, None)
        await self.store.create(EpochKey(self.partition, 0).key, epoch.encode())
        self.restart()
        return self

    def restart(self) -> None:
        """A compactor that remembers nothing."""
        current = CurrentSettings(self.store, "object")
        self.step = Retention(
            self.replacer,
            Footers(self.store, 1 << 20),
            current,
            self.clock,
            interval_ms=INTERVAL_MS,
            producer_expiration_ms=EXPIRATION_MS,
        )

    async def flush(self, timestamp: int, size: int = 10, producer_id: int = 1) -> FlushedExtent:
        """Two records in one batch in one batch segment."""
        records = [Record(0, timestamp, b"k", bytes(size)), Record(1, timestamp, b"k", bytes(size))]
        batch = memoryview(encode_batch(records, producer_id=producer_id, producer_epoch=0, base_sequence=self.end))
        stamp(batch, self.end, 0)
        header = BatchHeader.parse(batch)
        producers = (ProducerEntry(producer_id, 0, ((self.end, self.end + 1, self.end, timestamp),), timestamp),)
        key = BatchSegmentKey(SESSION, len(self.flushed)).key
        built = build_batch_segment(key, "c", SESSION, [SegmentPart(self.partition, 0, [batch], producers)])
        await self.store.create(key, built.body)
        await self.view.publish(SESSION, key, built.flushed)
        self.flushed += built.flushed
        self.end = header.next_offset
        return built.flushed[0]

    async def compact(self, size: int, most: int = 3) -> None:
        """Make a record segment of the oldest extents; its object does not matter here."""
        manifest = await self.manifest()
        taken = [one for one in self.flushed if one.extent.last_offset >= manifest.floor][:most]
        if not taken:
            return
        base, last = manifest.floor, taken[-1].extent.last_offset
        key = RecordSegmentKey(self.partition, base, last, "0" * 26).key
        newest = max(one.extent.max_timestamp for one in taken)
        record = ManifestRecord(
            manifest.log_start_offset,
            added=(RecordSegment(key, base, last, last - base + 1, size, newest, ()),),
            producers=producers_of(self.flushed, last + 1),
            producers_upto=last + 1,
        )
        assert await self.replacer.replace(self.partition, manifest, record) is not None

    async def delete_records(self, offset: int) -> None:
        """As the leader does: it knows nothing of retention."""
        await self.ledger.raise_log_start(self.partition, offset)

    async def forget(self) -> None:
        """The view is rebuilt."""
        await repair_partition(self.view, self.store, read_extents, self.partition)

    async def alter(self, **configs: str) -> None:
        """Configs that this compactor's picture does not know yet."""
        named = {name.replace("_", "."): text for name, text in configs.items()}
        await self.topics.alter_configs(self.topic.topic_id, lambda known: {**known, **named})

    async def follow(self) -> None:
        """The picture catches up."""
        version, record = (await self.topics.read(self.topic.topic_id)) or (0, None)
        assert record is not None
        self.topic = replace(self.topic, version=version, configs=record.configs)

    async def manifest(self) -> Manifest:
        return await self.ledger.read(self.partition)

    async def work(self) -> PartitionWork:
        settings = topic_settings(self.topic.configs, {}, "object")
        published = await self.view.partition(self.partition)
        return PartitionWork(self.partition, self.topic, settings, await self.manifest(), published)

    async def run(self) -> Manifest | None:
        """One look."""
        return await self.step.run(await self.work())

    async def look(self) -> Manifest | None:
        """One look, once it is due."""
        self.clock.seconds += INTERVAL_MS / 1000
        return await self.run()


def producers_of(flushed: Sequence[FlushedExtent], upto: int) -> tuple[ProducerEntry, ...]:
    """What their extents below an offset say, by definition."""
    known: dict[int, ProducerEntry] = {}
    for one in flushed:
        if one.extent.last_offset < upto:
            known.update((entry.producer_id, entry) for entry in one.producers)
    return tuple(known[producer_id] for producer_id in sorted(known))
