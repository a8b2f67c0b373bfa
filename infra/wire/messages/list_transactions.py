"""ListTransactions: the transactional ids a node coordinates."""

from infra.wire.message import array, int16, int32, int64, message, string, struct

API_KEY = 66


@message("0-1", flexible="0+")
class ListTransactionsRequest:
    """The question."""

    state_filters: list[str] = array("string")
    producer_id_filters: list[int] = array("int64")
    duration_filter: int = int64("1+", default=-1)


@struct
class TransactionState:
    """An element of `ListTransactionsResponse.transaction_states`."""

    transactional_id: str = string()
    producer_id: int = int64()
    transaction_state: str = string()


@message("0-1", flexible="0+")
class ListTransactionsResponse:
    """The answer."""

    throttle_time_ms: int = int32()
    error_code: int = int16()
    unknown_state_filters: list[str] = array("string")
    transaction_states: list[TransactionState] = array(TransactionState)
