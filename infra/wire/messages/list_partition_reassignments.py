"""ListPartitionReassignments: the replica changes under way."""

from infra.wire.message import array, int16, int32, message, string, struct

API_KEY = 46


@struct
class ListPartitionReassignmentsTopics:
    """An element of `ListPartitionReassignmentsRequest.topics`."""

    name: str = string()
    partition_indexes: list[int] = array("int32")


@message("0", flexible="0+")
class ListPartitionReassignmentsRequest:
    """The question."""

    timeout_ms: int = int32(default=60000)
    topics: list[ListPartitionReassignmentsTopics] | None = array(
        ListPartitionReassignmentsTopics, nullable="0+", null=True
    )


@struct
class OngoingPartitionReassignment:
    """An element of `OngoingTopicReassignment.partitions`."""

    partition_index: int = int32()
    replicas: list[int] = array("int32")
    adding_replicas: list[int] = array("int32")
    removing_replicas: list[int] = array("int32")


@struct
class OngoingTopicReassignment:
    """An element of `ListPartitionReassignmentsResponse.topics`."""

    name: str = string()
    partitions: list[OngoingPartitionReassignment] = array(OngoingPartitionReassignment)


@message("0", flexible="0+")
class ListPartitionReassignmentsResponse:
    """The answer."""

    throttle_time_ms: int = int32()
    error_code: int = int16()
    error_message: str | None = string(nullable="0+")
    topics: list[OngoingTopicReassignment] = array(OngoingTopicReassignment)
