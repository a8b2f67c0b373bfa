"""AddOffsetsToTxn: say that a transaction commits offsets of a group."""

from infra.wire.message import int16, int32, int64, message, string

API_KEY = 25


@message("0-4", flexible="3+")
class AddOffsetsToTxnRequest:
    """The question."""

    transactional_id: str = string()
    producer_id: int = int64()
    producer_epoch: int = int16()
    group_id: str = string()


@message("0-4", flexible="3+")
class AddOffsetsToTxnResponse:
    """The answer."""

    throttle_time_ms: int = int32()
    error_code: int = int16()
