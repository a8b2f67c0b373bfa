"""AddOffsetsToTxn v0 to v4: a transaction commits offsets of a group, so it writes to the group's partition.

Versions: v2 PRODUCER_FENCED, v3 flexible, v4 changes nothing here.
"""

from collections.abc import Awaitable, Callable
from typing import ClassVar

from infra.error_code import ErrorCode
from infra.errors import CauceError, Refused
from infra.ports import KnownTopic
from infra.wire.handler import Handler, RequestContext
from infra.wire.messages import add_offsets_to_txn as message
from ingest.api.producer_fenced import known_code
from ingest.coordinator.coordinator import OFFSETS_TOPIC
from ingest.coordinator.placement import partition_of_key
from ingest.coordinator.transaction import Producer
from ingest.coordinator.transaction_coordinator import TransactionCoordinator

_FIRST_VERSION_WITH_PRODUCER_FENCED = 2


class AddOffsetsToTxnHandler(Handler):
    """Answers AddOffsetsToTxn for the transactional ids that this node coordinates."""

    api_key: ClassVar[int] = message.API_KEY
    min_version: ClassVar[int] = 0
    max_version: ClassVar[int] = 4

    def __init__(
        self, coordinator: TransactionCoordinator, ensure_internal_topic: Callable[[str], Awaitable[KnownTopic]]
    ) -> None:
        """`ensure_internal_topic` gives the topic of offsets, created if need be."""
        self._coordinator = coordinator
        self._ensure_internal_topic = ensure_internal_topic

    async def handle(
        self, context: RequestContext, request: message.AddOffsetsToTxnRequest
    ) -> message.AddOffsetsToTxnResponse:
        try:
            offsets = await self._ensure_internal_topic(OFFSETS_TOPIC)
        except CauceError:
            return message.AddOffsetsToTxnResponse(error_code=ErrorCode.COORDINATOR_NOT_AVAILABLE)
        place = (OFFSETS_TOPIC, partition_of_key(request.group_id, offsets.partitions))
        producer = Producer(request.producer_id, request.producer_epoch)
        try:
            await self._coordinator.add_partitions(request.transactional_id, producer, [place])
        except Refused as refused:
            code = known_code(refused.code, context.api_version, _FIRST_VERSION_WITH_PRODUCER_FENCED)
            return message.AddOffsetsToTxnResponse(error_code=code)
        return message.AddOffsetsToTxnResponse()
