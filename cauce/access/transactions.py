"""Checks of producer ids and transactions."""

from collections.abc import Iterable, Sequence
from typing import Any

from cauce.access.asking import REFUSED, Answer, Asking
from cauce.access.check import Check
from cauce.access.shapes import all_or_nothing, each, listing, split, topic_refusal
from infra.error_code import ErrorCode
from infra.security.acl import Operation, ResourceType
from infra.wire.messages import (
    add_offsets_to_txn,
    add_partitions_to_txn,
    describe_transactions,
    end_txn,
    init_producer_id,
    list_transactions,
    txn_offset_commit,
    write_txn_markers,
)

_ID, _TOPIC, _GROUP, _CLUSTER = (
    ResourceType.TRANSACTIONAL_ID,
    ResourceType.TOPIC,
    ResourceType.GROUP,
    ResourceType.CLUSTER,
)
_FIRST_ADD_PARTITIONS_OF_NODES = 4


def _transactional_id(request: Any) -> str:
    return str(request.transactional_id)


async def _init_producer_id(asking: Asking, request: init_producer_id.InitProducerIdRequest, answer: Answer) -> Any:
    """A producer without a transactional id needs no more than a topic that it may write to (KIP-679)."""
    if request.transactional_id is not None:
        kind, allowed = _ID, asking.may(Operation.WRITE, _ID, request.transactional_id)
    else:
        kind = _CLUSTER
        allowed = asking.may_write_somewhere() or asking.may_cluster(Operation.IDEMPOTENT_WRITE)
    if allowed:
        return await answer(request)
    return init_producer_id.InitProducerIdResponse(error_code=REFUSED[kind], producer_epoch=-1)


async def _add_partitions(
    asking: Asking, request: add_partitions_to_txn.AddPartitionsToTxnRequest, answer: Answer
) -> Any:
    """From v4 on nodes ask. Producers add all partitions or none: beside one that is refused the others are not
    attempted."""
    if asking.version >= _FIRST_ADD_PARTITIONS_OF_NODES:
        if asking.may_cluster(Operation.CLUSTER_ACTION):
            return await answer(request)
        return add_partitions_to_txn.AddPartitionsToTxnResponse(error_code=REFUSED[_CLUSTER])
    topics = request.v3_and_below_topics
    if not asking.may(Operation.WRITE, _ID, request.v3_and_below_transactional_id):
        return _not_added((topic, REFUSED[_ID]) for topic in topics)
    _, refused = split(topics, lambda topic: asking.may(Operation.WRITE, _TOPIC, topic.name))
    if not refused:
        return await answer(request)
    names = {topic.name for topic in refused}
    return _not_added(
        (topic, REFUSED[_TOPIC] if topic.name in names else ErrorCode.OPERATION_NOT_ATTEMPTED) for topic in topics
    )


def _not_added(
    refused: Iterable[tuple[add_partitions_to_txn.AddPartitionsToTxnTopic, ErrorCode]],
) -> add_partitions_to_txn.AddPartitionsToTxnResponse:
    return add_partitions_to_txn.AddPartitionsToTxnResponse(
        results_by_topic_v3_and_below=[
            add_partitions_to_txn.AddPartitionsToTxnTopicResult(
                name=topic.name,
                results_by_partition=[
                    add_partitions_to_txn.AddPartitionsToTxnPartitionResult(
                        partition_index=number, partition_error_code=code
                    )
                    for number in topic.partitions
                ],
            )
            for topic, code in refused
        ]
    )


async def _add_offsets(asking: Asking, request: add_offsets_to_txn.AddOffsetsToTxnRequest, answer: Answer) -> Any:
    if not asking.may(Operation.WRITE, _ID, request.transactional_id):
        return add_offsets_to_txn.AddOffsetsToTxnResponse(error_code=REFUSED[_ID])
    if not asking.may(Operation.READ, _GROUP, request.group_id):
        return add_offsets_to_txn.AddOffsetsToTxnResponse(error_code=REFUSED[_GROUP])
    return await answer(request)


async def _txn_offset_commit(asking: Asking, request: txn_offset_commit.TxnOffsetCommitRequest, answer: Answer) -> Any:
    for operation, kind, name in (
        (Operation.WRITE, _ID, request.transactional_id),
        (Operation.READ, _GROUP, request.group_id),
    ):
        if not asking.may(operation, kind, name):
            topics = [_uncommitted(topic, REFUSED[kind]) for topic in request.topics]
            return txn_offset_commit.TxnOffsetCommitResponse(topics=topics)
    return await _commit_topics(asking, request, answer)


_uncommitted = topic_refusal(
    txn_offset_commit.TxnOffsetCommitResponseTopic, txn_offset_commit.TxnOffsetCommitResponsePartition
)
_commit_topics = each(
    Operation.READ, _TOPIC, "topics", "topics", txn_offset_commit.TxnOffsetCommitResponse, _uncommitted
)


async def _write_markers(asking: Asking, request: write_txn_markers.WriteTxnMarkersRequest, answer: Answer) -> Any:
    """Nodes write markers; so may who alters the cluster, to end a transaction that hangs."""
    if asking.may_cluster(Operation.ALTER, quietly=True) or asking.may_cluster(Operation.CLUSTER_ACTION):
        return await answer(request)
    return write_txn_markers.WriteTxnMarkersResponse(markers=[_unwritten(marker) for marker in request.markers])


def _unwritten(marker: write_txn_markers.WritableTxnMarker) -> write_txn_markers.WritableTxnMarkerResult:
    return write_txn_markers.WritableTxnMarkerResult(
        producer_id=marker.producer_id,
        topics=[
            write_txn_markers.WritableTxnMarkerTopicResult(
                name=topic.name,
                partitions=[
                    write_txn_markers.WritableTxnMarkerPartitionResult(
                        partition_index=number, error_code=REFUSED[_CLUSTER]
                    )
                    for number in topic.partition_indexes
                ],
            )
            for topic in marker.topics
        ],
    )


async def _describe(asking: Asking, request: describe_transactions.DescribeTransactionsRequest, answer: Answer) -> Any:
    """Of an open transaction only the topics that the client may see are told."""
    response = await _describe_each(asking, request, answer)
    for state in response.transaction_states:
        state.topics = [
            topic for topic in state.topics if asking.may(Operation.DESCRIBE, _TOPIC, topic.topic, quietly=True)
        ]
    return response


_describe_each = each(
    Operation.DESCRIBE,
    _ID,
    "transactional_ids",
    "transaction_states",
    describe_transactions.DescribeTransactionsResponse,
    lambda name, code: describe_transactions.TransactionState(transactional_id=name, error_code=code),
    name="",
)


CHECKS: Sequence[Check] = (
    Check(
        init_producer_id,
        "WRITE on the transactional id; without one WRITE on any topic, or IDEMPOTENT_WRITE on the cluster",
        _init_producer_id,
    ),
    Check(
        add_partitions_to_txn,
        "WRITE on the transactional id and each topic; CLUSTER_ACTION for nodes",
        _add_partitions,
    ),
    Check(add_offsets_to_txn, "WRITE on the transactional id, READ on the group", _add_offsets),
    Check(
        txn_offset_commit,
        "WRITE on the transactional id, READ on the group and each topic",
        _txn_offset_commit,
    ),
    Check(
        end_txn,
        "WRITE on the transactional id",
        all_or_nothing(
            Operation.WRITE, _ID, _transactional_id, lambda _, code: end_txn.EndTxnResponse(error_code=code)
        ),
    ),
    Check(write_txn_markers, "CLUSTER_ACTION or ALTER on the cluster", _write_markers),
    Check(describe_transactions, "DESCRIBE on each transactional id", _describe),
    Check(
        list_transactions,
        "DESCRIBE on the transactional ids that are seen",
        listing(Operation.DESCRIBE, _ID, "transaction_states", "transactional_id"),
    ),
)
