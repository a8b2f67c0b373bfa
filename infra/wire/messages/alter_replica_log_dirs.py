"""AlterReplicaLogDirs: move replicas between the log folders of a node."""

from infra.wire.message import array, int16, int32, message, string, struct

API_KEY = 34


@struct
class AlterReplicaLogDirTopic:
    """An element of `AlterReplicaLogDir.topics`."""

    name: str = string()
    partitions: list[int] = array("int32")


@struct
class AlterReplicaLogDir:
    """An element of `AlterReplicaLogDirsRequest.dirs`."""

    path: str = string()
    topics: list[AlterReplicaLogDirTopic] = array(AlterReplicaLogDirTopic)


@message("1-2", flexible="2+")
class AlterReplicaLogDirsRequest:
    """The question."""

    dirs: list[AlterReplicaLogDir] = array(AlterReplicaLogDir)


@struct
class AlterReplicaLogDirPartitionResult:
    """An element of `AlterReplicaLogDirTopicResult.partitions`."""

    partition_index: int = int32()
    error_code: int = int16()


@struct
class AlterReplicaLogDirTopicResult:
    """An element of `AlterReplicaLogDirsResponse.results`."""

    topic_name: str = string()
    partitions: list[AlterReplicaLogDirPartitionResult] = array(AlterReplicaLogDirPartitionResult)


@message("1-2", flexible="2+")
class AlterReplicaLogDirsResponse:
    """The answer."""

    throttle_time_ms: int = int32()
    results: list[AlterReplicaLogDirTopicResult] = array(AlterReplicaLogDirTopicResult)
