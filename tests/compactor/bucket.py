"""A partition in a bucket and a view, written to as a leader does: real batches in real batch segments."""

import asyncio
import io
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec

import pyarrow as pa
import pyarrow.parquet as pq

from compactor.compaction import Compaction
from compactor.footers import Footers
from compactor.meter import Meter
from compactor.partition import PartitionWork
from compactor.process import empty_folder
from compactor.replace import Replacer
from compactor.segment_output import Bench
from infra.cluster.manifest import ManifestLedger
from infra.cluster.manifest_record import RecordSegment
from infra.object_key import BatchSegmentKey
from infra.partition import PartitionId, SessionId
from infra.records.batch import stamp
from infra.records.encode import encode_batch
from infra.records.record import Record
from infra.segment.batch_segment import SegmentPart, build_batch_segment
from infra.segment.extent import ProducerEntry
from infra.topic_config import topic_settings
from infra.view.memory import MemoryView
from tests.cluster.world import World
from tests.compactor.parts import PARTITION, TOPIC

_Arguments = ParamSpec("_Arguments")

SESSION = SessionId(1, 0)
_CLUSTER = "cluster-1"


def in_loop(test: Callable[_Arguments, Coroutine[Any, Any, None]]) -> Callable[_Arguments, None]:
    """Run a test in an event loop of its own."""

    @wraps(test)
    def run(*arguments: _Arguments.args, **names: _Arguments.kwargs) -> None:
        asyncio.run(test(*arguments, **names))

    return run


class Written:
    """One cluster's bucket and view, and the records of each partition as they were produced."""

    def __init__(self, world: World, view: MemoryView) -> None:
        self.world = world
        self.store = world.store
        self.view = view
        self.ledger = ManifestLedger(world.store)
        self.records: dict[PartitionId, list[Record]] = {}
        self.ends: dict[PartitionId, int] = {}
        self._sequence = 0

    async def flush(self, *parts: SegmentPart) -> str:
        """PUT and publish one batch segment; its key."""
        key = BatchSegmentKey(SESSION, self._sequence).key
        self._sequence += 1
        built = build_batch_segment(key, _CLUSTER, SESSION, parts)
        await self.store.create(key, built.body)
        await self.view.publish(SESSION, key, built.flushed)
        return key

    async def write(self, *counts: int, size: int = 50, codec: int = 0, partition: PartitionId = PARTITION) -> str:
        """One flush of batches of so many records."""
        return await self.flush(self.part(counts, size=size, codec=codec, partition=partition))

    def part(
        self,
        counts: Sequence[int],
        *,
        size: int = 50,
        codec: int = 0,
        partition: PartitionId = PARTITION,
        producers: tuple[ProducerEntry, ...] = (),
    ) -> SegmentPart:
        """The next batches of a partition, of so many records each."""
        batches = []
        for count in counts:
            records = self._next(partition, count, size)
            batches.append(self._stamped(encode_batch(records, codec=codec), records[0].offset))
        return SegmentPart(partition, 0, batches, producers)

    def raw(self, batch: bytearray, records: int, partition: PartitionId = PARTITION) -> SegmentPart:
        """A batch of the test's own making, which takes the next `records` offsets."""
        base = self.ends.get(partition, 0)
        self.ends[partition] = base + records
        return SegmentPart(partition, 0, [self._stamped(batch, base)])

    async def at(self, partition: PartitionId = PARTITION, **configs: str) -> PartitionWork:
        """A look at a partition."""
        topic = replace(TOPIC, topic_id=partition.topic_id, configs=configs)
        manifest, published = await asyncio.gather(self.ledger.read(partition), self.view.partition(partition))
        return PartitionWork(partition, topic, topic_settings(configs, {}, "object"), manifest, published)

    async def rows(self, segment: RecordSegment) -> pa.Table:
        """A record segment as any engine reads it."""
        return pq.read_table(io.BytesIO(await self.store.get(segment.key)))

    async def all_rows(self, partition: PartitionId = PARTITION) -> pa.Table:
        """Of all record segments that the ledger names."""
        manifest = await self.ledger.read(partition)
        return pa.concat_tables([await self.rows(segment) for segment in manifest.segments])

    def _next(self, partition: PartitionId, count: int, size: int) -> list[Record]:
        begin = self.ends.get(partition, 0)
        made = [
            Record(at, 1000 + at, b"k%d" % (at % 7), b"v%d" % at * (size // 4), ((b"h", b"%d" % at),) if at % 3 else ())
            for at in range(begin, begin + count)
        ]
        self.records.setdefault(partition, []).extend(made)
        self.ends[partition] = begin + count
        return made

    @staticmethod
    def _stamped(batch: bytearray, base_offset: int) -> bytearray:
        stamp(memoryview(batch), base_offset, 0)
        return batch


@asynccontextmanager
async def written() -> AsyncIterator[Written]:
    """A cluster with an installed view."""
    world = await World().start()
    view = MemoryView(world.server)
    await view.use("first")
    yield Written(world, view)


@asynccontextmanager
async def compaction_of(cluster: Written, folder: Path) -> AsyncIterator[tuple[Compaction, Replacer, Meter]]:
    """A compactor's parts over it."""
    empty_folder(folder)
    with ThreadPoolExecutor(1) as threads:
        replacer, meter = Replacer(cluster.ledger, cluster.view), Meter()
        bench = Bench(cluster.store, folder, cluster.world.clock, threads, asyncio.Semaphore(2))
        footers = Footers(cluster.store, 1 << 20)
        yield Compaction(bench, replacer, footers, meter, _CLUSTER, producer_expiration_ms=86_400_000), replacer, meter


def files(folder: Path) -> list[str]:
    """What lies in a folder."""
    return [path.name for path in folder.iterdir()]


def expected(records: Sequence[Record], partition: PartitionId = PARTITION) -> list[dict[str, object]]:
    """Records as rows of a record segment."""
    return [
        {
            "partition": partition.partition,
            "offset": one.offset,
            "timestamp": one.timestamp,
            "key": one.key,
            "value": one.value,
            "headers": [{"key": key, "value": value} for key, value in one.headers],
        }
        for one in records
    ]


def plain(rows: pa.Table) -> list[dict[str, object]]:
    """Rows with their timestamps as numbers."""
    at = rows.schema.get_field_index("timestamp")
    return rows.set_column(at, "timestamp", rows["timestamp"].cast(pa.int64())).to_pylist()
