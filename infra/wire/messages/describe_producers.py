"""DescribeProducers: the idempotent producers a partition's leader knows."""

from infra.wire.message import array, int16, int32, int64, message, string, struct

API_KEY = 61


@struct
class TopicRequest:
    """An element of `DescribeProducersRequest.topics`."""

    name: str = string()
    partition_indexes: list[int] = array("int32")


@message("0", flexible="0+")
class DescribeProducersRequest:
    """The question."""

    topics: list[TopicRequest] = array(TopicRequest)


@struct
class ProducerState:
    """An element of `PartitionResponse.active_producers`."""

    producer_id: int = int64()
    producer_epoch: int = int32()
    last_sequence: int = int32(default=-1)
    last_timestamp: int = int64(default=-1)
    coordinator_epoch: int = int32()
    current_txn_start_offset: int = int64(default=-1)


@struct
class PartitionResponse:
    """An element of `TopicResponse.partitions`."""

    partition_index: int = int32()
    error_code: int = int16()
    error_message: str | None = string(nullable="0+", default=None)
    active_producers: list[ProducerState] = array(ProducerState)


@struct
class TopicResponse:
    """An element of `DescribeProducersResponse.topics`."""

    name: str = string()
    partitions: list[PartitionResponse] = array(PartitionResponse)


@message("0", flexible="0+")
class DescribeProducersResponse:
    """The answer."""

    throttle_time_ms: int = int32()
    topics: list[TopicResponse] = array(TopicResponse)
