"""A compacted partition of record segments in a memory bucket, its cleaner, and consumers that read meanwhile."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from compactor.cleaning_pass import CleaningTools
from compactor.cleaning_step import Cleaning, CleaningLimits
from compactor.current_settings import CurrentSettings
from compactor.meter import Meter
from compactor.partition import PartitionWork
from compactor.replace import Replacer
from compactor.segment_output import Bench
from infra.cluster.manifest import Manifest, ManifestLedger
from infra.cluster.manifest_record import ManifestRecord, RecordSegment
from infra.cluster.state import Topic
from infra.cluster.topics import TopicLedger
from infra.object_key import RecordSegmentKey, new_ulid
from infra.partition import PartitionId
from infra.records.columns import RECORDS
from infra.segment.record_footer import SegmentFacts, read_record_footer
from infra.segment.record_rows import read_rows
from infra.segment.record_segment import RecordSegmentWriter
from infra.topic_config import topic_settings
from tests.cluster.world import CountingStore, FakeClock, World

BACKOFF_MS = 15_000


class Row(NamedTuple):
    """A record."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


Pair = tuple[str | None, str | None]


class Log:
    """One partition and one cleaner. `written` has all that was ever in it."""

    clock: FakeClock
    store: CountingStore
    topic: Topic

    def __init__(self, folder: Path, threads: ThreadPoolExecutor) -> None:
        self.folder = folder
        self.threads = threads
        self.written: list[Row] = []
        self.end = 0

    async def start(self, map_bytes: int = 1 << 20, **configs: str) -> "Log":
        world = await World().start()
        self.clock, self.store, self.view = world.clock, world.store, await world.view()
        self.topics = TopicLedger(self.store, self.view, self.clock)
        named = {name.replace("_", "."): text for name, text in configs.items()}
        defaults = {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0"}
        self.topic = await self.topics.create("t", 1, defaults | named)
        self.partition = PartitionId(self.topic.topic_id, 0)
        self.ledger = ManifestLedger(self.store)
        self.replacer = Replacer(self.ledger, self.view)
        self.meter = Meter()
        self.restart(map_bytes)
        return self

    def restart(self, map_bytes: int = 1 << 20) -> None:
        """A compactor that remembers nothing."""
        bench = Bench(self.store, self.folder, self.clock, self.threads, asyncio.Semaphore(1))
        tools = CleaningTools(bench, self.replacer, self.meter, "c")
        self.cleaning = Cleaning(
            tools, CurrentSettings(self.store, "object"), CleaningLimits(True, BACKOFF_MS, map_bytes)
        )

    async def append(
        self,
        pairs: Sequence[Pair],
        *,
        timestamp: int | None = None,
        row_group_bytes: int = 1 << 20,
        unreadable: Sequence[bytes] = (),
        value_format: str = "bytes",
    ) -> RecordSegment:
        """A new segment of records, as compaction would bring it in; numbers of bytes, as text, make big values."""
        stamp = self.clock.now_ms() if timestamp is None else timestamp
        rows = [
            Row(self.end + at, stamp, None if key is None else key.encode(), None if value is None else value.encode())
            for at, (key, value) in enumerate(pairs)
        ]
        base, last = self.end, self.end + max(len(rows), 1) - 1
        path = self.folder / "appended.parquet"
        facts = SegmentFacts("c", "t", self.partition)
        writer = RecordSegmentWriter(path, facts, row_group_bytes=row_group_bytes, value_format=value_format)
        writer.write(table_of(rows))
        if unreadable:
            writer.keep_unreadable(unreadable)
        key = RecordSegmentKey(self.partition, base, last, new_ulid(self.clock)).key
        segment = writer.close(key, base, last)
        await self.store.create(key, path.read_bytes())
        manifest = await self.manifest()
        record = ManifestRecord(manifest.log_start_offset, added=(segment,))
        assert await self.replacer.replace(self.partition, manifest, record) is not None
        self.written += rows
        self.end = last + 1
        return segment

    async def alter(self, **configs: str) -> None:
        """Configs that the cleaner's picture does not know yet."""
        named = {name.replace("_", "."): text for name, text in configs.items()}
        await self.topics.alter_configs(self.topic.topic_id, lambda known: {**known, **named})

    async def follow(self) -> None:
        """The picture catches up."""
        found = await self.topics.read(self.topic.topic_id)
        assert found is not None
        self.topic = replace(self.topic, version=found[0], configs=found[1].configs)

    async def manifest(self) -> Manifest:
        return await self.replacer.read(self.partition)

    async def work(self) -> PartitionWork:
        settings = topic_settings(self.topic.configs, {}, "object")
        published = await self.view.partition(self.partition)
        return PartitionWork(self.partition, self.topic, settings, await self.manifest(), published)

    async def run(self) -> Manifest | None:
        """One turn, once it is due."""
        self.clock.seconds += BACKOFF_MS / 1000
        return await self.cleaning.run(await self.work())

    async def clean(self) -> int:
        """Turns until nothing is done any more; how many did something."""
        turns = 0
        while await self.run() is not None:
            turns += 1
            assert turns < 1000
        return turns

    async def rows(self) -> list[Row]:
        """All that is left."""
        manifest = await self.manifest()
        return [row for segment in manifest.segments for row in await read(self.store, segment)]

    async def pairs(self) -> list[tuple[int, str | None, str | None]]:
        """All that is left, without timestamps, as text."""
        return [(row.offset, text(row.key), text(row.value)) for row in await self.rows()]


class Consumer:
    """Reads from the first offset on, a few records at a time; its manifest is as old as it likes."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._manifest = Manifest()
        self.began = log.clock.seconds
        self.position = 0
        self.seen: list[Row] = []

    async def poll(self, most: int, *, refresh: bool) -> None:
        """The next records."""
        if refresh or self.position > self._manifest.records_end - 1:
            self._manifest = await self._log.manifest()
        for segment in self._manifest.segments:
            if segment.last_offset < self.position:
                continue
            rows = [row for row in await read(self._log.store, segment) if row.offset >= self.position][:most]
            if rows:
                self.seen += rows
                self.position = rows[-1].offset + 1
                return
            self.position = segment.last_offset + 1

    async def finish(self) -> None:
        """To the end of the log."""
        while self.position < self._log.end:
            await self.poll(1000, refresh=True)

    def state(self) -> dict[bytes, bytes]:
        """What it made of the records: the table that the topic stands for."""
        return table_state(self.seen)


def table_state(rows: Sequence[Row]) -> dict[bytes, bytes]:
    """Newest value of each key, in which a tombstone deletes."""
    state: dict[bytes, bytes] = {}
    for row in rows:
        if row.key is None:
            continue
        if row.value is None:
            state.pop(row.key, None)
        else:
            state[row.key] = row.value
    return state


def table_of(rows: Sequence[Row]) -> pa.Table:
    """As RECORDS."""
    columns = {
        "offset": [row.offset for row in rows],
        "timestamp": pa.array([row.timestamp for row in rows], pa.int64()).cast(RECORDS.field("timestamp").type),
        "key": [row.key for row in rows],
        "value": [row.value for row in rows],
        "headers": [[] for _ in rows],
    }
    return pa.table(columns, schema=RECORDS)


async def read(store: CountingStore, segment: RecordSegment) -> list[Row]:
    """All rows of one segment."""
    footer = await read_record_footer(store, segment.key)
    rows: list[Row] = []
    for number, group in enumerate(footer.row_groups):
        table = read_rows(footer, number, group, await store.get_range(segment.key, group.position, group.size))
        columns = (table["offset"], table["timestamp"].cast(pa.int64()), table["key"], table["value"])
        rows += [Row(*fields) for fields in zip(*(column.to_pylist() for column in columns), strict=True)]
    assert len(rows) == segment.records
    return rows


def text(value: bytes | None) -> str | None:
    return None if value is None else value.decode()
