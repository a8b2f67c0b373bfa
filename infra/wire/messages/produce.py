"""Produce: append record batches to partitions."""

from infra.wire.message import array, int16, int32, int64, message, nested, record_data, string, struct

API_KEY = 0


@struct
class PartitionProduceData:
    """An element of `TopicProduceData.partition_data`."""

    index: int = int32()
    records: bytes | memoryview | None = record_data(nullable="0+")


@struct
class TopicProduceData:
    """An element of `ProduceRequest.topic_data`."""

    name: str = string()
    partition_data: list[PartitionProduceData] = array(PartitionProduceData)


@message("3-11", flexible="9+")
class ProduceRequest:
    """The question."""

    transactional_id: str | None = string(nullable="0+", default=None)
    acks: int = int16()
    timeout_ms: int = int32()
    topic_data: list[TopicProduceData] = array(TopicProduceData)


@struct
class BatchIndexAndErrorMessage:
    """An element of `PartitionProduceResponse.record_errors`."""

    batch_index: int = int32()
    batch_index_error_message: str | None = string(nullable="0+", default=None)


@struct
class LeaderIdAndEpoch:
    """The value of `PartitionProduceResponse.current_leader`."""

    leader_id: int = int32(default=-1)
    leader_epoch: int = int32(default=-1)


@struct
class PartitionProduceResponse:
    """An element of `TopicProduceResponse.partition_responses`."""

    index: int = int32()
    error_code: int = int16()
    base_offset: int = int64()
    log_append_time_ms: int = int64(default=-1)
    log_start_offset: int = int64("5+", default=-1)
    record_errors: list[BatchIndexAndErrorMessage] = array(BatchIndexAndErrorMessage, "8+")
    error_message: str | None = string("8+", nullable="8+", default=None)
    current_leader: LeaderIdAndEpoch = nested(LeaderIdAndEpoch, "10+", tag=0)


@struct
class TopicProduceResponse:
    """An element of `ProduceResponse.responses`."""

    name: str = string()
    partition_responses: list[PartitionProduceResponse] = array(PartitionProduceResponse)


@struct
class NodeEndpoint:
    """An element of `ProduceResponse.node_endpoints`."""

    node_id: int = int32()
    host: str = string()
    port: int = int32()
    rack: str | None = string(nullable="0+", default=None)


@message("3-11", flexible="9+")
class ProduceResponse:
    """The answer."""

    responses: list[TopicProduceResponse] = array(TopicProduceResponse)
    throttle_time_ms: int = int32()
    node_endpoints: list[NodeEndpoint] = array(NodeEndpoint, "10+", tag=0)
