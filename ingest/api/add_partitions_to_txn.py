"""AddPartitionsToTxn v0 to v5: a transaction writes to these partitions; or does it?

Up to v3 producers ask, about one transaction: all partitions are added, or none, and where one of them does not exist
the others are OPERATION_NOT_ATTEMPTED. From v4 on nodes ask, about many, mostly with `verify_only`: whether partitions
are in the open transaction, before they take a record of it (KIP-890).

Versions: v2 PRODUCER_FENCED, v3 flexible, v4 many transactions, v5 TRANSACTION_ABORTABLE for a partition that is not in
the transaction (INVALID_TXN_STATE in v4).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from infra.error_code import ErrorCode
from infra.errors import Refused
from infra.partition import TopicPartition
from infra.ports import TopicDirectory
from infra.wire.handler import Handler, RequestContext
from infra.wire.messages import add_partitions_to_txn as message
from ingest.api.producer_fenced import known_code
from ingest.coordinator.transaction import Producer
from ingest.coordinator.transaction_coordinator import TransactionCoordinator

_FIRST_VERSION_WITH_PRODUCER_FENCED = 2
_FIRST_VERSION_OF_NODES = 4
_FIRST_VERSION_WITH_ABORTABLE = 5

Errors = Mapping[TopicPartition, ErrorCode]


class AddPartitionsToTxnHandler(Handler):
    """Answers AddPartitionsToTxn for the transactional ids that this node coordinates."""

    api_key: ClassVar[int] = message.API_KEY
    min_version: ClassVar[int] = 0
    max_version: ClassVar[int] = 5

    def __init__(self, coordinator: TransactionCoordinator, directory: TopicDirectory) -> None:
        self._coordinator = coordinator
        self._directory = directory

    async def handle(
        self, context: RequestContext, request: message.AddPartitionsToTxnRequest
    ) -> message.AddPartitionsToTxnResponse:
        if context.api_version >= _FIRST_VERSION_OF_NODES:
            results = [await self._one(context.api_version, one) for one in request.transactions]
            return message.AddPartitionsToTxnResponse(results_by_transaction=results)
        alone = message.AddPartitionsToTxnTransaction(
            transactional_id=request.v3_and_below_transactional_id,
            producer_id=request.v3_and_below_producer_id,
            producer_epoch=request.v3_and_below_producer_epoch,
            topics=request.v3_and_below_topics,
        )
        result = await self._one(context.api_version, alone)
        return message.AddPartitionsToTxnResponse(results_by_topic_v3_and_below=result.topic_results)

    async def _one(
        self, version: int, asked: message.AddPartitionsToTxnTransaction
    ) -> message.AddPartitionsToTxnResult:
        places = [(topic.name, partition) for topic in asked.topics for partition in topic.partitions]
        try:
            errors = await self._errors(version, asked, places)
        except Refused as refused:
            code = known_code(refused.code, version, _FIRST_VERSION_WITH_PRODUCER_FENCED)
            errors = dict.fromkeys(places, code)
        return message.AddPartitionsToTxnResult(
            transactional_id=asked.transactional_id, topic_results=_topic_results(asked.topics, errors)
        )

    async def _errors(
        self, version: int, asked: message.AddPartitionsToTxnTransaction, places: Sequence[TopicPartition]
    ) -> Errors:
        producer = Producer(asked.producer_id, asked.producer_epoch)
        if asked.verify_only:
            verified = self._coordinator.verify(asked.transactional_id, producer, places)
            return {place: _verified_code(code, version) for place, code in verified.items()}
        unknown = {place for place in places if not self._exists(place)}
        if unknown:
            return {
                place: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION if place in unknown else ErrorCode.OPERATION_NOT_ATTEMPTED
                for place in places
            }
        await self._coordinator.add_partitions(asked.transactional_id, producer, places)
        return dict.fromkeys(places, ErrorCode.NONE)

    def _exists(self, place: TopicPartition) -> bool:
        topic = self._directory.topic_by_name(place[0])
        return topic is not None and 0 <= place[1] < topic.partitions


def _verified_code(code: ErrorCode, version: int) -> ErrorCode:
    if code is ErrorCode.TRANSACTION_ABORTABLE and version < _FIRST_VERSION_WITH_ABORTABLE:
        return ErrorCode.INVALID_TXN_STATE
    return code


def _topic_results(
    topics: Iterable[message.AddPartitionsToTxnTopic], errors: Errors
) -> list[message.AddPartitionsToTxnTopicResult]:
    return [
        message.AddPartitionsToTxnTopicResult(
            name=topic.name,
            results_by_partition=[
                message.AddPartitionsToTxnPartitionResult(
                    partition_index=partition, partition_error_code=errors[topic.name, partition]
                )
                for partition in topic.partitions
            ],
        )
        for topic in topics
    ]
