"""A whole node in this process, asked in the words of the protocol: what its partitions do with transactions.

Every partition counts as being in whatever transaction is asked about: the coordinator's part is tested elsewhere.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pytest

import cauce
from cauce.node import Node
from infra.error_code import ErrorCode
from infra.partition import TopicPartition
from infra.records.decode import decode_batch
from infra.records.encode import encode_batch
from infra.records.record import Record
from infra.settings import load_settings
from infra.wire.client import Client
from infra.wire.messages import create_topics, describe_producers, fetch, list_offsets, produce, write_txn_markers
from ingest.coordinator.transaction_check import CoordinatorCheck
from reader.replay.hot import committed, joined

TOPIC = "transfers"


@pytest.fixture(autouse=True)
def _all_in_transactions(monkeypatch: pytest.MonkeyPatch) -> None:
    async def verify(
        self: CoordinatorCheck, name: str, producer: int, epoch: int, partitions: Sequence[TopicPartition]
    ) -> Mapping[TopicPartition, ErrorCode]:
        return dict.fromkeys(partitions, ErrorCode.NONE)

    monkeypatch.setattr(CoordinatorCheck, "verify", verify)


class Asker:
    """Requests about one partition."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def create(self) -> None:
        topic = create_topics.CreatableTopic(name=TOPIC, num_partitions=1, replication_factor=-1)
        response = await self._client.call(None, create_topics.CreateTopicsRequest(topics=[topic]))
        assert response.topics[0].error_code == 0

    async def produce(self, producer: int, sequence: int, values: Sequence[bytes], transactional: bool = True) -> int:
        """Its base offset, or minus the error code."""
        now = 1_700_000_000_000
        batch = encode_batch(
            [Record(at, now, b"k", value) for at, value in enumerate(values)],
            producer_id=producer,
            producer_epoch=0,
            base_sequence=sequence,
            transactional=transactional,
        )
        data = produce.PartitionProduceData(index=0, records=memoryview(batch))
        topic = produce.TopicProduceData(name=TOPIC, partition_data=[data])
        request = produce.ProduceRequest(
            transactional_id="mine" if transactional else None, acks=-1, timeout_ms=20_000, topic_data=[topic]
        )
        [answer] = (await self._client.to_leader(TOPIC, 0, request, version=11)).responses[0].partition_responses
        return -answer.error_code or answer.base_offset

    async def end(self, producer: int, commit: bool, epoch: int = 0, coordinator: int = 0) -> int:
        """The error code."""
        topic = write_txn_markers.WritableTxnMarkerTopic(name=TOPIC, partition_indexes=[0])
        marker = write_txn_markers.WritableTxnMarker(
            producer_id=producer,
            producer_epoch=epoch,
            transaction_result=commit,
            topics=[topic],
            coordinator_epoch=coordinator,
        )
        request = write_txn_markers.WriteTxnMarkersRequest(markers=[marker])
        [written] = (await self._client.to_leader(TOPIC, 0, request)).markers
        return int(written.topics[0].partitions[0].error_code)

    async def values(self, offset: int = 0) -> tuple[list[bytes], int]:
        """All committed values, and the last stable offset."""
        found: list[bytes] = []
        while True:
            wanted = fetch.FetchPartition(partition=0, fetch_offset=offset, partition_max_bytes=300)
            request = fetch.FetchRequest(
                max_wait_ms=0,
                min_bytes=1,
                isolation_level=1,
                session_epoch=-1,
                topics=[fetch.FetchTopic(topic=TOPIC, partitions=[wanted])],
            )
            [data] = (await self._client.to_leader(TOPIC, 0, request, version=12)).responses[0].partitions
            assert data.error_code == 0
            if offset >= data.last_stable_offset:
                assert not data.records
                return found, data.last_stable_offset
            some = committed(joined(data.records), data.aborted_transactions or (), offset)
            for batch in some.batches:
                found += [bytes(one.value or b"") for one in decode_batch(batch) if one.offset >= offset]
            offset = some.next_offset

    async def latest(self, isolation: int) -> int:
        wanted = list_offsets.ListOffsetsPartition(partition_index=0, timestamp=-1)
        topic = list_offsets.ListOffsetsTopic(name=TOPIC, partitions=[wanted])
        request = list_offsets.ListOffsetsRequest(isolation_level=isolation, topics=[topic])
        return int((await self._client.to_leader(TOPIC, 0, request)).topics[0].partitions[0].offset)

    async def producers(self) -> dict[int, tuple[int, int, int, int]]:
        """Producer id → epoch, last sequence, coordinator epoch, where its transaction began."""
        topic = describe_producers.TopicRequest(name=TOPIC, partition_indexes=[0, 1])
        response = await self._client.to_leader(TOPIC, 0, describe_producers.DescribeProducersRequest(topics=[topic]))
        first, second = response.topics[0].partitions
        assert second.error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        return {
            one.producer_id: (
                one.producer_epoch,
                one.last_sequence,
                one.coordinator_epoch,
                one.current_txn_start_offset,
            )
            for one in first.active_producers
        }


def with_node(folder: Path, body: Callable[[Asker, Node], Awaitable[None]], **settings: str) -> None:
    """Run a node on a folder, and ask it."""
    flags = {
        "cauce.data": str(folder),
        "listeners": "PLAINTEXT://127.0.0.1:0",
        "cauce.http": "",
        **{name.replace("_", "."): value for name, value in settings.items()},
    }

    async def main() -> None:
        node = Node(load_settings(flags, environment={}))
        await node.start()
        try:
            async with Client(next(iter(node.endpoints.values()))) as client:
                await body(Asker(client), node)
        finally:
            await node.stop()

    asyncio.run(main())


@pytest.mark.parametrize("durability", ["wal", "object"])
def test_transactions_survive_a_restart(durability: str, tmp_path: Path) -> None:
    settings = {"cauce_durability": durability, "cauce_flush_interval_ms": "20"}

    async def first(node: Asker, _: Node) -> None:
        await node.create()
        assert await node.produce(1, 0, [b"a", b"b"]) == 0
        assert await node.produce(2, 0, [b"gone"]) == 2
        assert await node.produce(1, 2, [b"c"]) == 3
        assert await node.produce(2, 1, [b"gone too"], transactional=False) == -ErrorCode.INVALID_TXN_STATE
        assert await node.end(2, False, coordinator=5) == 0  # 4
        assert await node.values() == ([], 0)
        assert await node.end(1, True) == 0  # 5
        assert await node.values() == ([b"a", b"b", b"c"], 6)
        assert await node.produce(2, 1, [b"open"]) == 6
        assert [await node.latest(0), await node.latest(1)] == [7, 6]
        assert await node.producers() == {1: (0, 2, 0, -1), 2: (0, 1, 5, 6)}

    async def second(node: Asker, _: Node) -> None:
        assert await node.values() == ([b"a", b"b", b"c"], 6)
        assert await node.producers() == {1: (0, 2, 0, -1), 2: (0, 1, 5, 6)}
        assert await node.produce(2, 1, [b"open"]) == 6, "it was appended before the restart"
        assert await node.end(2, True, coordinator=4) == ErrorCode.TRANSACTION_COORDINATOR_FENCED
        assert await node.end(2, True, coordinator=6) == 0
        assert await node.values(5) == ([b"open"], 8)
        assert await node.end(1, False, epoch=3) == 0
        assert await node.produce(1, 3, [b"late"]) == -ErrorCode.INVALID_PRODUCER_EPOCH

    with_node(tmp_path, first, **settings)
    with_node(tmp_path, second, **settings)


def test_a_replay_gives_what_was_committed(tmp_path: Path) -> None:
    async def body(asker: Asker, node: Node) -> None:
        await asker.create()
        await asker.produce(1, 0, [b"a", b"b"])
        await asker.produce(2, 0, [b"gone"])
        await asker.end(1, True)
        await asker.end(2, False)
        await asker.produce(1, 2, [b"c"])
        await asker.end(1, True)
        await asker.produce(2, 1, [b"open"])
        bootstrap = next(iter(node.endpoints.values()))
        rows: pa.Table = await asyncio.to_thread(lambda: cauce.replay(TOPIC, bootstrap=bootstrap).read_all())
        assert rows["value"].to_pylist() == [b"a", b"b", b"c"]

    with_node(tmp_path, body)
