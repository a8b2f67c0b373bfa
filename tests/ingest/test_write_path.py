"""The write path with its real parts: WAL on disk, Parquet batch segments, store, view."""

import asyncio
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from infra.records.batch import walk_batches
from infra.records.decode import decode_batch
from infra.records.encode import batch_of
from infra.store.memory import MemoryObjectStore
from infra.view.memory import MemoryView
from infra.wire.handler import RequestContext
from infra.wire.messages import produce as message
from ingest.api.produce import ProduceHandler
from ingest.flush_plan import FlushPolicy, FlushTrigger
from ingest.leaders import Leaders
from ingest.produced import TopicTarget
from ingest.segment_build import segment_builder
from ingest.wal.writer import Wal
from tests.ingest.logs import TOPIC_ID, Guard, partition_id, settings_of, taken_lease

CONTEXT = RequestContext(0, 11, "test", "PLAIN", "127.0.0.1", 1)
SOON = FlushTrigger(flush_bytes=20_000, flush_interval_ms=5)


def request_of(value: bytes) -> message.ProduceRequest:
    data = [
        message.PartitionProduceData(index=index, records=memoryview(batch_of([(b"k", value)] * 3, 1_000)))
        for index in range(2)
    ]
    topic = message.TopicProduceData(name="flights", partition_data=data)
    return message.ProduceRequest(acks=-1, timeout_ms=20_000, topic_data=[topic])


def test_what_is_acknowledged_is_in_the_bucket_and_in_the_view(tmp_path: Path) -> None:
    store, view, guard = MemoryObjectStore(), MemoryView(), Guard()

    async def repair() -> None:
        await view.begin_rebuild("test", 60_000)
        await view.install("test", "incarnation")

    async def write() -> int:
        await repair()
        wal = Wal.open(tmp_path, loop=asyncio.get_running_loop(), file_bytes=1 << 20, budget_bytes=1 << 22)
        leaders = Leaders(
            wal=wal,
            store=store,
            view=view,
            build=segment_builder("cluster"),
            repair=repair,
            on_lost=lambda session, error: None,
            policy=FlushPolicy(object=SOON, wal=SOON, segment_bytes=30_000),
        )
        leaders.begin_session(guard)
        leaders.start()
        settings = settings_of("object", message_timestamp_before_max_ms=str((1 << 63) - 1))
        for partition in range(2):
            leaders.open(taken_lease(partition_id(partition)), settings)
        handler = ProduceHandler(leaders, lambda _: TopicTarget(TOPIC_ID, 2, settings))
        try:
            async with asyncio.timeout(30):
                answers = await asyncio.gather(
                    *(handler.handle(CONTEXT, request_of(str(i).encode() * 300)) for i in range(40))
                )
                offsets = [
                    [one.base_offset for one in answer.responses[0].partition_responses if not one.error_code]
                    for answer in answers
                    if answer is not None
                ]
                assert offsets == [[3 * i, 3 * i] for i in range(40)]
                for partition in range(2):
                    await leaders.release(partition_id(partition))
                assert wal.bytes_used == 0
        finally:
            await leaders.stop()
            wal.close()
        return len([info async for info in store.list("batches/")])

    assert asyncio.run(write()) > 1

    async def read_back() -> None:
        for partition in range(2):
            published = await view.partition(partition_id(partition))
            assert published.end_offset == 120
            values = []
            for extent in published.extents:
                body = await store.get(extent.segment)
                for batch in batches_in(body, extent.base_offset, extent.last_offset, partition):
                    values.extend(record.value for record in decode_batch(batch))
            assert values == [str(i).encode() * 300 for i in range(40) for _ in range(3)]

    def batches_in(body: bytes, base: int, last: int, partition: int) -> list[memoryview]:
        table = pq.read_table(pa.BufferReader(body)).to_pylist()
        rows = [row for row in table if row["partition"] == partition and base <= row["base_offset"] <= last]
        return [batch for row in rows for _, batch in walk_batches(memoryview(row["records"]))]

    asyncio.run(read_back())
