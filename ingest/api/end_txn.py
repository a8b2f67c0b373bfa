"""EndTxn v0 to v4: commit or abort. Answered once the decision is durable; the markers follow by themselves.

Versions: v2 PRODUCER_FENCED, v3 flexible, v4 changes nothing here; v5 would be another protocol (KIP-890), which raises
the epoch with each transaction.
"""

from typing import ClassVar

from infra.errors import Refused
from infra.wire.handler import Handler, RequestContext
from infra.wire.messages import end_txn as message
from ingest.api.producer_fenced import known_code
from ingest.coordinator.transaction import Producer
from ingest.coordinator.transaction_coordinator import TransactionCoordinator

_FIRST_VERSION_WITH_PRODUCER_FENCED = 2


class EndTxnHandler(Handler):
    """Answers EndTxn for the transactional ids that this node coordinates."""

    api_key: ClassVar[int] = message.API_KEY
    min_version: ClassVar[int] = 0
    max_version: ClassVar[int] = 4

    def __init__(self, coordinator: TransactionCoordinator) -> None:
        self._coordinator = coordinator

    async def handle(self, context: RequestContext, request: message.EndTxnRequest) -> message.EndTxnResponse:
        producer = Producer(request.producer_id, request.producer_epoch)
        try:
            await self._coordinator.end(request.transactional_id, producer, commit=request.committed)
        except Refused as refused:
            code = known_code(refused.code, context.api_version, _FIRST_VERSION_WITH_PRODUCER_FENCED)
            return message.EndTxnResponse(error_code=code)
        return message.EndTxnResponse()
