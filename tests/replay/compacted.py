"""A running node's topic, and record segments of it made by hand, in its folder bucket, as its compactor would."""

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

import cauce
from cauce.testing import CauceProcess
from infra.clock import SYSTEM_CLOCK
from infra.cluster.manifest import ManifestLedger
from infra.cluster.manifest_record import ManifestRecord
from infra.cluster.records import ClusterRecord
from infra.object_key import CLUSTER, RecordSegmentKey, new_ulid
from infra.partition import PartitionId
from infra.records.columns import RECORDS
from infra.segment.record_footer import SegmentFacts
from infra.segment.record_segment import RecordSegmentWriter
from infra.store.folder import FolderStore
from infra.wire.client import Client

START = int(datetime(2026, 1, 31, tzinfo=UTC).timestamp() * 1000)


def produce(bootstrap: str, topic: str, count: int) -> None:
    """Records a second apart, alternating between two partitions."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(topic, 2, config={"retention.ms": "-1"})])[topic].result(30)
    producer = Producer({"bootstrap.servers": bootstrap, "compression.type": "zstd", "batch.size": 8000})
    for number in range(count):
        value = json.dumps({"n": number, "status": "settled" if number % 3 else "open"}).encode()
        producer.produce(
            topic,
            b"\xff\x00" if number % 500 == 0 else value,
            b"account-%d" % (number % 40),
            number % 2,
            timestamp=START + 1000 * number,
            headers=[("trace", b"%d" % number)] if number % 100 == 0 else None,
        )
        producer.poll(0)
    assert producer.flush(30) == 0


def compact(node: CauceProcess, topic: str, partition: int, ends: Sequence[int]) -> None:
    """Bring in record segments that end (exclusively) at these offsets, ascending from the first record on."""
    rows = cauce.replay(topic, bootstrap=node.bootstrap, partitions=[partition]).read_all()
    asyncio.run(_compact(node, topic, partition, ends, rows.select(RECORDS.names)))


async def _compact(node: CauceProcess, topic: str, partition: int, ends: Sequence[int], rows: pa.Table) -> None:
    async with Client(node.bootstrap) as client:
        topic_id = (await client.metadata([topic])).topics[0].topic_id
    store = FolderStore(node.data / "bucket")
    cluster_id = ClusterRecord.decode(await store.get(CLUSTER), CLUSTER).cluster_id
    place = PartitionId(topic_id, partition)
    segments, base = [], 0
    for end in ends:
        key = RecordSegmentKey(place, base, end - 1, new_ulid(SYSTEM_CLOCK)).key
        path = Path(node.data) / "segment.parquet"
        writer = RecordSegmentWriter(path, SegmentFacts(cluster_id, topic, place), row_group_bytes=2000)
        writer.write(rows.filter((pc.field("offset") >= base) & (pc.field("offset") < end)))
        segments.append(writer.close(key, base, end - 1))
        await store.create(key, path.read_bytes())
        path.unlink()
        base = end
    ledger = ManifestLedger(store)
    await ledger.append(place, await ledger.read(place), ManifestRecord(0, added=tuple(segments)))
    await store.close()
