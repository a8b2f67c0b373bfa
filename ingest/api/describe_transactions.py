"""DescribeTransactions v0: what transactional ids are at, with the partitions of an open transaction."""

from collections.abc import Iterable
from typing import ClassVar

from infra.errors import Refused
from infra.partition import TopicPartition
from infra.wire.handler import Handler, RequestContext
from infra.wire.messages import describe_transactions as message
from ingest.coordinator.transaction_coordinator import TransactionCoordinator


class DescribeTransactionsHandler(Handler):
    """Answers DescribeTransactions for the transactional ids that this node coordinates."""

    api_key: ClassVar[int] = message.API_KEY
    min_version: ClassVar[int] = 0
    max_version: ClassVar[int] = 0

    def __init__(self, coordinator: TransactionCoordinator) -> None:
        self._coordinator = coordinator

    async def handle(
        self, context: RequestContext, request: message.DescribeTransactionsRequest
    ) -> message.DescribeTransactionsResponse:
        return message.DescribeTransactionsResponse(
            transaction_states=[self._one(transactional_id) for transactional_id in request.transactional_ids]
        )

    def _one(self, transactional_id: str) -> message.TransactionState:
        try:
            listing = self._coordinator.describe(transactional_id)
        except Refused as refused:
            return message.TransactionState(error_code=refused.code, transactional_id=transactional_id)
        record = listing.record
        return message.TransactionState(
            transactional_id=transactional_id,
            transaction_state=record.state.label,
            transaction_timeout_ms=record.timeout_ms,
            transaction_start_time_ms=record.started_ms,
            producer_id=record.producer_id,
            producer_epoch=record.epoch,
            topics=_by_topic(listing.partitions),
        )


def _by_topic(partitions: Iterable[TopicPartition]) -> list[message.TopicData]:
    topics: dict[str, list[int]] = {}
    for topic, partition in partitions:
        topics.setdefault(topic, []).append(partition)
    return [message.TopicData(topic=topic, partitions=numbers) for topic, numbers in topics.items()]
