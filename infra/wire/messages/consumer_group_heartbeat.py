"""ConsumerGroupHeartbeat (KIP-848): membership, subscription and assignment in one call."""

from uuid import UUID

from infra.wire.message import array, int16, int32, message, nested, string, struct, uuid

API_KEY = 68


@struct
class TopicPartitions:
    """An element of `ConsumerGroupHeartbeatRequest.topic_partitions` and of `Assignment.topic_partitions`."""

    topic_id: UUID = uuid()
    partitions: list[int] = array("int32")


@message("0-1", flexible="0+")
class ConsumerGroupHeartbeatRequest:
    """The question."""

    group_id: str = string()
    member_id: str = string()
    member_epoch: int = int32()
    instance_id: str | None = string(nullable="0+", default=None)
    rack_id: str | None = string(nullable="0+", default=None)
    rebalance_timeout_ms: int = int32(default=-1)
    subscribed_topic_names: list[str] | None = array("string", nullable="0+", null=True)
    subscribed_topic_regex: str | None = string("1+", nullable="1+", default=None)
    server_assignor: str | None = string(nullable="0+", default=None)
    topic_partitions: list[TopicPartitions] | None = array(TopicPartitions, nullable="0+", null=True)


@struct
class Assignment:
    """The value of `ConsumerGroupHeartbeatResponse.assignment`."""

    topic_partitions: list[TopicPartitions] = array(TopicPartitions)


@message("0-1", flexible="0+")
class ConsumerGroupHeartbeatResponse:
    """The answer."""

    throttle_time_ms: int = int32()
    error_code: int = int16()
    error_message: str | None = string(nullable="0+", default=None)
    member_id: str | None = string(nullable="0+", default=None)
    member_epoch: int = int32()
    heartbeat_interval_ms: int = int32()
    assignment: Assignment | None = nested(Assignment, nullable="0+")
