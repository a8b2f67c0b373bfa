"""CreatePartitions: raise the number of partitions of topics."""

from infra.wire.message import array, boolean, int16, int32, message, string, struct

API_KEY = 37


@struct
class CreatePartitionsAssignment:
    """An element of `CreatePartitionsTopic.assignments`."""

    broker_ids: list[int] = array("int32")


@struct
class CreatePartitionsTopic:
    """An element of `CreatePartitionsRequest.topics`."""

    name: str = string()
    count: int = int32()
    assignments: list[CreatePartitionsAssignment] | None = array(CreatePartitionsAssignment, nullable="0+")


@message("0-3", flexible="2+")
class CreatePartitionsRequest:
    """The question."""

    topics: list[CreatePartitionsTopic] = array(CreatePartitionsTopic)
    timeout_ms: int = int32()
    validate_only: bool = boolean()


@struct
class CreatePartitionsTopicResult:
    """An element of `CreatePartitionsResponse.results`."""

    name: str = string()
    error_code: int = int16()
    error_message: str | None = string(nullable="0+", default=None)


@message("0-3", flexible="2+")
class CreatePartitionsResponse:
    """The answer."""

    throttle_time_ms: int = int32()
    results: list[CreatePartitionsTopicResult] = array(CreatePartitionsTopicResult)
