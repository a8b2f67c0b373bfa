"""InitProducerId v0 to v5: a fresh producer id with epoch 0 for an idempotent producer.

A producer id and epoch that come along (v3, KIP-360) are not looked at, as in Kafka: an idempotent producer that lost
its place begins anew under another id. One of them without the other is INVALID_REQUEST, and so is a transactional id:
transactions are not supported, and clients take that code for final. While the bucket does not answer or the node has
no session, clients are told COORDINATOR_LOAD_IN_PROGRESS: they try again after it, and none looks for a coordinator.
"""

from typing import ClassVar, Protocol

from infra.error_code import ErrorCode
from infra.errors import Fenced, Unavailable
from infra.wire.handler import Handler, RequestContext
from infra.wire.messages import init_producer_id as message


class ProducerIdSource(Protocol):
    """Where producer ids come from (`infra.cluster.producer_ids.ProducerIds`)."""

    async def next(self) -> int:
        """An id that was never given out before. Raises `Unavailable`."""


class InitProducerIdHandler(Handler):
    """Answers InitProducerId; any node may."""

    api_key: ClassVar[int] = message.API_KEY
    min_version: ClassVar[int] = 0
    max_version: ClassVar[int] = 5

    def __init__(self, producer_ids: ProducerIdSource) -> None:
        self._producer_ids = producer_ids

    async def handle(
        self, context: RequestContext, request: message.InitProducerIdRequest
    ) -> message.InitProducerIdResponse:
        if request.transactional_id is not None or (request.producer_id == -1) != (request.producer_epoch == -1):
            return _refused(ErrorCode.INVALID_REQUEST)
        try:
            return message.InitProducerIdResponse(producer_id=await self._producer_ids.next(), producer_epoch=0)
        except (Fenced, Unavailable):
            return _refused(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)


def _refused(code: ErrorCode) -> message.InitProducerIdResponse:
    return message.InitProducerIdResponse(error_code=code, producer_id=-1, producer_epoch=-1)
