"""OffsetDelete: forget offsets of a group."""

from infra.wire.message import array, int16, int32, message, string, struct

API_KEY = 47


@struct
class OffsetDeleteRequestPartition:
    """An element of `OffsetDeleteRequestTopic.partitions`."""

    partition_index: int = int32()


@struct
class OffsetDeleteRequestTopic:
    """An element of `OffsetDeleteRequest.topics`."""

    name: str = string()
    partitions: list[OffsetDeleteRequestPartition] = array(OffsetDeleteRequestPartition)


@message("0")
class OffsetDeleteRequest:
    """The question."""

    group_id: str = string()
    topics: list[OffsetDeleteRequestTopic] = array(OffsetDeleteRequestTopic)


@struct
class OffsetDeleteResponsePartition:
    """An element of `OffsetDeleteResponseTopic.partitions`."""

    partition_index: int = int32()
    error_code: int = int16()


@struct
class OffsetDeleteResponseTopic:
    """An element of `OffsetDeleteResponse.topics`."""

    name: str = string()
    partitions: list[OffsetDeleteResponsePartition] = array(OffsetDeleteResponsePartition)


@message("0")
class OffsetDeleteResponse:
    """The answer."""

    error_code: int = int16()
    throttle_time_ms: int = int32()
    topics: list[OffsetDeleteResponseTopic] = array(OffsetDeleteResponseTopic)
