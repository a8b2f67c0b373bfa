"""ListTransactions v0 and v1: the transactional ids this node coordinates, by state, producer id or (v1) duration.

Filters that are empty let all through; states that do not exist are told, and let nothing through.
"""

from collections.abc import Sequence
from typing import ClassVar, Protocol

from infra.errors import Refused
from infra.wire.handler import Handler, RequestContext
from infra.wire.messages import list_transactions as message
from ingest.coordinator.transaction_coordinator import TransactionListing
from ingest.coordinator.transaction_state import LABELS
from ingest.coordinator.transactions import TransactionFilter


class TransactionSource(Protocol):
    """Where they are known (`ingest.coordinator.transaction_coordinator.TransactionCoordinator`)."""

    def list_transactions(self, wanted: TransactionFilter) -> Sequence[TransactionListing]:
        """Those coordinated here. Raises `Refused` while that is not known."""


class ListTransactionsHandler(Handler):
    """Answers ListTransactions."""

    api_key: ClassVar[int] = message.API_KEY
    min_version: ClassVar[int] = 0
    max_version: ClassVar[int] = 1

    def __init__(self, source: TransactionSource) -> None:
        self._source = source

    async def handle(
        self, context: RequestContext, request: message.ListTransactionsRequest
    ) -> message.ListTransactionsResponse:
        labels = request.state_filters
        wanted = TransactionFilter(
            states={LABELS[label] for label in labels if label in LABELS} if labels else None,
            producer_ids=frozenset(request.producer_id_filters),
            longer_than_ms=request.duration_filter,
        )
        try:
            found = self._source.list_transactions(wanted)
        except Refused as refused:
            return message.ListTransactionsResponse(error_code=refused.code)
        return message.ListTransactionsResponse(
            unknown_state_filters=[label for label in labels if label not in LABELS],
            transaction_states=[
                message.TransactionState(
                    transactional_id=one.transactional_id,
                    producer_id=one.record.producer_id,
                    transaction_state=one.record.state.label,
                )
                for one in found
            ],
        )
