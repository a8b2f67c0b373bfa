"""What classic consumers put into JoinGroup and SyncGroup, each behind its version (int16). Not an API of its own."""

from infra.wire.message import array, int32, message, octets, string, struct


@struct
class TopicPartition:
    """Partitions of one topic, owned or assigned."""

    topic: str = string()
    partitions: list[int] = array("int32")


@message("0-3")
class ConsumerProtocolSubscription:
    """What a member wants; a version greater than 3 begins like 3."""

    topics: list[str] = array("string")
    user_data: bytes | None = octets(nullable="0+", default=None)
    owned_partitions: list[TopicPartition] = array(TopicPartition, "1+")
    generation_id: int = int32("2+", default=-1)
    rack_id: str | None = string("3+", nullable="3+", default=None)


@message("0-3")
class ConsumerProtocolAssignment:
    """What a member gets."""

    assigned_partitions: list[TopicPartition] = array(TopicPartition)
    user_data: bytes | None = octets(nullable="0+", default=None)
