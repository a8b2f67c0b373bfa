"""DescribeTransactions: state of transactional ids."""

from infra.wire.message import array, int16, int32, int64, message, string, struct

API_KEY = 65


@message("0", flexible="0+")
class DescribeTransactionsRequest:
    """The question."""

    transactional_ids: list[str] = array("string")


@struct
class TopicData:
    """An element of `TransactionState.topics`."""

    topic: str = string()
    partitions: list[int] = array("int32")


@struct
class TransactionState:
    """An element of `DescribeTransactionsResponse.transaction_states`."""

    error_code: int = int16()
    transactional_id: str = string()
    transaction_state: str = string()
    transaction_timeout_ms: int = int32()
    transaction_start_time_ms: int = int64()
    producer_id: int = int64()
    producer_epoch: int = int16()
    topics: list[TopicData] = array(TopicData)


@message("0", flexible="0+")
class DescribeTransactionsResponse:
    """The answer."""

    throttle_time_ms: int = int32()
    transaction_states: list[TransactionState] = array(TransactionState)
