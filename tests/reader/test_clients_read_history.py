"""A real client reads record segments of a real node: cleaned stretches, also at the end of the log, do not stop it."""

import asyncio
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from cauce.testing import CauceProcess
from infra.clock import SYSTEM_CLOCK
from infra.cluster.manifest import ManifestLedger
from infra.cluster.manifest_record import ManifestRecord, RecordSegment
from infra.object_key import RecordSegmentKey, new_ulid
from infra.partition import PartitionId
from infra.records.decode_columns import decode_columns
from infra.segment.footer import read_extents
from infra.segment.record_footer import SegmentFacts
from infra.segment.record_segment import RecordSegmentWriter
from infra.store.open import open_store

TOPIC = "history"
COUNT = 3000
DEADLINE_SECONDS = 60.0
GAPS = ((0, 10), (400, 1200), (1500, 2000), (2500, COUNT))  # what cleaning took: over a border, and at the end
ENDS = (1000, 1500, 2000, COUNT)  # of the record segments; in the third one no record is left


def value_of(offset: int) -> bytes:
    return b"%d " % offset * 20


def kept(offset: int) -> bool:
    return not any(begin <= offset < end for begin, end in GAPS)


def produce(bootstrap: str) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for_ever = {"retention.ms": "-1"}  # the records are of times long past
    [created] = admin.create_topics([NewTopic(TOPIC, 1, 1, config=for_ever)]).values()
    created.result(DEADLINE_SECONDS)
    producer = Producer({"bootstrap.servers": bootstrap, "batch.num.messages": 100})
    for offset in range(COUNT):
        producer.produce(TOPIC, value_of(offset), b"k%d" % offset, 0, timestamp=1_000 + offset, headers={"h": b"v"})
    assert producer.flush(DEADLINE_SECONDS) == 0


def write(folder: Path, partition: PartitionId, rows: pa.Table) -> Iterator[tuple[RecordSegment, bytes]]:
    base = 0
    for end in ENDS:
        path = folder / f"{base}.parquet"
        writer = RecordSegmentWriter(path, SegmentFacts("cluster", TOPIC, partition), row_group_bytes=2000)
        writer.write(rows.filter((pc.field("offset") >= base) & (pc.field("offset") < end)))
        key = RecordSegmentKey(partition, base, end - 1, new_ulid(SYSTEM_CLOCK)).key
        yield writer.close(key, base, end - 1), path.read_bytes()
        base = end


async def clean(bucket: Path, batches: list[Path], folder: Path) -> None:
    """Compact and clean all that a stopped node has flushed: `batches`."""
    store = open_store(bucket.as_uri())
    [(flushed, *_), *_] = [await read_extents(store, str(path.relative_to(bucket))) for path in batches]
    tables = [pq.read_table(path).to_pylist() for path in batches]
    raw = sorted((row["base_offset"], row["records"]) for table in tables for row in table)
    rows = decode_columns([batch for _, batch in raw])
    mask = pa.array([kept(offset) for offset in rows["offset"].to_pylist()])
    segments = []
    for segment, body in write(folder, flushed.extent.partition, rows.filter(mask)):
        await store.create(segment.key, body)
        segments.append(segment)
    ledger = ManifestLedger(store)
    manifest = await ledger.read(flushed.extent.partition)
    await ledger.append(flushed.extent.partition, manifest, ManifestRecord(0, added=tuple(segments)))
    await store.close()


def consume(bootstrap: str, offset: int) -> tuple[list[tuple[int, bytes, bytes, int, list[tuple[str, bytes]]]], int]:
    """(offset, key, value, timestamp, headers) of all records from `offset` on, and where the log ends."""
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "none", "enable.partition.eof": True, "check.crcs": True}
    )
    consumer.assign([TopicPartition(TOPIC, 0, offset)])
    found = []
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        message = consumer.poll(0.5)
        if message is None:
            continue
        error = message.error()
        if error is None:
            found.append(
                (message.offset(), message.key(), message.value(), message.timestamp()[1], message.headers() or [])
            )
        elif error.code() == KafkaError._PARTITION_EOF:
            consumer.close()
            return found, message.offset()
    raise AssertionError(f"the end was not reached, {len(found)} records were")


def test_librdkafka_moves_over_cleaned_stretches_and_reaches_the_end() -> None:
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        node = CauceProcess(data)
        with node:
            produce(node.bootstrap)
        bucket = data / "bucket"
        asyncio.run(clean(bucket, sorted(bucket.rglob("batches/**/*.parquet")), Path(folder)))
        with node:
            for offset in (0, 450, 2700):
                found, end = consume(node.bootstrap, offset)
                assert end == COUNT
                assert found == [
                    (at, b"k%d" % at, value_of(at), 1_000 + at, [("h", b"v")])
                    for at in range(offset, COUNT)
                    if kept(at)
                ]
