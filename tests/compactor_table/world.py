"""A topic in a bucket, its compactor's tables, and its Iceberg table as others read it."""

import asyncio
import io
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table import Table

from compactor.compaction import Compaction
from compactor.footers import Footers
from compactor.meter import Meter
from compactor.partition import PartitionWork
from compactor.plans import CompactExtents, CompactionPlan, MergeSegments
from compactor.process import empty_folder
from compactor.replace import Replacer
from compactor.segment_output import Bench, SegmentOutput
from compactor.table_step import TableLimits, Tables
from infra.clock import Clock
from infra.cluster.manifest import Manifest
from infra.cluster.manifest_record import ManifestRecord
from infra.cluster.state import ClusterState, Topic
from infra.cluster.topics import TopicLedger
from infra.partition import PartitionId
from infra.segment.record_footer import SegmentFacts
from infra.store.counted import CountedStore
from infra.store.location import bucket_location
from infra.store.open import open_store
from infra.topic_config import TopicSettings, topic_settings
from infra.view.memory import MemoryView
from tests.cluster.world import World
from tests.compactor.bucket import Written

HOUR_MS = 3_600_000
ICEBERG = {"cauce.table": "iceberg"}


class LaterClock(Clock):
    """The real clock, moved on by whole hours at a test's word: Iceberg's own times are real."""

    def __init__(self) -> None:
        self.later_ms = 0

    def now_ms(self) -> int:
        return super().now_ms() + self.later_ms

    def monotonic(self) -> float:
        return super().monotonic() + self.later_ms / 1000


class Kept:
    """A cluster whose topics have tables."""

    def __init__(self, url: str, folder: Path, world: World, view: MemoryView, store: CountedStore) -> None:
        self.url = url
        self.folder = folder
        self.world = world
        self.clock = LaterClock()
        self.view = view
        self.store = store
        self.written = Written(world, view)
        self.state = ClusterState(view, self.clock, "cluster")
        self.ledger = TopicLedger(store, view, self.clock)
        self.replacer = Replacer(self.written.ledger, view)
        self.meter = Meter()
        self.catalog: Mapping[str, str] = {}
        self.requests: list[str] = []
        self.threads = ThreadPoolExecutor(1)
        empty_folder(folder / "compactor")
        bench = Bench(store, folder / "compactor", self.clock, self.threads, asyncio.Semaphore(2))
        self.compaction = Compaction(
            bench, self.replacer, Footers(store, 1 << 20), self.meter, "cluster", producer_expiration_ms=HOUR_MS
        )
        self.tables = self.compactor()

    def compactor(self, owner: str = "1.a") -> Tables:
        """The tables of a compactor that has just started."""
        return Tables(
            store=self.store,
            location=bucket_location(self.url),
            catalog=self.catalog,
            folder=self.folder / "tables",
            limits=TableLimits(0.0, HOUR_MS, HOUR_MS),
            state=self.state,
            settings_of=self.settings_of,
            topics=self.ledger,
            replacer=self.replacer,
            view=self.view,
            owner=owner,
            clock=self.clock,
            meter=self.meter,
        )

    async def restart(self) -> None:
        """Another compactor process."""
        await self.tables.close()
        self.tables = self.compactor()

    def settings_of(self, topic: Topic) -> TopicSettings:
        return topic_settings(topic.configs, {}, "object")

    async def create(self, name: str = "orders", partitions: int = 2, **configs: str) -> Topic:
        given = {key.replace("__", "."): value for key, value in configs.items()}
        topic = await self.ledger.create(name, partitions, ICEBERG | given)
        await self.state.refresh()
        return topic

    async def write(self, topic: Topic, *counts: int, partition: int = 0) -> None:
        """Batches of so many records, in one flush, compacted."""
        at = PartitionId(topic.topic_id, partition)
        await self.written.write(*counts, partition=at)
        work = await self.look(topic, partition)
        floor = work.manifest.floor
        extents = tuple(one for one in work.published.extents if one.last_offset >= floor)
        await self.run(CompactExtents(floor, extents[-1].last_offset, extents, 1 << 30), work)

    async def merge(self, topic: Topic, partition: int = 0) -> None:
        work = await self.look(topic, partition)
        await self.run(MergeSegments(work.manifest.segments), work)

    async def run(self, plan: CompactionPlan, work: PartitionWork) -> None:
        assert await self.compaction.run(plan, work) is not None

    async def raise_log_start(self, topic: Topic, offset: int, partition: int = 0) -> None:
        """As retention does: segments wholly below go out of the manifest."""
        at = PartitionId(topic.topic_id, partition)
        manifest = await self.replacer.read(at)
        gone = tuple(one.key for one in manifest.segments if one.last_offset < offset)
        assert await self.replacer.replace(at, manifest, ManifestRecord(offset, removed=gone)) is not None

    async def replace(self, topic: Topic, rows: pa.Table, partition: int = 0) -> None:
        """As cleaning does: the first segment gives way to one with these rows."""
        at = PartitionId(topic.topic_id, partition)
        manifest = await self.replacer.read(at)
        old = manifest.segments[0]
        facts = SegmentFacts("cluster", topic.name, at)
        bench = self.compaction._bench
        output = SegmentOutput(
            bench, facts, base_offset=old.base_offset, value_format=old.value_format, microseconds=True
        )
        output.write(rows, ())
        await output.cut(old.last_offset)
        record = ManifestRecord(manifest.log_start_offset, added=await output.finish(), removed=(old.key,))
        assert await self.replacer.replace(at, manifest, record) is not None

    async def look(self, topic: Topic, partition: int = 0) -> PartitionWork:
        at = PartitionId(topic.topic_id, partition)
        manifest, published = await asyncio.gather(self.replacer.read(at), self.view.partition(at))
        return PartitionWork(at, topic, self.settings_of(topic), manifest, published)

    async def follow(self, topic: Topic) -> None:
        """Let the worker look at every partition."""
        await self.state.refresh()
        for partition in range(topic.partitions):
            await self.tables.run(await self.look(topic, partition))
            await self.tables.settle()

    async def manifest(self, topic: Topic, partition: int = 0) -> Manifest:
        return await self.written.ledger.read(PartitionId(topic.topic_id, partition))

    async def rows(self, topic: Topic) -> list[dict[str, object]]:
        """What the record segments in the topic's manifests hold, read without Iceberg."""
        found = []
        for partition in range(topic.partitions):
            manifest = await self.manifest(topic, partition)
            for segment in manifest.segments:
                if segment.last_offset >= manifest.log_start_offset:
                    found += plain(pq.read_table(io.BytesIO(await self.store.get(segment.key))))
        return found

    def table(self, name: str = "orders") -> Table:
        """As somebody else loads it: by the catalog's file, and with the library's own way to the bucket."""
        return self.reader().load_table(("cauce", name))

    def reader(self) -> SqlCatalog:
        return SqlCatalog("cauce", uri=f"sqlite:///{self.folder / 'tables' / 'catalog.sqlite'}", **self.access())

    def access(self) -> dict[str, str]:
        query = parse_qs(urlsplit(self.url).query)
        if "endpoint" not in query:
            return {}
        return {
            "s3.endpoint": query["endpoint"][0],
            "s3.region": query["region"][0],
            "s3.access-key-id": "test-key",
            "s3.secret-access-key": "test-secret",
        }

    async def keys(self, prefix: str = "") -> list[str]:
        return [info.key async for info in self.store.list(prefix)]


@asynccontextmanager
async def kept(url: str, folder: Path) -> AsyncIterator[Kept]:
    """A cluster in a bucket."""
    requests: list[str] = []
    store = CountedStore(open_store(url), lambda kind, outcome, seconds, size: requests.append(kind))
    world = World()
    world.store = store  # type: ignore[assignment]
    await world.start()
    view = MemoryView(world.server)
    await view.use("first")
    cluster = Kept(url, folder, world, view, store)
    cluster.requests = requests
    try:
        yield cluster
    finally:
        await cluster.tables.close()
        cluster.threads.shutdown()
        await store.close()


def rows_of(table: Table) -> list[dict[str, object]]:
    """What a scan of the table gives, by partition and offset."""
    return plain(table.scan().to_arrow())


def plain(rows: pa.Table) -> list[dict[str, object]]:
    """Rows by partition and offset, with timestamps as milliseconds."""
    rows = rows.sort_by([("partition", "ascending"), ("offset", "ascending")])
    at = rows.schema.get_field_index("timestamp")
    milliseconds = rows["timestamp"].cast(pa.timestamp("ms", "UTC")).cast(pa.int64())
    return rows.set_column(at, "timestamp", milliseconds).to_pylist()
