"""TxnOffsetCommit as it comes over the wire: pending offsets, fenced members, and what older versions know."""

from typing import Any

import pytest

from infra.error_code import ErrorCode
from infra.errors import Unavailable
from infra.wire.codec import decode_whole, encode
from infra.wire.handler import RequestContext
from infra.wire.messages import txn_offset_commit as message
from ingest.api.txn_offset_commit import TxnOffsetCommitHandler
from ingest.coordinator.coordinator import GroupCoordinator
from tests.coordinator.cluster import OFFSETS_ID, Cluster, virtually


def asked(**fields: Any) -> message.TxnOffsetCommitRequest:
    rows = [
        message.TxnOffsetCommitRequestPartition(
            partition_index=number, committed_offset=40 + number, committed_leader_epoch=2, committed_metadata="m"
        )
        for number in (0, 9)
    ]
    topics = [message.TxnOffsetCommitRequestTopic(name="flights", partitions=rows)]
    fields = {"transactional_id": "txn-3", "group_id": "riders", "producer_id": 3, "topics": topics, **fields}
    return message.TxnOffsetCommitRequest(**fields)


async def ask(coordinator: GroupCoordinator, request: message.TxnOffsetCommitRequest, version: int) -> list[int]:
    decoded = decode_whole(message.TxnOffsetCommitRequest, version, encode(request, version))
    context = RequestContext(message.API_KEY, version, "test", "PLAIN", "127.0.0.1", 1)
    response = await TxnOffsetCommitHandler(coordinator).handle(context, decoded)
    read = decode_whole(message.TxnOffsetCommitResponse, version, encode(response, version))
    return [row.error_code for topic in read.topics for row in topic.partitions]


@pytest.mark.parametrize("version", range(5))
def test_offsets_are_pending_in_every_version(version: int) -> None:
    async def body() -> None:
        cluster = Cluster()
        coordinator = await cluster.leading()
        assert await ask(coordinator, asked(), version) == [ErrorCode.NONE, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION]
        assert set(coordinator.pending_offsets("riders")) == {("flights", 0)}
        assert not coordinator.fetch_offsets("riders")
        await cluster.close()

    virtually(body)


def test_who_has_left_the_group_is_fenced() -> None:
    async def body() -> None:
        cluster = Cluster()
        coordinator = await cluster.leading()
        for fields in ({"generation_id": 4, "member_id": "gone"}, {"generation_id": 0, "member_id": "gone"}):
            assert await ask(coordinator, asked(**fields), 3) == 2 * [ErrorCode.ILLEGAL_GENERATION]
        await cluster.close()

    virtually(body)


def test_producers_of_long_ago_are_not_told_that_a_coordinator_loads() -> None:
    async def body() -> None:
        cluster = Cluster()
        cluster.logs.read_error = Unavailable("the store is down")
        coordinator = await cluster.node()
        for partition in cluster.logs.logs:
            assert partition.topic_id == OFFSETS_ID
            cluster.move(partition, coordinator)
        assert await ask(coordinator, asked(), 1) == 2 * [ErrorCode.COORDINATOR_NOT_AVAILABLE]
        assert await ask(coordinator, asked(), 2) == 2 * [ErrorCode.COORDINATOR_LOAD_IN_PROGRESS]
        await cluster.close()

    virtually(body)
