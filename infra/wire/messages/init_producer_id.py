"""InitProducerId: get a producer id and epoch, ending what a transactional id left open."""

from infra.wire.message import int16, int32, int64, message, string

API_KEY = 22


@message("0-5", flexible="2+")
class InitProducerIdRequest:
    """The question."""

    transactional_id: str | None = string(nullable="0+")
    transaction_timeout_ms: int = int32()
    producer_id: int = int64("3+", default=-1)
    producer_epoch: int = int16("3+", default=-1)


@message("0-5", flexible="2+")
class InitProducerIdResponse:
    """The answer."""

    throttle_time_ms: int = int32()
    error_code: int = int16()
    producer_id: int = int64(default=-1)
    producer_epoch: int = int16()
