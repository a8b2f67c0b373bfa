"""AlterPartitionReassignments: change the replicas of partitions, or cancel a change."""

from infra.wire.message import array, boolean, int16, int32, message, string, struct

API_KEY = 45


@struct
class ReassignablePartition:
    """An element of `ReassignableTopic.partitions`."""

    partition_index: int = int32()
    replicas: list[int] | None = array("int32", nullable="0+", null=True)


@struct
class ReassignableTopic:
    """An element of `AlterPartitionReassignmentsRequest.topics`."""

    name: str = string()
    partitions: list[ReassignablePartition] = array(ReassignablePartition)


@message("0-1", flexible="0+")
class AlterPartitionReassignmentsRequest:
    """The question."""

    timeout_ms: int = int32(default=60000)
    allow_replication_factor_change: bool = boolean("1+", default=True)
    topics: list[ReassignableTopic] = array(ReassignableTopic)


@struct
class ReassignablePartitionResponse:
    """An element of `ReassignableTopicResponse.partitions`."""

    partition_index: int = int32()
    error_code: int = int16()
    error_message: str | None = string(nullable="0+")


@struct
class ReassignableTopicResponse:
    """An element of `AlterPartitionReassignmentsResponse.responses`."""

    name: str = string()
    partitions: list[ReassignablePartitionResponse] = array(ReassignablePartitionResponse)


@message("0-1", flexible="0+")
class AlterPartitionReassignmentsResponse:
    """The answer."""

    throttle_time_ms: int = int32()
    allow_replication_factor_change: bool = boolean("1+", default=True)
    error_code: int = int16()
    error_message: str | None = string(nullable="0+")
    responses: list[ReassignableTopicResponse] = array(ReassignableTopicResponse)
