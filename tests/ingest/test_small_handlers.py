"""InitProducerId and DeleteRecords."""

import asyncio
from functools import partial

import pytest

from infra.error_code import ErrorCode
from infra.errors import Unavailable
from infra.topic_config import topic_settings
from infra.wire.handler import RequestContext
from infra.wire.messages import delete_records, init_producer_id
from ingest.api.delete_records import DeleteRecordsHandler
from ingest.api.init_producer_id import InitProducerIdHandler, NoTransactionalIds
from ingest.partition_log import PartitionLog
from ingest.produced import TopicTarget
from tests.ingest.batches import make_batch
from tests.ingest.logs import TOPIC_ID
from tests.ingest.node import WriteSide, run

CONTEXT = RequestContext(22, 5, "test", "PLAIN", "127.0.0.1", 1)


class CountingIds:
    def __init__(self) -> None:
        self.given = 0
        self.down = False

    async def next(self) -> int:
        if self.down:
            raise Unavailable("no bucket")
        self.given += 1
        return 999 + self.given


def init(ids: CountingIds, **fields: object) -> tuple[int, int, int]:
    request = init_producer_id.InitProducerIdRequest(**fields)  # type: ignore[arg-type]
    answer = asyncio.run(InitProducerIdHandler(ids, NoTransactionalIds()).handle(CONTEXT, request))
    return answer.error_code, answer.producer_id, answer.producer_epoch


def test_each_idempotent_producer_gets_an_id_of_its_own() -> None:
    ids = CountingIds()
    assert init(ids, transactional_id=None) == (0, 1000, 0)
    assert init(ids, transactional_id=None, producer_id=1000, producer_epoch=3) == (0, 1001, 0)


def test_what_init_producer_id_refuses() -> None:
    ids = CountingIds()
    refused = (ErrorCode.INVALID_REQUEST, -1, -1)
    assert init(ids, transactional_id="mine") == (ErrorCode.NOT_COORDINATOR, -1, -1)
    assert init(ids, transactional_id="mine", producer_id=5) == refused
    assert init(ids, transactional_id=None, producer_id=5) == refused
    assert init(ids, transactional_id=None, producer_epoch=5) == refused
    ids.down = True
    assert init(ids, transactional_id=None) == (ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, -1, -1)


def find_topic(name: str) -> TopicTarget | None:
    policies = {"flights": "delete", "keyed": "compact", "__consumer_offsets": "delete"}
    if name not in policies:
        return None
    return TopicTarget(TOPIC_ID, 4, topic_settings({"cleanup.policy": policies[name]}, {}, "object"))


def test_delete_records() -> None:
    async def body(side: WriteSide) -> None:
        log = side.open()
        assert await side.append(make_batch(10))[1] is None
        raised: list[tuple[int, int]] = []
        woken: list[int] = []
        log.on_advance(lambda: woken.append(log.log_start_offset))

        async def raise_log_start(log: PartitionLog, offset: int) -> None:
            assert log.log_start_offset < offset
            raised.append((log.partition.partition, offset))
            log.raise_log_start(offset)

        async def delete(offset: int, topic: str = "flights", partition: int = 0) -> tuple[int, int]:
            wanted = delete_records.DeleteRecordsPartition(partition_index=partition, offset=offset)
            request = delete_records.DeleteRecordsRequest(
                topics=[delete_records.DeleteRecordsTopic(name=topic, partitions=[wanted])], timeout_ms=10_000
            )
            handler = DeleteRecordsHandler(side.leaders, find_topic, raise_log_start)
            response = await handler.handle(CONTEXT, request)
            (result,) = response.topics[0].partitions
            return result.error_code, result.low_watermark

        assert await delete(4) == (0, 4)
        assert await delete(2) == (0, 4)
        assert await delete(11) == (ErrorCode.OFFSET_OUT_OF_RANGE, -1)
        assert await delete(-2) == (ErrorCode.OFFSET_OUT_OF_RANGE, -1)
        assert await delete(-1) == (0, 10)
        assert raised == [(0, 4), (0, 10)]
        assert woken == [4, 10]
        assert list(log.extents_from(0)) == []
        assert await delete(0, "nowhere") == (ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, -1)
        assert await delete(0, partition=4) == (ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, -1)
        assert await delete(0, partition=1) == (ErrorCode.NOT_LEADER_OR_FOLLOWER, -1)
        assert await delete(0, "keyed") == (ErrorCode.POLICY_VIOLATION, -1)
        assert await delete(0, "__consumer_offsets") == (ErrorCode.INVALID_TOPIC_EXCEPTION, -1)
        side.guard.lapsed = True
        assert await delete(0) == (ErrorCode.NOT_LEADER_OR_FOLLOWER, -1)

    run(body)


@pytest.mark.parametrize("failure", ["slow", "down"])
def test_a_log_start_that_is_not_durable_does_not_move(failure: str) -> None:
    async def body(side: WriteSide) -> None:
        log = side.open()
        await side.append(make_batch(10))[1]

        async def raise_log_start(log: PartitionLog, offset: int) -> None:
            if failure == "down":
                raise Unavailable("no bucket")
            await asyncio.Event().wait()

        wanted = delete_records.DeleteRecordsPartition(partition_index=0, offset=5)
        request = delete_records.DeleteRecordsRequest(
            topics=[delete_records.DeleteRecordsTopic(name="flights", partitions=[wanted])], timeout_ms=5
        )
        handle = partial(DeleteRecordsHandler(side.leaders, find_topic, raise_log_start).handle, CONTEXT)
        response = await handle(request)
        assert response.topics[0].partitions[0].error_code == ErrorCode.REQUEST_TIMED_OUT
        assert log.log_start_offset == 0

    run(body)
