"""Checks of what reads and writes records: Produce, Fetch, and the calls about offsets of partitions."""

from collections.abc import Sequence
from typing import Any

from cauce.access.asking import REFUSED, Answer, Asking
from cauce.access.check import Check
from cauce.access.shapes import each, open_to_all, topic_refusal
from infra.error_code import ErrorCode
from infra.errors import Refused
from infra.records.batch import says_transactional
from infra.security.acl import Operation, ResourceType
from infra.wire.messages import (
    delete_records,
    describe_producers,
    fetch,
    list_offsets,
    offset_for_leader_epoch,
    produce,
)

_TOPIC, _ID = ResourceType.TOPIC, ResourceType.TRANSACTIONAL_ID
_ACKS_NONE = 0


async def _produce(asking: Asking, request: produce.ProduceRequest, answer: Answer) -> Any:
    """With acks=0 a refusal can only close the connection."""
    if _is_transactional(request) and not (
        request.transactional_id is not None and asking.may(Operation.WRITE, _ID, request.transactional_id)
    ):
        if request.acks == _ACKS_NONE:
            raise Refused(REFUSED[_ID])
        return produce.ProduceResponse(responses=[_produced(topic, REFUSED[_ID]) for topic in request.topic_data])
    if request.acks == _ACKS_NONE:
        allowed = [asking.may(Operation.WRITE, _TOPIC, topic.name) for topic in request.topic_data]
        request.topic_data = [topic for topic, yes in zip(request.topic_data, allowed, strict=True) if yes]
        response = await answer(request)
        if not all(allowed):
            raise Refused(REFUSED[_TOPIC])
        return response
    return await _produce_topics(asking, request, answer)


def _is_transactional(request: produce.ProduceRequest) -> bool:
    """Whether a batch in it says so; bytes that are no batch are refused by who looks at them whole."""
    return any(
        partition.records is not None and says_transactional(partition.records)
        for topic in request.topic_data
        for partition in topic.partition_data
    )


def _produced(topic: produce.TopicProduceData, code: ErrorCode) -> produce.TopicProduceResponse:
    return produce.TopicProduceResponse(
        name=topic.name,
        partition_responses=[
            produce.PartitionProduceResponse(index=partition.index, error_code=code, base_offset=-1)
            for partition in topic.partition_data
        ],
    )


_produce_topics = each(Operation.WRITE, _TOPIC, "topic_data", "responses", produce.ProduceResponse, _produced)


_offsets = topic_refusal(list_offsets.ListOffsetsTopicResponse, list_offsets.ListOffsetsPartitionResponse)
_deleted = topic_refusal(
    delete_records.DeleteRecordsTopicResult, delete_records.DeleteRecordsPartitionResult, low_watermark=-1
)


def _epochs(
    topic: offset_for_leader_epoch.OffsetForLeaderTopic, code: ErrorCode
) -> offset_for_leader_epoch.OffsetForLeaderTopicResult:
    return offset_for_leader_epoch.OffsetForLeaderTopicResult(
        topic=topic.topic,
        partitions=[
            offset_for_leader_epoch.EpochEndOffset(partition=partition.partition, error_code=code)
            for partition in topic.partitions
        ],
    )


def _producers(topic: describe_producers.TopicRequest, code: ErrorCode) -> describe_producers.TopicResponse:
    return describe_producers.TopicResponse(
        name=topic.name,
        partitions=[
            describe_producers.PartitionResponse(partition_index=number, error_code=code)
            for number in topic.partition_indexes
        ],
    )


CHECKS: Sequence[Check] = (
    Check(produce, "WRITE on each topic; WRITE on the transactional id of transactional records", _produce),
    Check(
        fetch,
        "READ on each topic; CLUSTER_ACTION for nodes that follow",
        open_to_all,  # a fetch session names its topics once, so the handler asks `Access.may_fetch` each time
    ),
    Check(
        list_offsets,
        "DESCRIBE on each topic",
        each(Operation.DESCRIBE, _TOPIC, "topics", "topics", list_offsets.ListOffsetsResponse, _offsets),
    ),
    Check(
        offset_for_leader_epoch,
        "DESCRIBE on each topic",
        each(
            Operation.DESCRIBE,
            _TOPIC,
            "topics",
            "topics",
            offset_for_leader_epoch.OffsetForLeaderEpochResponse,
            _epochs,
            name="topic",
        ),
    ),
    Check(
        delete_records,
        "DELETE on each topic",
        each(Operation.DELETE, _TOPIC, "topics", "topics", delete_records.DeleteRecordsResponse, _deleted),
    ),
    Check(
        describe_producers,
        "READ on each topic",
        each(Operation.READ, _TOPIC, "topics", "topics", describe_producers.DescribeProducersResponse, _producers),
    ),
)
