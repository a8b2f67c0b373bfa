"""AddPartitionsToTxn: say which partitions a transaction writes to."""

from infra.wire.message import array, int16, int32, int64, message, string, struct

API_KEY = 24


@struct
class AddPartitionsToTxnTopic:
    """An element of `AddPartitionsToTxnRequest.v3_and_below_topics`."""

    name: str = string()
    partitions: list[int] = array("int32")


@message("0-3", flexible="3+")
class AddPartitionsToTxnRequest:
    """The question."""

    v3_and_below_transactional_id: str = string()
    v3_and_below_producer_id: int = int64()
    v3_and_below_producer_epoch: int = int16()
    v3_and_below_topics: list[AddPartitionsToTxnTopic] = array(AddPartitionsToTxnTopic)


@struct
class AddPartitionsToTxnPartitionResult:
    """An element of `AddPartitionsToTxnTopicResult.results_by_partition`."""

    partition_index: int = int32()
    partition_error_code: int = int16()


@struct
class AddPartitionsToTxnTopicResult:
    """An element of `AddPartitionsToTxnResponse.results_by_topic_v3_and_below`."""

    name: str = string()
    results_by_partition: list[AddPartitionsToTxnPartitionResult] = array(AddPartitionsToTxnPartitionResult)


@message("0-3", flexible="3+")
class AddPartitionsToTxnResponse:
    """The answer."""

    throttle_time_ms: int = int32()
    results_by_topic_v3_and_below: list[AddPartitionsToTxnTopicResult] = array(AddPartitionsToTxnTopicResult)
