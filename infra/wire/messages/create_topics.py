"""CreateTopics: make topics with partitions and configs."""

from uuid import UUID

from infra.wire.message import array, boolean, int8, int16, int32, message, string, struct, uuid

API_KEY = 19


@struct
class CreatableReplicaAssignment:
    """An element of `CreatableTopic.assignments`."""

    partition_index: int = int32()
    broker_ids: list[int] = array("int32")


@struct
class CreatableTopicConfig:
    """An element of `CreatableTopic.configs`."""

    name: str = string()
    value: str | None = string(nullable="0+")


@struct
class CreatableTopic:
    """An element of `CreateTopicsRequest.topics`."""

    name: str = string()
    num_partitions: int = int32()
    replication_factor: int = int16()
    assignments: list[CreatableReplicaAssignment] = array(CreatableReplicaAssignment)
    configs: list[CreatableTopicConfig] = array(CreatableTopicConfig)


@message("2-7", flexible="5+")
class CreateTopicsRequest:
    """The question."""

    topics: list[CreatableTopic] = array(CreatableTopic)
    timeout_ms: int = int32(default=60000)
    validate_only: bool = boolean()


@struct
class CreatableTopicConfigs:
    """An element of `CreatableTopicResult.configs`."""

    name: str = string()
    value: str | None = string(nullable="0+")
    read_only: bool = boolean()
    config_source: int = int8(default=-1)
    is_sensitive: bool = boolean()


@struct
class CreatableTopicResult:
    """An element of `CreateTopicsResponse.topics`."""

    name: str = string()
    topic_id: UUID = uuid("7+")
    error_code: int = int16()
    error_message: str | None = string(nullable="0+")
    topic_config_error_code: int = int16("5+", tag=0)
    num_partitions: int = int32("5+", default=-1)
    replication_factor: int = int16("5+", default=-1)
    configs: list[CreatableTopicConfigs] | None = array(CreatableTopicConfigs, "5+", nullable="5+")


@message("2-7", flexible="5+")
class CreateTopicsResponse:
    """The answer."""

    throttle_time_ms: int = int32()
    topics: list[CreatableTopicResult] = array(CreatableTopicResult)
