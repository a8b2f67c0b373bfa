"""InitProducerId v0 to v5: who may write as an idempotent producer, or under a transactional id.

Without a transactional id any node answers, with a fresh producer id and epoch 0. A producer id and epoch that come
along (v3, KIP-360) are not looked at then, as in Kafka: an idempotent producer that lost its place begins anew under
another id. With a transactional id its coordinator answers: the next epoch, for a new instance (which fences the one
before and has its transaction aborted) or for one that goes on after an error and names what it had. Producer id or
epoch without the other is INVALID_REQUEST. While the bucket does not answer or the node has no session, clients are
told COORDINATOR_LOAD_IN_PROGRESS: they try again after it.

Versions: v2 flexible, v3 the producer as it was, v4 PRODUCER_FENCED.
"""

from typing import ClassVar, Protocol

from infra.error_code import ErrorCode
from infra.errors import Fenced, Refused, Unavailable
from infra.wire.handler import Handler, RequestContext
from infra.wire.messages import init_producer_id as message
from ingest.api.producer_fenced import known_code
from ingest.coordinator.transaction import NO_EPOCH, NO_PRODUCER, Producer
from ingest.coordinator.transaction_coordinator import ProducerIdSource

_FIRST_VERSION_WITH_PRODUCER_FENCED = 4


class TransactionalIds(Protocol):
    """Where transactional ids are known (`ingest.coordinator.transaction_coordinator.TransactionCoordinator`)."""

    async def init(self, transactional_id: str, timeout_ms: int, expected: Producer | None) -> Producer:
        """Who may write transactions from now on. Raises `Refused`."""


class NoTransactionalIds:
    """Those of a node that coordinates none."""

    async def init(self, transactional_id: str, timeout_ms: int, expected: Producer | None) -> Producer:
        """Refused, always."""
        raise Refused(ErrorCode.NOT_COORDINATOR, f"{transactional_id!r} is coordinated elsewhere")


class InitProducerIdHandler(Handler):
    """Answers InitProducerId."""

    api_key: ClassVar[int] = message.API_KEY
    min_version: ClassVar[int] = 0
    max_version: ClassVar[int] = 5

    def __init__(self, producer_ids: ProducerIdSource, transactional_ids: TransactionalIds) -> None:
        self._producer_ids = producer_ids
        self._transactional_ids = transactional_ids

    async def handle(
        self, context: RequestContext, request: message.InitProducerIdRequest
    ) -> message.InitProducerIdResponse:
        if (request.producer_id == NO_PRODUCER) != (request.producer_epoch == NO_EPOCH):
            return _refused(ErrorCode.INVALID_REQUEST)
        try:
            producer = await self._producer(request)
        except Refused as refused:
            return _refused(known_code(refused.code, context.api_version, _FIRST_VERSION_WITH_PRODUCER_FENCED))
        except (Fenced, Unavailable):
            return _refused(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)
        return message.InitProducerIdResponse(producer_id=producer.producer_id, producer_epoch=producer.epoch)

    async def _producer(self, request: message.InitProducerIdRequest) -> Producer:
        if request.transactional_id is None:
            return Producer(await self._producer_ids.next(), 0)
        known = Producer(request.producer_id, request.producer_epoch)
        return await self._transactional_ids.init(
            request.transactional_id, request.transaction_timeout_ms, None if known.epoch == NO_EPOCH else known
        )


def _refused(code: ErrorCode) -> message.InitProducerIdResponse:
    return message.InitProducerIdResponse(error_code=code, producer_id=NO_PRODUCER, producer_epoch=NO_EPOCH)
