"""DescribeTopicPartitions: partitions of topics, a page at a time."""

from uuid import UUID

from infra.wire.message import array, boolean, int16, int32, message, nested, string, struct, uuid

API_KEY = 75


@struct
class TopicRequest:
    """An element of `DescribeTopicPartitionsRequest.topics`."""

    name: str = string()


@struct
class Cursor:
    """The value of `DescribeTopicPartitionsRequest.cursor` and of `DescribeTopicPartitionsResponse.next_cursor`."""

    topic_name: str = string()
    partition_index: int = int32()


@message("0", flexible="0+")
class DescribeTopicPartitionsRequest:
    """The question."""

    topics: list[TopicRequest] = array(TopicRequest)
    response_partition_limit: int = int32(default=2000)
    cursor: Cursor | None = nested(Cursor, nullable="0+")


@struct
class DescribeTopicPartitionsResponsePartition:
    """An element of `DescribeTopicPartitionsResponseTopic.partitions`."""

    error_code: int = int16()
    partition_index: int = int32()
    leader_id: int = int32()
    leader_epoch: int = int32(default=-1)
    replica_nodes: list[int] = array("int32")
    isr_nodes: list[int] = array("int32")
    eligible_leader_replicas: list[int] | None = array("int32", nullable="0+", null=True)
    last_known_elr: list[int] | None = array("int32", nullable="0+", null=True)
    offline_replicas: list[int] = array("int32")


@struct
class DescribeTopicPartitionsResponseTopic:
    """An element of `DescribeTopicPartitionsResponse.topics`."""

    error_code: int = int16()
    name: str | None = string(nullable="0+")
    topic_id: UUID = uuid()
    is_internal: bool = boolean()
    partitions: list[DescribeTopicPartitionsResponsePartition] = array(DescribeTopicPartitionsResponsePartition)
    topic_authorized_operations: int = int32(default=-(2**31))


@message("0", flexible="0+")
class DescribeTopicPartitionsResponse:
    """The answer."""

    throttle_time_ms: int = int32()
    topics: list[DescribeTopicPartitionsResponseTopic] = array(DescribeTopicPartitionsResponseTopic)
    next_cursor: Cursor | None = nested(Cursor, nullable="0+")
