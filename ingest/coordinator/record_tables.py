"""The records of `__consumer_offsets` as Kafka writes them: each key and value begins with its version (int16).

Key versions 0 and 1 are a committed offset, 2 is a group's metadata. Values 3 are what is written (1 when an offset has
an expiry of its own); 4 is what newer brokers may have written.
"""

from infra.wire.message import array, int32, int64, message, octets, string, struct


@message("0-1")
class OffsetCommitKey:
    """Which offset."""

    group: str = string()
    topic: str = string()
    partition: int = int32()


@message("0-4", flexible="4+")
class OffsetCommitValue:
    """A committed offset."""

    offset: int = int64()
    leader_epoch: int = int32("3+", default=-1)
    metadata: str = string()
    commit_timestamp: int = int64()
    expire_timestamp: int = int64("1", default=-1)


@message("2")
class GroupMetadataKey:
    """Which group."""

    group: str = string()


@struct
class GroupMember:
    """One member of a stored group."""

    member_id: str = string()
    group_instance_id: str | None = string("3+", nullable="3+", default=None)
    client_id: str = string()
    client_host: str = string()
    rebalance_timeout: int = int32("1+", default=-1)
    session_timeout: int = int32()
    subscription: bytes = octets()
    assignment: bytes = octets()


@message("0-4", flexible="4+")
class GroupMetadataValue:
    """A group: its generation and its members."""

    protocol_type: str = string()
    generation: int = int32()
    protocol: str | None = string(nullable="0+", default=None)
    leader: str | None = string(nullable="0+", default=None)
    current_state_timestamp: int = int64("2+", default=-1)
    members: list[GroupMember] = array(GroupMember)
