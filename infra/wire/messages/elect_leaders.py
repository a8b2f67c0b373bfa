"""ElectLeaders: move leadership to preferred or, if need be, unclean leaders."""

from infra.wire.message import array, int8, int16, int32, message, string, struct

API_KEY = 43


@struct
class TopicPartitions:
    """An element of `ElectLeadersRequest.topic_partitions`."""

    topic: str = string()
    partitions: list[int] = array("int32")


@message("0-2", flexible="2+")
class ElectLeadersRequest:
    """The question."""

    election_type: int = int8("1+")
    topic_partitions: list[TopicPartitions] | None = array(TopicPartitions, nullable="0+")
    timeout_ms: int = int32(default=60000)


@struct
class PartitionResult:
    """An element of `ReplicaElectionResult.partition_result`."""

    partition_id: int = int32()
    error_code: int = int16()
    error_message: str | None = string(nullable="0+")


@struct
class ReplicaElectionResult:
    """An element of `ElectLeadersResponse.replica_election_results`."""

    topic: str = string()
    partition_result: list[PartitionResult] = array(PartitionResult)


@message("0-2", flexible="2+")
class ElectLeadersResponse:
    """The answer."""

    throttle_time_ms: int = int32()
    error_code: int = int16("1+")
    replica_election_results: list[ReplicaElectionResult] = array(ReplicaElectionResult)
