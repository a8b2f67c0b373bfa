"""EndTxn: commit or abort a transaction."""

from infra.wire.message import boolean, int16, int32, int64, message, string

API_KEY = 26


@message("0-4", flexible="3+")
class EndTxnRequest:
    """The question."""

    transactional_id: str = string()
    producer_id: int = int64()
    producer_epoch: int = int16()
    committed: bool = boolean()


@message("0-4", flexible="3+")
class EndTxnResponse:
    """The answer."""

    throttle_time_ms: int = int32()
    error_code: int = int16()
