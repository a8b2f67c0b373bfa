"""A topic in a bucket: record segments brought in by its manifest ledger, and above them a leader that is a list."""

import asyncio
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa

from infra.clock import SYSTEM_CLOCK
from infra.cluster.manifest import Manifest, ManifestLedger
from infra.cluster.manifest_record import ManifestRecord, RecordSegment
from infra.errors import NotFound
from infra.object_key import RecordSegmentKey, new_ulid
from infra.partition import PartitionId
from infra.records.columns import RECORDS
from infra.records.encode import encode_batch
from infra.records.record import Record
from infra.segment.record_footer import SegmentFacts
from infra.segment.record_segment import RecordSegmentWriter
from infra.store.memory import MemoryObjectStore
from infra.store.port import ObjectStore
from reader.replay.bucket import Bucket
from reader.replay.hot import Fetched
from reader.replay.plan import Span
from reader.replay.selection import Selection
from reader.replay.stream import Delivered, ReplayStream

TOPIC_ID = UUID(int=0x7E)
EVERYTHING = Selection()


def record(offset: int, **fields: Any) -> Record:
    """A record that can be told from every other; fields as given."""
    value = b'{"n": %d}' % offset
    made = Record(offset, 1_700_000_000_000 + offset, b"k%06d" % offset, value, ((b"h", b"%d" % offset),))
    return made._replace(**fields)


def table_of(records: Sequence[Record]) -> pa.Table:
    """Records as a RECORDS table."""
    rows = [
        {
            "offset": one.offset,
            "timestamp": one.timestamp,
            "key": one.key,
            "value": one.value,
            "headers": [{"key": name, "value": value} for name, value in one.headers],
        }
        for one in records
    ]
    return pa.Table.from_pylist(rows, RECORDS)


def records_in(batches: Sequence[pa.RecordBatch]) -> list[tuple[int, Record]]:
    """(partition, record) of batches with all columns."""
    found = []
    for batch in batches:
        times = batch["timestamp"].cast(pa.int64()).to_pylist()
        for row, time in zip(batch.to_pylist(), times, strict=True):
            headers = tuple((one["key"], one["value"]) for one in row["headers"])
            found.append((row["partition"], Record(row["offset"], time, row["key"], row["value"], headers)))
    return found


class ListedLeader:
    """A `HotSource` over records that a test appends, a batch each few."""

    def __init__(self) -> None:
        self.batches: dict[int, list[tuple[int, bytes]]] = {}  # partition → (next offset, batch)
        self.starts: dict[int, int] = {}
        self.fetches: list[tuple[int, int]] = []

    def append(self, partition: int, records: Sequence[Record], **options: Any) -> None:
        batch = bytes(encode_batch(records, **options))
        self.batches.setdefault(partition, []).append((records[-1].offset + 1, batch))

    async def fetch(self, partition: int, offset: int) -> Fetched:
        self.fetches.append((partition, offset))
        await asyncio.sleep(0)
        if offset < self.starts.get(partition, 0):
            raise NotFound(f"offset {offset}")
        found = [(end, batch) for end, batch in self.batches[partition] if end > offset][:2]
        return Fetched([batch for _, batch in found], found[-1][0])


@dataclass
class World:
    """One topic."""

    store: ObjectStore = field(default_factory=MemoryObjectStore)
    leader: ListedLeader = field(default_factory=ListedLeader)
    row_group_bytes: int = 60  # compressed: some records a group

    def partition(self, number: int) -> PartitionId:
        return PartitionId(TOPIC_ID, number)

    async def segment(self, number: int, records: Sequence[Record], base: int, last: int) -> RecordSegment:
        """Write a record segment and PUT it; no manifest names it yet. At odd offsets, as if there were a table."""
        partition = self.partition(number)
        key = RecordSegmentKey(partition, base, last, new_ulid(SYSTEM_CLOCK)).key
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "segment"
            facts = SegmentFacts("cluster", "topic", partition)
            microseconds = base % 2 == 1
            writer = RecordSegmentWriter(path, facts, row_group_bytes=self.row_group_bytes, microseconds=microseconds)
            if records:
                writer.write(table_of(records))
            segment = writer.close(key, base, last)
            await self.store.create(key, path.read_bytes())
        return segment

    async def change(self, number: int, record: ManifestRecord) -> Manifest:
        """Append to the manifest ledger."""
        ledger = ManifestLedger(self.store)
        return await ledger.append(self.partition(number), await ledger.read(self.partition(number)), record)

    async def compacted(self, number: int, records: Sequence[Record], base: int, last: int) -> RecordSegment:
        """A record segment that the manifest names."""
        segment = await self.segment(number, records, base, last)
        await self.change(number, ManifestRecord(0, added=(segment,)))
        return segment

    def stream(self, spans: dict[int, Span], selection: Selection = EVERYTHING, **options: Any) -> ReplayStream:
        return ReplayStream(TOPIC_ID, spans, Bucket(self.store), self.leader, selection, **options)

    async def read(self, spans: dict[int, Span], selection: Selection = EVERYTHING, **options: Any) -> list[Delivered]:
        """All that a stream delivers."""
        return [one async for one in self.stream(spans, selection, **options).batches()]


def run(work: Any) -> Any:
    """Run a coroutine to its end."""
    return asyncio.run(work)
