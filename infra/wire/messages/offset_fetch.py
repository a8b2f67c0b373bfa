"""OffsetFetch: how far a consumer group has read; from v8 many groups at once."""

from infra.wire.message import array, boolean, int16, int32, int64, message, string, struct

API_KEY = 9


@struct
class OffsetFetchRequestTopic:
    """An element of `OffsetFetchRequest.topics`."""

    name: str = string()
    partition_indexes: list[int] = array("int32")


@struct
class OffsetFetchRequestTopics:
    """An element of `OffsetFetchRequestGroup.topics`."""

    name: str = string()
    partition_indexes: list[int] = array("int32")


@struct
class OffsetFetchRequestGroup:
    """An element of `OffsetFetchRequest.groups`."""

    group_id: str = string()
    member_id: str | None = string("9+", nullable="9+", default=None)
    member_epoch: int = int32("9+", default=-1)
    topics: list[OffsetFetchRequestTopics] | None = array(OffsetFetchRequestTopics, nullable="0+")


@message("1-9", flexible="6+")
class OffsetFetchRequest:
    """The question."""

    group_id: str = string("0-7")
    topics: list[OffsetFetchRequestTopic] | None = array(OffsetFetchRequestTopic, "0-7", nullable="2-7")
    groups: list[OffsetFetchRequestGroup] = array(OffsetFetchRequestGroup, "8+")
    require_stable: bool = boolean("7+")


@struct
class OffsetFetchResponsePartition:
    """An element of `OffsetFetchResponseTopic.partitions`."""

    partition_index: int = int32()
    committed_offset: int = int64()
    committed_leader_epoch: int = int32("5+", default=-1)
    metadata: str | None = string(nullable="0+")
    error_code: int = int16()


@struct
class OffsetFetchResponseTopic:
    """An element of `OffsetFetchResponse.topics`."""

    name: str = string()
    partitions: list[OffsetFetchResponsePartition] = array(OffsetFetchResponsePartition)


@struct
class OffsetFetchResponsePartitions:
    """An element of `OffsetFetchResponseTopics.partitions`."""

    partition_index: int = int32()
    committed_offset: int = int64()
    committed_leader_epoch: int = int32(default=-1)
    metadata: str | None = string(nullable="0+")
    error_code: int = int16()


@struct
class OffsetFetchResponseTopics:
    """An element of `OffsetFetchResponseGroup.topics`."""

    name: str = string()
    partitions: list[OffsetFetchResponsePartitions] = array(OffsetFetchResponsePartitions)


@struct
class OffsetFetchResponseGroup:
    """An element of `OffsetFetchResponse.groups`."""

    group_id: str = string()
    topics: list[OffsetFetchResponseTopics] = array(OffsetFetchResponseTopics)
    error_code: int = int16()


@message("1-9", flexible="6+")
class OffsetFetchResponse:
    """The answer."""

    throttle_time_ms: int = int32("3+")
    topics: list[OffsetFetchResponseTopic] = array(OffsetFetchResponseTopic, "0-7")
    error_code: int = int16("2-7")
    groups: list[OffsetFetchResponseGroup] = array(OffsetFetchResponseGroup, "8+")
